"""Static arguments of operators: which ones PyTorch's functions take, and how they stand in a key.

    x.sum(torch.tensor(1))       a 0-d integer tensor is an int, a 0-d tensor is a number
    x.sum(True), x.sum(0, 1)     TypeError: a bool is no dimension, an int is no bool

An operator's parameters are annotated (operators/definition.py); `taker` says how one that is part of the structure is taken.
After https://github.com/pytorch/pytorch/blob/main/torch/csrc/utils/python_arg_parser.cpp, FunctionParameter::check.
"""
import functools
import operator
import typing

import numpy as np

from ..ir.extents import Extent
from ..tensors.creation import PYTHON_TYPES
from ..tensors.tensor import Tensor


class Static(typing.NamedTuple):
    """A static argument in a key, with its type: 1, 1.0 and True are different arguments."""
    value: object
    type: type


def static(a):
    """An argument as it stands in a key."""
    if isinstance(a, list):
        a = tuple(a)
    if isinstance(a, Extent):
        a = int(a)
    if isinstance(a, np.integer):
        a = int(a)
    if isinstance(a, type):
        a = PYTHON_TYPES.get(a, a)  # `dtype=float`
    return a if a is None or type(a) is str else Static(a, type(a))


def whole(a):
    """An int given as one, as a NumPy integer or as a tensor without dimensions; None where it is none."""
    if type(a) is int:
        return a
    if isinstance(a, Tensor):
        return a.item() if a.dtype.kind in "iu" and not a.ndim and not a.requires_grad else None
    if isinstance(a, bool) or not hasattr(a, "__index__"):
        return None
    return a.__index__()


def wholes(a):
    """An int, or a sequence of them as a tuple (in which tensors of one element count, too); None where it is neither."""
    if isinstance(a, (tuple, list)):
        parts = tuple([_part(n) for n in a])
        return None if None in parts else parts
    return _part(a) if isinstance(a, Tensor) else whole(a)


def _part(n):
    if isinstance(n, Tensor):
        return n.__index__() if n.dtype.kind in "iub" and n.numel() == 1 and not n.requires_grad else None
    return whole(n)


def truth(a):
    """A bool given as Python's or NumPy's; None where it is none."""
    return bool(a) if isinstance(a, (bool, np.bool_)) else None


def real_number(a):
    """A number, also where it is in a tensor without dimensions; None for a tensor that is not, and for what is no number."""
    if isinstance(a, Tensor):
        return None if a.ndim or a.requires_grad else a.item()
    return None if isinstance(a, (str, tuple, list)) else a


TAKERS = {int: (whole, "int"), bool: (truth, "bool"), float: (real_number, "float"), int | float: (real_number, "Number"),
          int | tuple: (wholes, "tuple of ints"), tuple: (lambda a: a, "tuple")}


def taker(annotation):
    """(the function that takes such an argument, which gives None where it is of another type; what it should have been), or None."""
    parts = tuple(part for part in typing.get_args(annotation) if part is not type(None))
    return TAKERS.get(functools.reduce(operator.or_, parts) if parts else annotation)
