"""torch.utils: data loading (data/), checkpoint.py (memory for time), hooks.py (the name of the handle that hooks have),
dlpack.py (tensors handed to other libraries), _pytree.py (nested containers), and gradients.py, which nn and optim share.
"""


def __getattr__(name):
    """Modules are imported when they are first asked for."""
    if name in ("_pytree", "checkpoint", "data", "dlpack", "hooks"):
        import importlib
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module 'rushlight.utils' has no attribute '{name}'")
