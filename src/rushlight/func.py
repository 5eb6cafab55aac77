"""`torch.func`: functions of functions.  Derivatives are in autograd/transforms.py, vmap in autograd/mapping.py, modules as functions in
nn/utils/stateless.py.

    per_sample = torch.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, inputs, targets)
"""
from .autograd.mapping import vmap  # noqa: F401
from .autograd.transforms import (  # noqa: F401
    functionalize,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
)
from .nn.utils.stateless import call as functional_call  # noqa: F401
from .nn.utils.stateless import replace_all_batch_norm_modules_, stack_module_state  # noqa: F401
