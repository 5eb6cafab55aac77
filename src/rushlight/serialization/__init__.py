"""Floor 6: objects in files.

    saving.py        save: the pickler, and what goes into a file
    loading.py       load: from a file to its object
    unpickler.py     the unpickler that runs nothing
    trust.py         add_safe_globals and its like: what the user admits besides
    names.py         what PyTorch's files call things, and what those are here
    archive.py       the zip archives that PyTorch's files are
    safetensors.py   tensors by name in safetensors files
    files.py         files that are whole or not there

How a tensor is taken apart and put together stands with the tensors (tensors/pickling.py).  Start with loading.py.
"""
from collections.abc import Callable

from ..tensors.device import device as _device
from . import safetensors
from .loading import default_restore_location, load
from .saving import save
from .trust import add_safe_globals, clear_safe_globals, get_safe_globals, get_unsafe_globals_in_checkpoint, safe_globals

MAP_LOCATION = Callable | _device | str | dict | None  # what `load(map_location=...)` takes, for annotations
