"""torch.special: the rarer functions of one or two numbers.

    polygamma    from the Hurwitz zeta function, which sums and then applies Euler and Maclaurin's formula
    log_ndtr     from erfcx below 0, so that nothing underflows

Bessel functions are in bessel.py, orthogonal polynomials in polynomials.py.

`NAMESPACE` at the end is what torch.special offers; rushlight/special.py hands it on.
"""
import math
from numbers import Number

import numpy as np

from ..ir import dtypes, graph
from ..tensors.tensor import Tensor
from .activation import log_softmax, softmax
from .arithmetic import xlogy
from .bessel import NAMESPACE as _bessel
from .building import apply, as_operand, binary, broadcast, cast, choose, constant, elementwise, float_dtype, reduce_to, result_dtype, unary
from .definition import attach, exported, operator, write_in_place
from .elementwise import digamma, erf, erfc, erfinv, exp2, expm1, lgamma, log1p, logit, mvlgamma, sigmoid, sinc
from .gamma import igamma, igammac
from .polynomials import NAMESPACE as _polynomials
from .reductions import logsumexp
from .rounding import round


def _real_float(name, x):
    """The input in a real float dtype."""
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name}: not there for complex tensors")
    return cast(x, float_dtype(x.dtype))


# Gamma and zeta ------------------------------------------------------------------------------------------------------

_TAIL = (12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10, -2.950130727918164224e12,
         1.1646782814350067249e14, -4.5979787224074726105e15, 1.8152105401943546773e17, -7.1661652561756670113e18)  # (2k)! / B(2k)


def _hurwitz(x, q):
    """sum of (k + q)^-x over k >= 0: the terms up to k + q = 10, then Euler and Maclaurin's formula."""
    out_dtype = x.dtype
    x, q = np.broadcast_arrays(x.astype(np.float64), q.astype(np.float64))
    with np.errstate(all="ignore"):
        total = np.zeros(x.shape)
        finite = q[np.isfinite(q)]
        steps = int(min(10 + max(0.0, -finite.min()), 1e6)) if finite.size else 0
        w = q.copy()
        for _ in range(steps + 1):
            more = w < 10
            total = np.where(more, total + np.power(w, -x), total)
            w = np.where(more, w + 1, w)
        term = np.power(w, -x)
        total = total + term * w / (x - 1) + 0.5 * term
        factor = x / w
        for k, divisor in enumerate(_TAIL):
            total = total + factor * term / divisor
            factor = factor * (x + 2 * k + 1) * (x + 2 * k + 2) / (w * w)
        whole = q == np.floor(q)
        total = np.where((q <= 0) & whole, np.inf, np.where((q <= 0) & (x != np.floor(x)), np.nan, total))
        total = np.where(np.isposinf(q), 0.0, total)
        total = np.where(x == 1, np.inf, np.where(x < 1, np.nan, total))
    return (total.astype(out_dtype),)


@operator(pointwise=True, methods=False, namespace=False)
def zeta(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """The Hurwitz zeta function: the sum of (k + other)^-input over k = 0, 1, ..."""
    dtype = float_dtype(result_dtype(input, other))
    x, q = broadcast(cast(as_operand(input), dtype), cast(as_operand(other), dtype), name="zeta")
    return apply(lambda a, b: graph.library("zeta", _hurwitz, (a, b), [(tuple(a.shape), dtype)])[0], (x, q))


@zeta.gradient
def zeta_gradient(grad, result, input, other):
    return NotImplemented, None if other._state.weak else reduce_to(grad * -input * zeta(input + 1, other), other)


@operator(pointwise=True, methods=False, namespace=False)
def polygamma_of(input: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    x = _real_float("polygamma", input)
    if n == 0:
        return unary("digamma", x)
    if n == 1:
        return _trigamma(x)
    return binary("mul", zeta(constant(float(n + 1)), x), (-1.0) ** (n + 1) * math.factorial(n), x.dtype)


def _trigamma(x):
    """zeta(2, x), mirrored below one half: pi^2 / sin(pi x)^2 - trigamma(1 - x)."""
    low = binary("lt", x, 0.5)
    sine = unary("sin", binary("mul", x, math.pi, x.dtype))
    upper = zeta(constant(2.0), choose(low, binary("sub", 1, x, x.dtype), x))
    return choose(low, binary("sub", binary("div", math.pi ** 2, binary("mul", sine, sine), x.dtype), upper), upper)


@polygamma_of.gradient
def polygamma_gradient(grad, result, input, n):
    return grad * polygamma_of(input, n + 1)


@exported
def polygamma(n, input, *, out=None):
    """The n-th derivative of digamma.

    >>> torch.polygamma(1, torch.tensor([1.0]))
    tensor([1.6449])
    """
    if not isinstance(n, int) or n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, but n is {n}")
    return polygamma_of(input, n, out=out)


def _polygamma_method(self, n):
    """The n-th derivative of digamma."""
    return polygamma(n, self)


def _polygamma_in_place(self, n):
    """The in-place form of `polygamma`."""
    return write_in_place(polygamma_of.operator, self, (self, n))


attach("polygamma", _polygamma_method)
attach("polygamma_", _polygamma_in_place)


# The normal distribution ---------------------------------------------------------------------------------------------

@operator(pointwise=True, methods=False, namespace=False)
def ndtr(input: Tensor) -> Tensor:
    """The share of a standard normal variable below each element."""
    x = _real_float("ndtr", input)
    scaled = binary("mul", x, math.sqrt(0.5), x.dtype)
    tail = binary("mul", unary("erfc", unary("abs", scaled)), 0.5, x.dtype)
    middle = binary("add", binary("mul", unary("erf", scaled), 0.5, x.dtype), 0.5, x.dtype)
    return choose(binary("lt", unary("abs", scaled), math.sqrt(0.5)), middle,
                  choose(binary("gt", x, 0), binary("sub", 1, tail, x.dtype), tail))


@ndtr.gradient
def ndtr_gradient(grad, result, input):
    return grad * ((input * input * -0.5).exp() * (1 / math.sqrt(2 * math.pi)))


@operator(pointwise=True, methods=False, namespace=False)
def ndtri(input: Tensor) -> Tensor:
    """The number below which that share of a standard normal variable lies."""
    x = _real_float("ndtri", input)
    wide = cast(x, dtypes.float64)
    return cast(binary("mul", unary("erfinv", binary("sub", binary("mul", wide, 2), 1)), math.sqrt(2)), x.dtype)


@ndtri.gradient
def ndtri_gradient(grad, result, input):
    return grad * ((result * result * 0.5).exp() * math.sqrt(2 * math.pi))


@operator(pointwise=True, methods=False, namespace=False)
def erfcx(input: Tensor) -> Tensor:
    """exp(x^2) * erfc(x), without overflow where that is not large."""
    x = _real_float("erfcx", input)
    return cast(_erfcx(cast(x, dtypes.float64)), x.dtype)


def _erfcx(x):
    """Below 2.5 as it is written, above by Laplace's continued fraction, x and t / 2 over x alternating."""
    near = binary("minimum", x, 2.5)
    plain = binary("mul", unary("exp", binary("mul", near, near)), unary("erfc", near))
    far = binary("maximum", x, 2.5)
    fraction = far
    for k in range(60, 0, -1):
        fraction = binary("add", far, binary("div", k / 2, fraction))
    return choose(binary("gt", x, 2.5), binary("div", 1 / math.sqrt(math.pi), fraction), plain)


@erfcx.gradient
def erfcx_gradient(grad, result, input):
    return grad * (2 * input * result - 2 / math.sqrt(math.pi))


@operator(pointwise=True, methods=False, namespace=False)
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of ndtr, exact far below 0."""
    x = _real_float("log_ndtr", input)
    wide = binary("mul", cast(x, dtypes.float64), math.sqrt(0.5))
    below = binary("minimum", wide, -0.7)
    low = binary("sub", unary("log", binary("mul", _erfcx(unary("neg", below)), 0.5)), binary("mul", below, below))
    above = binary("maximum", wide, -0.7)
    high = unary("log1p", binary("mul", unary("erfc", above), -0.5))
    return cast(choose(binary("lt", wide, -0.7), low, high), x.dtype)


@log_ndtr.gradient
def log_ndtr_gradient(grad, result, input):
    return grad / erfcx(input * -math.sqrt(0.5)) * math.sqrt(2 / math.pi)


@operator(pointwise=True, methods=False, namespace=False)
def entr(input: Tensor) -> Tensor:
    """-x * log(x): 0 at 0, minus infinity below."""
    x = _real_float("entr", input)
    low = choose(binary("eq", x, 0), constant(0, x.dtype), constant(-math.inf, x.dtype))
    value = choose(binary("gt", x, 0), unary("neg", binary("mul", x, unary("log", x))), low)
    return choose(elementwise("isnan", x), x, value)


@entr.gradient
def entr_gradient(grad, result, input):
    return grad * (-input.log() - 1)


@operator(pointwise=True, methods=False, namespace=False)
def xlog1py(input: Tensor | Number, other: Tensor | Number) -> Tensor:
    """input * log1p(other), and 0 where input is 0, unless other is NaN."""
    dtype = float_dtype(result_dtype(input, other))
    x, y = broadcast(cast(as_operand(input), dtype), cast(as_operand(other), dtype), name="xlog1py")
    nothing = elementwise("and", binary("eq", x, 0), elementwise("not", elementwise("isnan", y)))
    return choose(nothing, constant(0, dtype), elementwise("mul", x, elementwise("log1p", y)))


@xlog1py.gradient
def xlog1py_gradient(grad, result, input, other):
    mine = None
    if not input._state.weak:
        dead = elementwise("and", *broadcast(binary("eq", input, 0), binary("le", other, -1)))
        mine = reduce_to(grad * choose(dead, constant(0, grad.dtype), cast(as_operand(other), grad.dtype).log1p()), input)
    return mine, None if other._state.weak else reduce_to(grad * input / (other + 1), other)


NAMESPACE = {
    "digamma": digamma, "psi": digamma, "entr": entr, "erf": erf, "erfc": erfc, "erfcx": erfcx, "erfinv": erfinv, "exp2": exp2,
    "expit": sigmoid, "expm1": expm1, "gammainc": igamma, "gammaincc": igammac, "gammaln": lgamma, "log1p": log1p,
    "log_ndtr": log_ndtr, "log_softmax": log_softmax, "logit": logit, "logsumexp": logsumexp, "multigammaln": mvlgamma, "ndtr": ndtr,
    "ndtri": ndtri, "polygamma": polygamma, "round": round, "sinc": sinc, "softmax": softmax,
    "xlog1py": xlog1py, "xlogy": xlogy, "zeta": zeta, **_bessel, **_polynomials,
}
