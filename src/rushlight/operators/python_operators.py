"""Python's operators on tensors, and methods that take their sizes as separate arguments: `x + 1`, `x.view(2, 3)`.

A binary operator that does not know its other operand returns NotImplemented, so that the other operand may try.
"""
import numpy as np

from ..tensors.tensor import Tensor
from . import definition, shaping
from .definition import attach

NUMBERS = (int, float, complex, bool, np.number, np.bool_, Tensor)


def _binary(function, swapped=False):
    call = function.operator.call
    defaults = tuple(p.default for p in list(function.operator.signature.parameters.values())[2:])

    def forward(self, other):
        if not isinstance(other, NUMBERS):
            return NotImplemented
        return call(self, other, *defaults)

    def backward(self, other):
        if not isinstance(other, NUMBERS):
            return NotImplemented
        return call(other, self, *defaults)

    return backward if swapped else forward


def _in_place(name):
    def in_place(self, other):
        if not isinstance(other, NUMBERS):
            return NotImplemented
        return getattr(self, name)(other)
    return in_place


def install():
    """Attach Python's operators, for every operator that is defined."""
    table = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder", "pow": "pow",
             "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
             "rshift": "bitwise_right_shift"}
    for python, name in table.items():
        function = definition.ALL.get(name)
        if function is None:
            continue
        attach(f"__{python}__", _binary(function))
        attach(f"__r{python}__", _binary(function, swapped=True))
        method = {"floor_divide": "floor_divide_", "pow": "pow_"}.get(name, name + "_")
        if hasattr(Tensor, method):
            attach(f"__i{python}__", _in_place(method))
    for python, name in {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}.items():
        if name in definition.ALL:
            attach(f"__{python}__", _binary(definition.ALL[name]))
    for python, name in {"neg": "neg", "abs": "abs", "invert": "bitwise_not", "pos": "positive"}.items():
        if name in definition.ALL:
            attach(f"__{python}__", definition.ALL[name])


def sizes(arguments, name):
    """The sizes given as one sequence or as separate arguments."""
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        return tuple(arguments[0])
    return tuple(arguments)


def _method_of_sizes(function, name):
    call = function.operator.call

    def method(self, *args, **kwargs):
        if kwargs:
            args = (*args, *kwargs.values())
        return call(self, sizes(args, name))
    method.__name__, method.__doc__ = name, function.__doc__
    return method


for _name, _function in {"reshape": shaping.reshape, "expand": shaping.expand, "permute": shaping.permute}.items():
    attach(_name, _method_of_sizes(_function, _name))
