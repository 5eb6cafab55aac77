"""Floor 5: gradients.

    engine.py     backward: the walk from results to leaves
    modes.py      no_grad, enable_grad, inference_mode
    function.py   Function: a user's own forward and backward
    gradcheck.py  derivatives against finite differences

Start with engine.py.
"""
from . import engine  # noqa: F401
from .engine import backward  # noqa: F401
