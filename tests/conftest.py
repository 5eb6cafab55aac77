"""Random programs are drawn anew at each run by hand, and are the same at every run of the continuous integration."""
import os

from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("fresh", deadline=None)
settings.load_profile("fixed" if os.environ.get("CI") else "fresh")
