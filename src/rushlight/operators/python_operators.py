"""Python's operators on tensors, and methods that take their sizes as separate arguments: `x + 1`, `x.view(2, 3)`.

A binary operator that does not know its other operand returns NotImplemented, so that the other operand may try.
"""
from ..tensors import parts
from ..tensors.tensor import Tensor
from . import definition, functional
from .calling import OPERANDS, attach_python_operator
from .definition import attach


def _in_place(name):
    def in_place(self, other):
        if not isinstance(other, OPERANDS):
            return NotImplemented
        if self._base is not None and name in parts.UPDATES and parts.write(self, other, name):
            return self
        return getattr(self, name)(other)
    return in_place


IN_PLACE_FUNCTIONS = ("addmv_ clamp_ clamp_max_ clamp_min_ clip_ gcd_ index_put_ lcm_ ldexp_ logit_ nan_to_num_ round_ xlogy_ "
                      "celu_ rrelu_ selu_ threshold_")  # in-place forms of more than one argument that are functions too


def install():
    """Attach Python's operators, for every operator that is defined; offer in-place forms as functions."""
    for name in IN_PLACE_FUNCTIONS.split():
        definition.EXPORTED[name] = getattr(Tensor, name, None) or functional.NAMESPACE[name]
    table = {"add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder", "pow": "pow",
             "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
             "rshift": "bitwise_right_shift"}
    for python, name in table.items():
        function = definition.ALL.get(name)
        if function is None:
            continue
        attach_python_operator(function.operator, f"__{python}__")
        attach_python_operator(function.operator, f"__r{python}__", swapped=True)
        method = {"floor_divide": "floor_divide_", "pow": "pow_"}.get(name, name + "_")
        if hasattr(Tensor, method):
            attach(f"__i{python}__", _in_place(method))
    for python, name in {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}.items():
        if name in definition.ALL:
            attach_python_operator(definition.ALL[name].operator, f"__{python}__")
    for python, name in {"neg": "neg", "abs": "abs", "pos": "positive"}.items():
        if name in definition.ALL:
            attach(f"__{python}__", definition.ALL[name])
    attach("__invert__", _inverted)


def _inverted(self):
    """~self."""
    if not self.dtype.is_integral:
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return definition.ALL["bitwise_not"](self)
