"""The orthogonal polynomials of torch.special, by their recurrences: chebyshev_polynomial_t(x, n) and eleven more.

    p[0] = 1,  p[1] = first(x),  p[k + 1] = a(k, x) * p[k] - b(k) * p[k - 1]        as far as the greatest n

The degree n is a number for each element, so how many steps there are is data and NumPy runs them.  A negative degree gives 0.
"""
from numbers import Number

import numpy as np

from ..ir import graph
from ..tensors.tensor import Tensor
from .building import apply, as_operand, broadcast, cast, float_dtype, result_dtype
from .definition import operator


def _doubled(k, x):
    return 2 * x


def _one(k):
    return 1


# name: (p[1], the factor of p[k], the factor of p[k - 1])
RECURRENCES = {
    "chebyshev_polynomial_t": (lambda x: x, _doubled, _one),
    "chebyshev_polynomial_u": (lambda x: 2 * x, _doubled, _one),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, _doubled, _one),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, _doubled, _one),
    "hermite_polynomial_h": (lambda x: 2 * x, _doubled, lambda k: 2 * k),
    "hermite_polynomial_he": (lambda x: x, lambda k, x: x, lambda k: k),
    "laguerre_polynomial_l": (lambda x: 1 - x, lambda k, x: (2 * k + 1 - x) / (k + 1), lambda k: k / (k + 1)),
    "legendre_polynomial_p": (lambda x: x, lambda k, x: (2 * k + 1) * x / (k + 1), lambda k: k / (k + 1)),
}
SHIFTED = tuple(f"chebyshev_polynomial_{kind}" for kind in "tuvw")


def _run(x, n, family, shifted):
    first, factor, lag = RECURRENCES[family]
    wide = x.astype(np.float64)
    wide = 2 * wide - 1 if shifted else wide
    degree = np.trunc(np.nan_to_num(n.astype(np.float64)))
    before, now = np.ones_like(wide), first(wide)
    out = np.where(degree < 0, 0.0, np.where(degree == 0, before, now))
    with np.errstate(all="ignore"):
        for k in range(1, int(degree.max(initial=0))):
            before, now = now, factor(k, wide) * now - lag(k) * before
            out = np.where(degree == k + 1, now, out)
    return (out.astype(x.dtype),)


def _polynomial(name, shifted=False):
    def body(input: Tensor | Number, n: Tensor | Number) -> Tensor:
        dtype = float_dtype(result_dtype(input, n))
        x, degree = broadcast(cast(as_operand(input), dtype), cast(as_operand(n), dtype), name=name)
        return apply(lambda a, b: graph.library(name, _run, (a, b), [(tuple(a.shape), dtype)], family=name, shifted=shifted)[0],
                     (x, degree))
    body.__name__ = body.__qualname__ = ("shifted_" if shifted else "") + name
    body.__doc__ = f"The polynomial of degree n at each element{', of 2 x - 1' if shifted else ''}."
    function = operator(body, pointwise=True, methods=False, namespace=False)
    function.gradient(lambda grad, result, input, n: (None, None))  # PyTorch has none either
    return function


NAMESPACE = {name: _polynomial(name) for name in RECURRENCES} | {"shifted_" + name: _polynomial(name, True) for name in SHIFTED}
