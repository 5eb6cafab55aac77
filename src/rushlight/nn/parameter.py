"""Parameter and Buffer: tensors that a Module registers by itself when they are assigned to it.  Uninitialized ones: of lazy modules.

    self.weight = Parameter(torch.empty(10, 32))   ->  in module.parameters(), gets a gradient
    self.mean = Buffer(torch.zeros(10))            ->  in module.buffers(), saved, no gradient

Both are ordinary tensors over the memory they were given; only their class tells a Module what to do with them.  Results
of operations on them are plain tensors.
"""
from collections import OrderedDict

import rushlight as torch

from ..tensors.dispatch import _disabled_torch_function_impl
from ..tensors.pickling import attributes_of, rebuild_from_type
from ..tensors.tape import tape_of


class _Kind(type):
    """A tensor of a class that takes calls over keeps its class as a parameter or buffer; it is one by a mark."""

    def __instancecheck__(cls, instance):
        mark = {Parameter: "_is_param", Buffer: "_is_buffer"}.get(cls)
        marked = mark is not None and isinstance(instance, torch.Tensor) and getattr(instance, mark, False)
        return marked or super().__instancecheck__(instance)


class Parameter(torch.Tensor, metaclass=_Kind):
    """A tensor that a Module learns: it is registered when it is assigned, and requires a gradient, also when it is made under `no_grad`.

    Shapes: that of `data`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html

    >>> nn.Parameter(torch.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

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
        arguments, state = (self.data, self.requires_grad, OrderedDict()), attributes_of(self)
        if type(self) is not Parameter:
            return rebuild_from_type, (rebuild_parameter, type(self), arguments, state)
        return (rebuild_parameter_with_state, (*arguments, state)) if state else (rebuild_parameter, arguments)

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()


class Buffer(torch.Tensor, metaclass=_Kind):
    """A tensor that is part of a Module's state and is not learned; `persistent` ones are saved with it.

    Shapes: that of `data`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Buffer.html

    >>> module = nn.Module()
    >>> module.mean = nn.Buffer(torch.zeros(2))
    >>> list(module.state_dict())
    ['mean']
    """

    __torch_function__ = _disabled_torch_function_impl

    def __new__(cls, data=None, *, persistent=True):
        data = torch.empty(0) if data is None else data
        buffer = data.detach().requires_grad_(data.requires_grad)
        if data._dispatches:
            buffer._is_buffer = True
        else:
            buffer = buffer.as_subclass(cls)
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


# Not there yet -------------------------------------------------------------------------------------------------------

class UninitializedTensorMixin:
    """A tensor that has a dtype, and no shape or numbers yet: it can be converted and asked for its dtype, and `materialize` makes an
    ordinary one of it.  All else is refused.
    """

    def materialize(self, shape, device=None, dtype=None):
        """Become an ordinary parameter or buffer of that shape, with uninitialized numbers."""
        data = torch.empty(shape, device=device, dtype=self.dtype if dtype is None else dtype)
        self.__class__ = self.cls_to_become
        self.data = data

    @property
    def shape(self):
        raise RuntimeError("Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
                           "`load_state_dict` when trying to load "
                           "an uninitialized parameter into an initialized one. Call `forward` to initialize the parameters before "
                           "accessing their attributes.")

    def _known_place(self):
        name = type(self).__name__
        raise ValueError("Attempted to use an uninitialized parameter. This error happens when you are using a `LazyModule` or explicitly "
                         f"manipulating `torch.nn.parameter.{name}` objects. When using LazyModules Call `forward` with a dummy batch to "
                         f"initialize the parameters before calling torch functions")

    @property
    def dtype(self):
        return self._dtype

    @property
    def data(self):
        """Itself: there is no memory that another tensor could share."""
        return self

    @data.setter
    def data(self, other):
        self._dtype = other.dtype

    def detach(self):
        return self

    def to(self, *args, **kwargs):
        """One that will have the dtype that a tensor would have after `to` with these arguments."""
        return type(self)(self.requires_grad, dtype=torch.empty(0, dtype=self.dtype).to(*args, **kwargs).dtype)

    def cpu(self):
        return self

    def share_memory_(self):
        raise RuntimeError("Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
                           "before calling `module.share_memory()`.")

    def __repr__(self):
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol):
        return rebuild_uninitialized, (type(self), self.requires_grad, self.dtype)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, dtype=self.dtype)
        return memo[id(self)]


def _uninitialized(cls, requires_grad, dtype):
    tensor = torch.Tensor.__new__(cls)
    tensor._dtype = torch.get_default_dtype() if dtype is None else dtype
    tape_of(tensor).requires_grad = requires_grad
    return tensor


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape follows from the first input, as lazy modules have; until `materialize` it cannot be computed with.

    Shapes: none yet.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedParameter.html

    >>> weight = nn.UninitializedParameter()
    >>> weight.materialize((2, 3))
    >>> weight.shape
    torch.Size([2, 3])
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        return _uninitialized(cls, requires_grad, dtype)

    def __init__(self, requires_grad=True, device=None, dtype=None):
        """As with Parameter."""


class UninitializedBuffer(UninitializedTensorMixin, Buffer):
    """A buffer whose shape follows from the first input, as lazy modules have; until `materialize` it cannot be computed with.

    Shapes: none yet.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.UninitializedBuffer.html

    >>> mean = nn.UninitializedBuffer()
    >>> mean.materialize((2,))
    >>> mean.shape
    torch.Size([2])
    """

    cls_to_become = Buffer

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        buffer = _uninitialized(cls, requires_grad, dtype)
        buffer.persistent = persistent
        return buffer

    def __init__(self, requires_grad=False, device=None, dtype=None, persistent=True):
        """As with Buffer."""


def is_lazy(param):
    """Whether it is an uninitialized parameter or buffer."""
    return isinstance(param, UninitializedTensorMixin)


def rebuild_parameter(data, requires_grad, backward_hooks=None):
    """What a Parameter is pickled as; the form is PyTorch's, and its hooks stay behind."""
    return Parameter(data, requires_grad)


def rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    """The same for one with attributes of its own."""
    return rebuild_from_type(rebuild_parameter, Parameter, (data, requires_grad), state)


def rebuild_buffer(cls, data, persistent):
    return cls(data, persistent=persistent)


def rebuild_uninitialized(cls, requires_grad, dtype):
    return cls(requires_grad, dtype=dtype)
