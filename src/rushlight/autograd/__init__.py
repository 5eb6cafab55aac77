"""Floor 5: gradients.

    engine.py     backward: the walk from results to leaves
    replay.py     the gradient rules of a trace as one recorded call
    saving.py     saved_tensors_hooks: what calls save for backward, as users' hooks see it
    nodes.py      grad_fn, hooks: the graph as users may look at it
    hooks.py      RemovableHandle: what registering a hook returns
    modes.py      no_grad, enable_grad, inference_mode
    function.py   Function: a user's own forward and backward
    gradcheck.py  derivatives against finite differences
    graph.py, variable.py   PyTorch's torch.autograd.graph, and the older name of a tensor;  anomaly.py  which call made a NaN in backward
    forward_ad.py dual tensors; transforms.py derivatives of functions as functions;  functional.py  in an older form
    mapping.py    vmap;  trees.py  nested arguments

Start with engine.py.
"""
from .._paths import open_below
from . import forward_ad, functional, graph, nodes  # nodes attaches backward, grad_fn and hooks to Tensor
from .anomaly import detect_anomaly, set_detect_anomaly
from .engine import backward, grad
from .function import Function, once_differentiable
from .gradcheck import gradcheck, gradgradcheck
from .modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .variable import Variable

__getattr__ = open_below(__name__)
