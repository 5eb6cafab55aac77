"""torch.utils: data loading (data/), checkpoint.py (memory for time), hooks.py (the name of the handle that hooks have),
dlpack.py (tensors handed to other libraries), _pytree.py (nested containers), benchmark.py (how long a statement takes), and gradients.py,
which nn and optim share.
"""
import importlib

from .._paths import open_below

_below = open_below(__name__)


def __getattr__(name):
    """Modules are imported when they are first asked for."""
    if name in ("_python_dispatch", "_pytree", "benchmark", "checkpoint", "data", "dlpack", "hooks"):
        return importlib.import_module("." + name, __name__)
    return _below(name)
