"""Floor 5: gradients.

    engine.py     backward: the walk from results to leaves
    nodes.py      grad_fn, hooks: the graph as users may look at it
    modes.py      no_grad, enable_grad, inference_mode
    function.py   Function: a user's own forward and backward
    gradcheck.py  derivatives against finite differences

Start with engine.py.
"""
from . import nodes  # noqa: F401  (attaches backward, grad_fn and hooks to Tensor)
from .engine import backward, grad  # noqa: F401
from .gradcheck import gradcheck, gradgradcheck  # noqa: F401
from .function import Function, once_differentiable, saved_tensors_hooks  # noqa: F401
from .modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled  # noqa: F401
