"""torch.signal: `torch.signal.windows`, by name.  The definitions are in operators/spectrograms.py."""
import types

from .operators.spectrograms import SIGNAL_WINDOWS as _windows

windows = types.SimpleNamespace(**_windows)
