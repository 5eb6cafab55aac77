"""Arithmetic: +, -, *, /, powers, and the functions next to them."""
from numbers import Number

from ..ir import dtypes
from ..tensors.tensor import Tensor
from .building import as_operand, binary, result_dtype, unary
from .definition import operator


def _refuse_bool(name, *operands):
    if all(as_operand(x).dtype is dtypes.bool_ for x in operands):
        raise RuntimeError(f"{name}: subtraction of two bool tensors is not supported; use the `^` or `logical_xor()` operator instead.")


@operator(pointwise=True)
def add(input: Tensor | Number, other: Tensor | Number, *, alpha: int | float | complex = 1) -> Tensor:
    """input + alpha * other, element by element, with broadcasting.

    >>> torch.add(torch.tensor([1, 2]), 10)
    tensor([11, 12])
    """
    dtype = result_dtype(input, other)
    if alpha != 1:
        other = scaled(other, alpha, dtype)
    return binary("or" if dtype is dtypes.bool_ else "add", input, other, dtype, label="add")


def scaled(other, alpha, dtype):
    """alpha * other in the dtype of the result."""
    if isinstance(alpha, float) and dtype.is_integral:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    return binary("mul", other, alpha, dtype)


@operator(pointwise=True, names=("subtract",))
def sub(input: Tensor | Number, other: Tensor | Number, *, alpha: int | float | complex = 1) -> Tensor:
    """input - alpha * other, element by element."""
    _refuse_bool("sub", input, other)
    dtype = result_dtype(input, other)
    if alpha != 1:
        other = scaled(other, alpha, dtype)
    return binary("sub", input, other, dtype)


@operator(pointwise=True, names=("multiply",))
def mul(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """input * other, element by element."""
    dtype = result_dtype(input, other)
    return binary("and" if dtype is dtypes.bool_ else "mul", input, other, dtype, label="mul")


@operator(pointwise=True, names=("divide", "true_divide"))
def div(input: Tensor | Number, other: Tensor | Number, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; with rounding_mode "trunc" or "floor" rounded towards zero or down."""
    if rounding_mode is None:
        return binary("div", input, other, floating=True)
    if rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")
    dtype = result_dtype(input, other)
    if rounding_mode == "floor":
        return binary("floor_divide", input, other)
    if dtype.is_integral:
        return binary("trunc_divide", input, other)
    return unary("trunc", binary("div", input, other))


@operator(pointwise=True, names=("negative",))
def neg(input: Tensor) -> Tensor:
    """-input."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
                           "`logical_not()` operator instead.")
    return unary("neg", input)


@operator(pointwise=True)
def exp(input: Tensor) -> Tensor:
    """e to the power of each element."""
    return unary("exp", input, floating=True)


@operator(pointwise=True)
def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return unary("tanh", input, floating=True)


@operator(pointwise=True)
def sqrt(input: Tensor) -> Tensor:
    """Square root."""
    return unary("sqrt", input, floating=True)


@operator(pointwise=True)
def conj(input: Tensor) -> Tensor:
    """Complex conjugate; real tensors stay what they are."""
    return unary("conj", input) if input.dtype.kind == "c" else input


@operator(pointwise=True)
def relu(input: Tensor) -> Tensor:
    """max(input, 0); NaN stays NaN."""
    from .building import constant
    return binary("maximum", input, constant(0), input.dtype)


@relu.gradient
def relu_gradient(grad, result, input):
    """Reads only the result: the gradient passes where it is positive."""
    from .building import constant, elementwise, expand_to
    zero = expand_to(constant(0, grad.dtype), grad.shape)
    positive = elementwise("gt", result, expand_to(constant(0, result.dtype), result.shape))
    return elementwise("where", positive, grad, zero)


