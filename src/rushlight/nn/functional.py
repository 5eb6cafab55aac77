"""torch.nn.functional: layers as functions.

Their definitions are operators and live in operators/, one place each; this module hands them on by name.  A function looked
up once stays here as an ordinary attribute.
"""
from ..operators import functional as _functions


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        function = getattr(_functions, name)
    except AttributeError:
        raise AttributeError(f"module 'rushlight.nn.functional' has no attribute '{name}'") from None
    globals()[name] = function
    return function


def __dir__():
    return sorted(name for name in dir(_functions) if not name.startswith("_"))
