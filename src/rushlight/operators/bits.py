"""Operators on bits, and on bools as one bit each."""
from numbers import Number

from ..ir import dtypes
from ..tensors.tensor import Tensor
from .building import as_operand, binary, broadcast, cast, elementwise, result_dtype
from .definition import operator


def _bitwise(name, primitive, a, b):
    dtype = result_dtype(a, b)
    if not dtype.is_integral:
        raise NotImplementedError(f"{name}: only for integers and bools, not {dtype.name}")
    return binary(primitive, a, b, dtype, label=name)


@operator(pointwise=True, differentiable=False)
def bitwise_and(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The bits that both have."""
    return _bitwise("bitwise_and", "and", input, other)


@operator(pointwise=True, differentiable=False)
def bitwise_or(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The bits that either has."""
    return _bitwise("bitwise_or", "or", input, other)


@operator(pointwise=True, differentiable=False)
def bitwise_xor(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The bits that exactly one has."""
    return _bitwise("bitwise_xor", "xor", input, other)


@operator(pointwise=True, differentiable=False, converts=False)
def bitwise_not(input: Tensor) -> Tensor:
    """Every bit turned over."""
    if not input.dtype.is_integral:
        raise NotImplementedError(f"bitwise_not: only for integers and bools, not {input.dtype.name}")
    return elementwise("not", input)


def _shifted(name, primitive, a, b):
    dtype = result_dtype(a, b)
    if dtype.kind not in "iu":
        raise NotImplementedError(f"{name}: only for integers, not {dtype.name}")
    return binary(primitive, a, b, dtype, label=name)


@operator(pointwise=True, differentiable=False)
def bitwise_left_shift(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The bits moved up by `other` places."""
    return _shifted("bitwise_left_shift", "shift_left", input, other)


@operator(pointwise=True, differentiable=False)
def bitwise_right_shift(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The bits moved down by `other` places; the sign stays."""
    return _shifted("bitwise_right_shift", "shift_right", input, other)


# Truth ---------------------------------------------------------------------------------------------------------------

def _logical(name, primitive, a, b):
    a, b = broadcast(cast(as_operand(a), dtypes.bool_), cast(as_operand(b), dtypes.bool_), name=name)
    return elementwise(primitive, a, b)


@operator(pointwise=True, differentiable=False)
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Whether both are nonzero."""
    return _logical("logical_and", "and", input, other)


@operator(pointwise=True, differentiable=False)
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Whether either is nonzero."""
    return _logical("logical_or", "or", input, other)


@operator(pointwise=True, differentiable=False)
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Whether exactly one is nonzero."""
    return _logical("logical_xor", "xor", input, other)


@operator(pointwise=True, differentiable=False)
def logical_not(input: Tensor) -> Tensor:
    """Whether it is zero."""
    return elementwise("not", cast(input, dtypes.bool_))
