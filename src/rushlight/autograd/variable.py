"""Variable: the older name of a tensor that can be differentiated.

    x = torch.autograd.Variable(torch.ones(2), requires_grad=True)        a tensor; isinstance(x, Variable)
"""
from ..tensors.tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, Tensor)

    def __call__(cls, data, requires_grad=False, volatile=False):
        made = data.view_as(data) if data.requires_grad else data.detach()
        return made.requires_grad_() if requires_grad else made


class Variable(metaclass=_VariableMeta):
    """`Variable(data, requires_grad)`: `data` as a tensor of its own, in the same memory."""
