"""Module: a tree of parameters, buffers and submodules with a `forward`.

    class Net(Module):
        def __init__(self):
            super().__init__()
            self.fc = Linear(784, 10)      # assigned, hence registered: net.fc.weight is in net.parameters()
        def forward(self, x):
            return self.fc(x)

Here: registering by assignment, walking the tree, changing every tensor of it (`to`, `requires_grad_`), printing.  Beside it:
calling and hooks (hooks.py), saving and loading (state.py).  Start with `Module.__setattr__`.

What is registered stands in `_parameters`, `_buffers` and `_modules`, and these also mirror it into the instance's own
`__dict__`: then reading `self.weight` in a forward is a plain attribute access, which is what makes small layers cheap.  A module with a
`__getattr__` of its own has no such copies: as in PyTorch, it is asked for what is registered.
"""
import weakref
from collections import OrderedDict

import rushlight as torch

from ..utils.gradients import forget_gradients
from .hooks import HookedCalls, buffer_registration, module_registration, parameter_registration, replaced_by
from .parameter import Buffer, Parameter
from .state import StateDicts

_REGISTRIES = ("_parameters", "_buffers", "_modules")
_HOOK_DICTIONARIES = (
    "_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)


class Registry(dict):
    """Registered values by name, in order; each one is also an attribute of its owner, unless that has a `__getattr__`."""

    __slots__ = ("owner",)

    def __init__(self, owner, values=()):
        self.owner = weakref.ref(owner)  # no cycle: a dropped model gives its memory back at once
        self.update(values)

    def __setitem__(self, name, value):
        super().__setitem__(name, value)
        owner = self.owner()
        if not isinstance(owner, RegisteredAttributes):
            owner.__dict__[name] = value

    def __delitem__(self, name):
        super().__delitem__(name)
        self.owner().__dict__.pop(name, None)

    def pop(self, name, *default):
        value = self.get(name, *default)
        if name in self or not default:
            del self[name]
        return value

    def popitem(self):
        name = next(reversed(self))
        return name, self.pop(name)

    def update(self, values=(), **more):
        for name, value in dict(values, **more).items():
            self[name] = value

    def __ior__(self, values):
        self.update(values)
        return self

    def setdefault(self, name, default=None):
        if name not in self:
            self[name] = default
        return self[name]

    def clear(self):
        for name in list(self):
            del self[name]

    def __reduce__(self):  # copies and pickles are plain; Module.__setstate__ makes registries of them again
        return dict, (dict(self),)


class RegisteredAttributes:
    """A base for modules that define `__getattr__`, so that theirs can ask `super().__getattr__(name)` as in PyTorch, and for modules of which
    a method calls `self.__getattr__(name)`.

    Module itself has none: a class that has one pays for it at every attribute that is there, too.
    """

    def __getattr__(self, name):
        for registry in _REGISTRIES:
            values = self.__dict__.get(registry)
            if values is not None and name in values:
                return values[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


class Module(HookedCalls, StateDicts):
    """The base of all layers and models: a tree of parameters, buffers and submodules with a `forward`.

    What is assigned to an attribute is registered by its class: a Parameter is learned, a Buffer is saved, a Module is a branch of the
    tree.

    Shapes: whatever `forward` takes and returns.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html

    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(torch.ones(1))
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> Scale()(torch.ones(2)), [name for name, parameter in Scale().named_parameters()]
    (tensor([1., 1.], grad_fn=<MulBackward0>), ['factor'])
    """

    dump_patches = False
    call_super_init = False
    training: bool

    def __init__(self, *args, **kwargs):
        if not self.call_super_init:
            if kwargs:
                raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'")
            if args:
                raise TypeError(f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given")
        attributes = self.__dict__  # past __setattr__, which would look for these very dictionaries
        attributes["training"] = True
        for name in _REGISTRIES:
            attributes[name] = Registry(self)
        attributes["_non_persistent_buffers_set"] = set()
        attributes["_public_hook_ids"] = set()
        for name in _HOOK_DICTIONARIES:
            attributes[name] = OrderedDict()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not issubclass(cls, RegisteredAttributes) and any(
                name == "__getattr__" or "__getattr__" in getattr(getattr(value, "__code__", None), "co_names", ())
                for name, value in cls.__dict__.items()):
            cls.__bases__ += (RegisteredAttributes,)

    def forward(self, *input):
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    # -------------------------------------------------------------------------------------------------------- register

    def __setattr__(self, name, value):
        attributes = self.__dict__
        if isinstance(value, Parameter):
            self._assign("_parameters", "parameters", name)
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._assign("_modules", "module", name)
            self._modules[name] = replaced_by(module_registration, self, name, value)
        elif isinstance(value, Buffer):
            self._assign("_buffers", "buffer", name)
            self.register_buffer(name, value, value.persistent)
        elif "_parameters" not in attributes:  # before Module.__init__: nothing is registered yet
            object.__setattr__(self, name, value)
        elif name in self._parameters:
            if value is not None:
                raise TypeError(f"cannot assign '{typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)")
            self.register_parameter(name, None)
        elif name in self._modules:
            if value is not None:
                raise TypeError(f"cannot assign '{typename(value)}' as child module '{name}' (torch.nn.Module or None expected)")
            self._modules[name] = replaced_by(module_registration, self, name, None)
        elif name in self._buffers:
            if value is not None and not isinstance(value, torch.Tensor):
                raise TypeError(f"cannot assign '{typename(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)")
            self.register_buffer(name, value, name not in self._non_persistent_buffers_set)
        else:
            if name in _REGISTRIES:  # a whole dictionary put in place of ours mirrors its entries too
                for stale in attributes[name]:
                    attributes.pop(stale, None)
                value = Registry(self, value)
            object.__setattr__(self, name, value)

    def _assign(self, registry, kind, name):
        """Before `name` enters `registry`: forget what else bears that name."""
        attributes = self.__dict__
        if registry not in attributes:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        for other in _REGISTRIES:
            if other != registry and name in attributes[other]:
                del attributes[other][name]
        if name not in attributes[registry]:
            attributes.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name):
        for registry in _REGISTRIES:
            if name in self.__dict__[registry]:
                del self.__dict__[registry][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def _check_name(self, kind, name, registry):
        if registry not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if hasattr(self, name) and name not in self.__dict__[registry]:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."' + (f", got: {name}" if kind == "module" else ""))
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    def register_parameter(self, name, param):
        """Add a parameter, or None in the place of one that this configuration does without."""
        self._check_name("parameter", name, "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)")
            if param.grad_fn is not None:
                raise ValueError(f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. "
                                 f"To express '{name}' as a function of another Tensor, compute the value in the forward() method.")
            param = replaced_by(parameter_registration, self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name, tensor, persistent=True):
        """Add a tensor that is state but not learned; a `persistent` one is saved with the module."""
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, torch.Tensor):
            raise TypeError(f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)")
        self._buffers[name] = replaced_by(buffer_registration, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name, module):
        """Add a submodule under `name`."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = replaced_by(module_registration, self, name, module)

    register_module = add_module

    # ----------------------------------------------------------------------------------------------------- by dotted name

    def get_submodule(self, target):
        """The submodule at `target`, a dotted path such as "encoder.layers.0"; this module itself at ""."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target, module, strict=False):
        """Put `module` at the dotted path `target`; with `strict` there has to be one already."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target):
        """The parameter at a dotted path."""
        return self._get_tensor(target, lambda module, name: isinstance(getattr(module, name), Parameter), "an nn.Parameter")

    def get_buffer(self, target):
        """The buffer at a dotted path."""
        return self._get_tensor(target, lambda module, name: name in module._buffers, "a buffer")

    def _get_tensor(self, target, is_one, kind):
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        if not is_one(module, name):
            raise AttributeError(f"`{name}` is not {kind}")
        return getattr(module, name)

    # ------------------------------------------------------------------------------------------------------ walk the tree

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """(dotted name, module) of this module and all below it."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, prefix + ("." if prefix else "") + name, remove_duplicate)

    def modules(self, remove_duplicate=True):
        """This module and all below it."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self):
        """(name, module) of the modules directly below this one."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self):
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def _named_members(self, get_members_fn, prefix="", recurse=True, remove_duplicate=True):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for module_prefix, module in modules:
            for name, member in get_members_fn(module):
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield module_prefix + ("." if module_prefix else "") + name, member

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """(dotted name, parameter), of this module alone unless `recurse`."""
        yield from self._named_members(lambda module: module._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        """The parameters, as an optimizer takes them."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """(dotted name, buffer), of this module alone unless `recurse`."""
        yield from self._named_members(lambda module: module._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """The buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def apply(self, fn):
        """Call `fn(module)` on everything below and then on this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode=True):
        """Training mode for the whole tree: dropout drops, batch normalization learns its averages."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """The opposite of `train`."""
        return self.train(False)

    # ------------------------------------------------------------------------------------------------ change every tensor

    def _apply(self, fn, recurse=True):
        """Every parameter, gradient and buffer becomes fn of it.  Parameters stay the objects they are."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for name, parameter in self._parameters.items():
            if parameter is None:
                continue
            with torch.no_grad():
                new = fn(parameter)
                if new.is_meta is not parameter.is_meta:  # memory cannot come to lie under a tensor that has none
                    self._parameters[name] = torch.nn.Parameter(new, parameter.requires_grad)
                    continue
                parameter.data = new
                if parameter.grad is not None:
                    parameter.grad.data = fn(parameter.grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args, **kwargs):
        """Move to a device, or change the dtype of the floating-point tensors: `to(device, dtype)`, or like a tensor."""
        device, dtype, non_blocking = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}")

        def convert(tensor):
            changes = {} if device is None else {"device": device}
            if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
                changes["dtype"] = dtype
            return tensor.to(**changes, non_blocking=non_blocking) if changes else tensor
        return self._apply(convert)

    def cpu(self):
        """Move every parameter and buffer to the CPU."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device=None):
        """Move every parameter and buffer to a GPU."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def type(self, dst_type):
        """Every parameter and buffer as `dst_type`."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self):
        """Floating-point parameters and buffers as float32."""
        return self._as_floating(torch.float32)

    def double(self):
        """Floating-point parameters and buffers as float64."""
        return self._as_floating(torch.float64)

    def half(self):
        """Floating-point parameters and buffers as float16."""
        return self._as_floating(torch.float16)

    def bfloat16(self):
        """Floating-point parameters and buffers as bfloat16."""
        return self._as_floating(torch.bfloat16)

    def _as_floating(self, dtype):
        return self._apply(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def to_empty(self, *, device, recurse=True):
        """Uninitialized tensors of the same shapes on `device`."""
        return self._apply(lambda tensor: torch.empty_like(tensor, device=device), recurse=recurse)

    def share_memory(self):
        """Have every parameter and buffer lie where other processes can reach it (`Tensor.share_memory_`)."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def requires_grad_(self, requires_grad=True):
        """Have gradients computed for every parameter, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Forget every parameter's gradient, or fill it with zeros."""
        forget_gradients(self.parameters(), set_to_none)

    def compile(self, *args, **kwargs):
        """Nothing to do, whatever the settings: every call is recorded and compiled already (`torch.compile`)."""

    # ---------------------------------------------------------------------------------------------- copy, pickle and print

    def __getstate__(self):
        state = self.__dict__.copy()
        for registry in _REGISTRIES:
            for name in state[registry]:
                state.pop(name, None)
        return state

    def __setstate__(self, state):
        attributes = self.__dict__
        attributes.update(state)
        for name in _REGISTRIES:
            attributes[name] = Registry(self, attributes.get(name, ()))
        for name in _HOOK_DICTIONARIES:  # what a pickle of an older version lacks
            attributes.setdefault(name, OrderedDict())
        attributes.setdefault("_non_persistent_buffers_set", set())
        attributes.setdefault("_public_hook_ids", set())

    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        """What `repr` shows between the parentheses; a subclass says its settings here."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({extra})"
        lines += [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        return f"{self._get_name()}(" + ("\n  " + "\n  ".join(lines) + "\n" if lines else "") + ")"

    def __dir__(self):
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())


def typename(value):
    """The type of a value as PyTorch's messages spell it."""
    if isinstance(value, torch.Tensor):
        return value.type()
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _parse_to(*args, device=None, dtype=None, tensor=None, non_blocking=False, copy=False, memory_format=None):
    """The arguments of `to(device, dtype, non_blocking)`, `to(dtype, non_blocking)` or `to(tensor, non_blocking)`."""
    for argument in args:
        if isinstance(argument, torch.Tensor):
            tensor = argument
        elif isinstance(argument, torch.dtype):
            dtype = argument
        elif isinstance(argument, bool):
            non_blocking = argument
        elif argument is not None:
            device = argument
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    return device, dtype, non_blocking
