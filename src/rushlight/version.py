"""torch.version: what this is a version of."""
from . import __version__  # noqa: F401

cuda = hip = git_version = None
debug = False
