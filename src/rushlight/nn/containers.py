"""Modules that hold modules or parameters: in a row, in a list, by key.

    Sequential(a, b)(x) == b(a(x))        ModuleList([a, b])[0] is a        ModuleDict({"a": a})["a"] is a

What they hold is registered under its number or key, so that names in a state_dict read "0.weight".  ParameterList and
ParameterDict do the same for tensors.
"""
import operator
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import chain

import rushlight as torch

from .module import Module, typename
from .parameter import Parameter


class NumberedModules(Module):
    """Submodules named "0", "1", ...: what Sequential and ModuleList share."""

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def _name_at(self, index):
        index, size = operator.index(index), len(self)
        if not -size <= index < size:
            raise IndexError(f"index {index} is out of range")
        return list(self._modules)[index]

    def __setitem__(self, index, module):
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index):
        names = list(self._modules)[index] if isinstance(index, slice) else [self._name_at(index)]
        for name in names:
            delattr(self, name)
        self._modules = {str(i): module for i, module in enumerate(self)}  # numbered without gaps again

    def pop(self, key):
        """Take the module at `key` out and return it."""
        module = self[key]
        del self[key]
        return module

    def append(self, module):
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def _insert(self, index, module):
        modules = list(self)
        modules.insert(index, module)
        self._modules = {str(i): module for i, module in enumerate(modules)}

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]


class Sequential(NumberedModules):
    """y = f_n(... f_2(f_1(x))): modules one after the other, each taking what the one before it returned.

    Made from modules, or from an OrderedDict of names and modules.

    Shapes: x what the first module takes, y what the last one returns.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html

    >>> nn.Sequential(nn.Linear(4, 3), nn.ReLU())(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(self, *args):
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else ((str(i), m) for i, m in enumerate(args))
        for name, module in named:
            self.add_module(name, module)

    def forward(self, input):
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._name_at(index)]

    def insert(self, index, module):
        """Put a module before the one at `index`."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        self._insert(index, module)
        return self

    def extend(self, sequential):
        """Add the modules of an iterable at the end."""
        for module in list(sequential):
            self.append(module)
        return self

    def __add__(self, other):
        _only_sequential(other)
        return Sequential(*self, *other)

    def __iadd__(self, other):
        _only_sequential(other)
        return self.extend(other)

    def __mul__(self, times):
        self._check_factor(times)
        return Sequential(*(module for _ in range(times) for module in self))

    __rmul__ = __mul__

    def __imul__(self, times):
        self._check_factor(times)
        return self.extend(list(self) * (times - 1))

    def _check_factor(self, times):
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")


def _only_sequential(other):
    if not isinstance(other, Sequential):
        raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")


class ModuleList(NumberedModules):
    """A list of modules, all registered; the forward that uses them is yours.

    Shapes: none: it is not called.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html

    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> layers
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._modules[self._name_at(index)]

    def insert(self, index, module):
        """Put a module before the one at `index`."""
        self._insert(index, module)

    def extend(self, modules):
        """Add the modules of an iterable at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList.extend should be called with an iterable, but got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    __iadd__ = extend

    def __add__(self, other):
        return ModuleList(chain(self, other))

    def __repr__(self):
        """Neighbours that print alike become one line: (0-11): 12 x Block(...)."""
        runs = []  # [first, last, text]
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        if not runs:
            return self._get_name() + "()"
        lines = [f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}" for first, last, text in runs]
        return self._get_name() + "(\n  " + "\n  ".join(line.replace("\n", "\n  ") for line in lines) + "\n)"


class ModuleDict(Module):
    """Modules by key, all registered; the forward that uses them is yours.

    Shapes: none: it is not called.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html

    >>> choices = nn.ModuleDict({"conv": nn.Conv2d(1, 1, 3), "pool": nn.MaxPool2d(3)})
    >>> choices["pool"](torch.ones(1, 3, 3))
    tensor([[[1.]]])
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key):
        return self._modules[key]

    def __setitem__(self, key, module):
        self.add_module(key, module)

    def __delitem__(self, key):
        del self._modules[key]

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules)

    def __contains__(self, key):
        return key in self._modules

    def clear(self):
        """Take all modules out."""
        self._modules.clear()

    def pop(self, key):
        """Take the module at `key` out and return it."""
        return self._modules.pop(key)

    def keys(self):
        return self._modules.keys()

    def items(self):
        return self._modules.items()

    def values(self):
        return self._modules.values()

    def update(self, modules):
        """Add the modules of a mapping, or of an iterable of pairs."""
        for key, module in _pairs("ModuleDict", modules):
            self[key] = module


def _pairs(kind, entries):
    """The (key, value) pairs of a mapping or of an iterable of pairs."""
    if not isinstance(entries, Iterable):
        raise TypeError(f"{kind}.update should be called with an iterable of key/value pairs, but got {type(entries).__name__}")
    if isinstance(entries, (Mapping, ModuleDict, ParameterDict)):
        return list(entries.items())
    pairs = []
    for i, entry in enumerate(entries):
        if not isinstance(entry, Iterable):
            raise TypeError(f"{kind} update sequence element #{i} should be Iterable; is {type(entry).__name__}")
        entry = tuple(entry)
        if len(entry) != 2:
            raise ValueError(f"{kind} update sequence element #{i} has length {len(entry)}; 2 is required")
        pairs.append(entry)
    return pairs


class ParameterHolder(Module):
    """What ParameterList and ParameterDict share: tensors put in become parameters, and each is printed on a line."""

    def _put(self, name, value):
        if isinstance(value, torch.Tensor) and not isinstance(value, Parameter):
            value = Parameter(value)
        setattr(self, name, value)

    def _describe(self, entries, type_of):
        lines = []
        for key, value in entries:
            if isinstance(value, torch.Tensor):
                kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
                device = f" ({value.device})" if value.device.type == "cuda" else ""
                size = "x".join(str(extent) for extent in value.shape)
                lines.append(f"  ({key}): {kind} containing: [{type_of(value)} of size {size}{device}]")
            else:
                lines.append(f"  ({key}): Object of type: {type(value).__name__}")
        return "\n".join(lines)

    def __call__(self, *args, **kwargs):
        raise RuntimeError(f"{self._get_name()} should not be called.")


class ParameterList(ParameterHolder):
    """A list of parameters, all registered; other values may stand in it too.

    Shapes: none: it is not called.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterList.html

    >>> weights = nn.ParameterList([torch.ones(2), torch.zeros(1)])
    >>> weights
    ParameterList(
        (0): Parameter containing: [torch.float32 of size 2]
        (1): Parameter containing: [torch.float32 of size 1]
    )
    """

    def __init__(self, values=None):
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def _name_at(self, index):
        index = operator.index(index)
        if not -self._size <= index < self._size:
            raise IndexError(f"index {index} is out of range")
        return str(index % self._size)

    def __len__(self):
        return self._size

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)([self[i] for i in range(*index.indices(len(self)))])
        return getattr(self, self._name_at(index))

    def __setitem__(self, index, value):
        self._put(self._name_at(index), value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def append(self, value):
        """Add a value at the end."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values):
        """Add the values of an iterable at the end."""
        if not isinstance(values, Iterable) or isinstance(values, torch.Tensor):  # rows of a tensor are no list of parameters
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    __iadd__ = extend

    def extra_repr(self):
        return self._describe(enumerate(self), lambda tensor: tensor.dtype)

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]


class ParameterDict(ParameterHolder):
    """Parameters by key, all registered; other values may stand in it too.

    Shapes: none: it is not called.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterDict.html

    >>> weights = nn.ParameterDict({"left": torch.ones(2), "right": torch.zeros(1)})
    >>> [name for name, parameter in weights.named_parameters()]
    ['left', 'right']
    """

    def __init__(self, parameters=None):
        super().__init__()
        self._keys = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key):
        return getattr(self, self._checked(key))

    def __setitem__(self, key, value):
        self._put(self._checked(key), value)
        self._keys[key] = None

    def __delitem__(self, key):
        del self._keys[key]
        delattr(self, key)

    @staticmethod
    def _checked(key):
        if not isinstance(key, str):
            raise TypeError(f"Index given to ParameterDict cannot be used as a key as it is not a string (type is '{type(key).__name__}').")
        return key

    def __len__(self):
        return len(self._keys)

    def __iter__(self):
        return iter(self._keys)

    def __reversed__(self):
        return reversed(self._keys)

    def __contains__(self, key):
        return key in self._keys

    def keys(self):
        return self._keys.keys()

    def values(self):
        return (self[key] for key in self._keys)

    def items(self):
        return ((key, self[key]) for key in self._keys)

    def get(self, key, default=None):
        return self[key] if key in self else default

    def setdefault(self, key, default=None):
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key):
        """Take the value at `key` out and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self):
        """Take the last key and value out and return them."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def clear(self):
        """Take all values out."""
        for key in list(self._keys):
            del self[key]

    def copy(self):
        """Another ParameterDict of the same values."""
        return ParameterDict(OrderedDict(self.items()))

    def fromkeys(self, keys, default=None):
        """A ParameterDict with `default` at every key."""
        return ParameterDict((key, default) for key in keys)

    def update(self, parameters):
        """Add the entries of a mapping (a plain one in the order of its keys), or of an iterable of pairs."""
        pairs = _pairs("ParameterDict", parameters)
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            pairs.sort(key=lambda pair: pair[0])
        for key, value in pairs:
            self[key] = value

    def extra_repr(self):
        return self._describe(self.items(), typename)

    def __or__(self, other):
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other):
        merged = other.copy()
        merged.update(self)
        return merged

    def __ior__(self, other):
        self.update(other)
        return self
