"""Parametrization: a parameter or buffer that is computed from others each time it is read.

    register_parametrization(layer, "weight", Symmetric())

    layer.weight                               Symmetric()(layer.parametrizations.weight.original), a property of the layer's class
    layer.weight = w                           original = Symmetric().right_inverse(w)
    layer.parametrizations.weight              a ParametrizationList: several apply one after the other

Such a module gets a class of its own, "ParametrizedLinear" for a Linear, which has the property.  Start with
`register_parametrization` (https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.parametrize.register_parametrization.html).
"""
import copy
from collections.abc import Sequence
from contextlib import contextmanager

import rushlight as torch

from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

_cache = {}  # (id of the module, name) -> what was computed, inside `cached()`
_cache_depth = 0


@contextmanager
def cached():
    """Inside, each parametrized tensor is computed once, not at every read.

    >>> layer = register_parametrization(nn.Linear(2, 2), "weight", nn.ReLU())
    >>> with cached():
    ...     layer.weight is layer.weight
    True
    """
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if not _cache_depth:
            _cache.clear()


def _check_same(what, before, after, means):
    """ValueError unless the tensor `after` has the dtype and shape of `before`; `means` are the names of the two."""
    for fact in ("dtype", "shape"):
        if getattr(before, fact) != getattr(after, fact):
            raise ValueError(what.format(fact) + f"\n{means[0].format(fact)}: {getattr(before, fact)}\n{means[1].format(fact)}: "
                                                 f"{getattr(after, fact)}")


def _check_tensor(value, message):
    if not isinstance(value, torch.Tensor):
        raise ValueError(message.format(type(value).__name__))


def _register(module, name, tensor):
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _move_in(tensor, new):
    """Give `tensor` the shape and the numbers of `new`; it stays the object that it is."""
    with torch.no_grad():
        tensor.set_(new.detach())


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor in the order in which they apply, and the tensor (`original`) or the tensors (`original0`,
    `original1`, ...) that the first one takes.
    """

    def __init__(self, modules, original, unsafe=False):
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        inverted = original
        with torch.no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        inverted = module.right_inverse(inverted)
                    except NotImplementedError:
                        pass
        if not isinstance(inverted, (torch.Tensor, Sequence)):
            raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                             f"{type(inverted).__name__}")
        self.is_tensor = isinstance(inverted, torch.Tensor)
        self.ntensors = 1 if self.is_tensor else len(inverted)
        if self.is_tensor:
            for fact in ("dtype", "device"):
                if getattr(original, fact) != getattr(inverted, fact):
                    raise ValueError(f"When `right_inverse` outputs one tensor, it may not change the {fact}.\noriginal.{fact}: "
                                     f"{getattr(original, fact)}\n"
                                     f"right_inverse(original).{fact}: {getattr(inverted, fact)}")
            if inverted is not original:
                _move_in(original, inverted)
            _register(self, "original", original)
        else:
            for i, part in enumerate(inverted):
                if not isinstance(part, torch.Tensor):
                    raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element "
                                     f"{i} of the sequence with type {type(part).__name__}.")
                if isinstance(original, Parameter):
                    part = Parameter(part)
                part.requires_grad_(original.requires_grad)
                _register(self, f"original{i}", part)
        if not unsafe:
            made = self()
            _check_tensor(made, "A parametrization must return a tensor. Got {}.")
            _check_same("Registering a parametrization may not change the {} of the tensor, unless `unsafe` flag is enabled.",
                        torch.empty(shape, dtype=dtype), made, ("unparametrized {}", "parametrized {}"))

    def _originals(self):
        return [self.original] if self.is_tensor else [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value):
        """Make the originals such that the parametrizations give `value`; called where the parametrized tensor is assigned to."""
        with torch.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
        if self.is_tensor:
            _check_tensor(value, "`right_inverse` should return a tensor. Got {}")
            if value.dtype != self.original.dtype:
                raise ValueError(f"The tensor returned by `right_inverse` has dtype {value.dtype} while `original` has dtype "
                                 f"{self.original.dtype}")
            _move_in(self.original, value)
            return
        if not isinstance(value, Sequence):
            raise ValueError(f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}.")
        if len(value) != self.ntensors:
            raise ValueError(f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got a sequence of length "
                             f"{len(value)}.")
        for i, (part, original) in enumerate(zip(value, self._originals())):
            _check_tensor(part, f"'right_inverse' must return a sequence of tensors. Got element {i} of type {{}}.")
            if part.dtype != original.dtype:
                raise ValueError(f"Tensor {i} returned by `right_inverse` has dtype {part.dtype} while `original{i}` has dtype "
                                 f"{original.dtype}")
            _move_in(original, part)

    def forward(self):
        first, *further = self
        value = first(*self._originals())
        for module in further:
            value = module(value)
        return value


# The class of a parametrized module ----------------------------------------------------------------------------------

def _give_own_class(module):
    """A subclass for this one module, that properties can be added to."""
    def deepcopy(self, memo):
        if id(self) not in memo:
            replica = memo[id(self)] = type(self).__new__(type(self))
            replica.__setstate__(copy.deepcopy(Module.__getstate__(self), memo))
        return memo[id(self)]

    def refuse(self):
        raise RuntimeError("Serialization of parametrized modules is only supported through state_dict(). "
                           "See:\nhttps://pytorch.org/tutorials/beginner/"
                           "saving_loading_models.html#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training")

    cls = type(module)
    members = {"__getstate__": refuse, "__module__": cls.__module__}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = deepcopy
    module.__class__ = type("Parametrized" + cls.__name__, (cls,), members)


def _add_property(module, name):
    def get(self):
        if not _cache_depth:
            return self.parametrizations[name]()
        key = id(self), name
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def assign(self, value):
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, assign))


# What users call -----------------------------------------------------------------------------------------------------

def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Have `module.tensor_name` computed by `parametrization`, a module, from what it is now; a further one applies after those that are
    there.

    `unsafe`: the parametrization may change dtype or shape, and is not tried out.

    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> torch.equal(layer.weight, layer.weight.T), type(layer).__name__
    (True, 'ParametrizedLinear')
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _try_out(module, tensor_name, parametrization)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        chain = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        _add_property(module, tensor_name)
        module.parametrizations[tensor_name] = chain
    else:
        raise ValueError(f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'")
    return module


def _try_out(module, name, parametrization):
    """ValueError where a further parametrization, or its inverse, changes the dtype or the shape."""
    before = getattr(module, name)
    after = parametrization(before)
    _check_tensor(after, "A parametrization must return a tensor. Got {}.")
    _check_same("Registering a parametrization may not change the {} of the tensor, unless the `unsafe` flag is enabled.", before, after,
                (f"module.{name}.{{}}", f"parametrization(module.{name}).{{}}"))
    if hasattr(parametrization, "right_inverse"):
        try:
            back = parametrization.right_inverse(after)
        except NotImplementedError:
            return
        _check_tensor(back, "parametrization.right_inverse must return a tensor. Got: {}")
        _check_same(f"The tensor returned by parametrization.right_inverse must have the same {{}} as module.{name}, unless the `unsafe` "
                    "flag is enabled.",
                    before, back, (f"module.{name}.{{}}", "returned {}"))


def is_parametrized(module, tensor_name=None):
    """Whether the tensor of that name is parametrized; without a name, whether any is."""
    chains = getattr(module, "parametrizations", None)
    if not isinstance(chains, ModuleDict):
        return False
    return len(chains) > 0 if tensor_name is None else tensor_name in chains


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Make the tensor an ordinary one again: with its parametrized value, or, unless `leave_parametrized`, with its original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    chain = module.parametrizations[tensor_name]
    if chain.is_tensor:
        tensor = chain.original
        if leave_parametrized:
            with torch.no_grad():
                _move_in(tensor, getattr(module, tensor_name))
    elif leave_parametrized:
        made = getattr(module, tensor_name)
        tensor = Parameter(made) if made.requires_grad else made
    else:
        raise ValueError("Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a sequence "
                         "of tensors.")
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, tensor)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module):
    """The class that a module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module, to_module, tensor_name=None):
    """Have `to_module` parametrized as `from_module` is, in one tensor or in all, over the same originals."""
    for name in () if not is_parametrized(from_module) else from_module.parametrizations if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        source = from_module.parametrizations[name]
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        for original in ["original"] if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]:
            setattr(to_module.parametrizations[name], original, getattr(source, original))
    return to_module
