"""Parameter and Buffer: tensors that a Module registers by itself when they are assigned to it.

    self.weight = Parameter(torch.empty(10, 32))   ->  in module.parameters(), gets a gradient
    self.mean = Buffer(torch.zeros(10))            ->  in module.buffers(), saved, no gradient

Both are ordinary tensors over the memory they were given; only their class tells a Module what to do with them.  Results
of operations on them are plain tensors.
"""
import rushlight as torch

from ..tensors.dispatch import _disabled_torch_function_impl


class _Kind(type):
    """A tensor of a class that takes calls over keeps its class as a parameter; it is one by a mark."""

    def __instancecheck__(cls, instance):
        return super().__instancecheck__(instance) or cls is Parameter and isinstance(instance, torch.Tensor) and getattr(instance, "_is_param", False)


class Parameter(torch.Tensor, metaclass=_Kind):
    """A tensor that is part of what a model learns.  It requires a gradient, also when it is made under `no_grad`."""

    __torch_function__ = _disabled_torch_function_impl

    def __new__(cls, data=None, requires_grad=True):
        data = torch.empty(0) if data is None else data
        if data._dispatches:
            marked = data.detach().requires_grad_(requires_grad)
            marked._is_param = True
            return marked
        return data.detach().as_subclass(cls).requires_grad_(requires_grad)

    def __init__(self, data=None, requires_grad=True):
        """`__new__` has made all of it; Tensor's own __init__ would make another."""

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return rebuild_parameter, (type(self), self.data, self.requires_grad)

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()


class Buffer(torch.Tensor):
    """A tensor that is part of a model's state and is not learned; `persistent` ones are saved with it."""

    __torch_function__ = _disabled_torch_function_impl

    def __new__(cls, data=None, *, persistent=True):
        data = torch.empty(0) if data is None else data
        buffer = data.detach().requires_grad_(data.requires_grad).as_subclass(cls)
        buffer.persistent = persistent
        return buffer

    def __init__(self, data=None, *, persistent=True):
        """As with Parameter."""

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), persistent=self.persistent)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return rebuild_buffer, (type(self), self.data, self.persistent)


def rebuild_parameter(cls, data, requires_grad):
    return cls(data, requires_grad)


def rebuild_buffer(cls, data, persistent):
    return cls(data, persistent=persistent)
