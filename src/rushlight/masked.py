"""torch.masked: reductions and normalizations of the elements where a mask is true
(https://docs.pytorch.org/docs/stable/masked.html#masked-functions).

    sum(x, dim, mask=m)      sum of where(m, x, 0)         a reduction sees its neutral element where the mask is false
    mean(x, dim, mask=m)     sum(x) / m.sum(dim)           NaN where the mask is false everywhere
    softmax(x, dim, mask=m)  softmax of where(m, x, -inf)

A mask broadcasts to its tensor, whose rank it must not exceed.  `dim` is one dimension, several, or None for all.  Start with `_filled`.
"""
import rushlight as torch

from .ir import dtypes

__all__ = ["amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median", "norm",
           "normalize", "prod", "softmax", "softmin", "std", "sum", "var"]


def _input_mask(input, mask):
    """The mask as bools in the shape of the input; IndexError where its rank is higher."""
    if mask.ndim > input.ndim:
        raise IndexError("_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)")
    return (mask if mask.shape == input.shape else torch.broadcast_to(mask, input.shape)).bool()


def _filled(input, mask, neutral):
    """The input with a number where the mask is false."""
    if mask is None:
        return input
    return torch.where(_input_mask(input, mask), input, torch.tensor(neutral, dtype=input.dtype))


def _least(input):
    return float("-inf") if input.dtype.kind in "fc" else 0 if input.dtype is torch.bool else torch.iinfo(input.dtype).min


def _greatest(input):
    return float("inf") if input.dtype.kind in "fc" else 1 if input.dtype is torch.bool else torch.iinfo(input.dtype).max


def _dims(dim, input):
    """The dimensions meant, counted from the front, in order."""
    if dim is None or dim == ():
        return tuple(range(input.ndim))
    n, found = max(input.ndim, 1), []
    for d in (dim,) if isinstance(dim, int) else dim:
        if not -n <= d < n:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})")
        if d % n in found:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        found.append(d % n)
    return tuple(sorted(found))


def _dim(dim, input):
    return _dims(dim, input)[0]


def _sum_dtype(input, dtype):
    return dtype if dtype is not None else torch.int64 if input.dtype.is_integral else input.dtype


# Reductions ----------------------------------------------------------------------------------------------------------

def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The sum of the elements where the mask is true.

    >>> torch.masked.sum(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, mask=torch.tensor([True, False]))
    tensor([1., 3.])
    """
    return torch.sum(_filled(input, mask, 0), _dims(dim, input), bool(keepdim), dtype=_sum_dtype(input, dtype))


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The product of the elements where the mask is true."""
    result = _filled(input, mask, 1).to(_sum_dtype(input, dtype))
    for d in reversed(_dims(dim, input)):
        result = result.prod(d, bool(keepdim))
    return result


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The greatest element where the mask is true; the least number there is where there is none."""
    return torch.amax(_filled(input, mask, _least(input)), _dims(dim, input), bool(keepdim)).to(dtype or input.dtype)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The least element where the mask is true; the greatest number there is where there is none."""
    return torch.amin(_filled(input, mask, _greatest(input)), _dims(dim, input), bool(keepdim)).to(dtype or input.dtype)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Where the greatest element is; the result has the input's dtype unless another is named."""
    return torch.argmax(_filled(input, mask, _least(input)), dim, bool(keepdim)).to(dtype or input.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """Where the least element is; the result has the input's dtype unless another is named."""
    return torch.argmin(_filled(input, mask, _greatest(input)), dim, bool(keepdim)).to(dtype or input.dtype)


def _count(input, dim, keepdim, mask):
    """How many elements there are where the mask is true."""
    there = torch.ones(input.shape, dtype=torch.int64) if mask is None else _input_mask(input, mask)
    return torch.sum(there, _dims(dim, input), bool(keepdim))


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The mean of the elements where the mask is true, NaN where there is none."""
    wanted = input.dtype if dtype is None else dtype
    if wanted.kind not in "fc":
        raise ValueError(f"mean(): Could not infer output dtype. {'Input' if dtype is None else 'Optional'} dtype must be either a floating "
                         f"point or complex dtype. Got: {wanted}")
    return sum(input, dim, keepdim=keepdim, dtype=wanted, mask=mask) / _count(input, dim, keepdim, mask)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """The median of the elements where the mask is true, NaN where there is none (ValueError for integers)."""
    floating = input.dtype.kind == "f"
    found = torch.nanmedian(_filled(input if floating else input.float(), mask, float("nan")), _dim(dim, input), keepdim).values
    if floating:
        return found
    if found.isnan().any():
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return found.to(input.dtype if dtype is None else dtype)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The logarithm of the sum of the exponentials where the mask is true."""
    return torch.logsumexp(_filled(input, mask, _least(input)), _dims(dim, input), keepdim=keepdim).to(dtype or input.dtype)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """log(exp(input) + exp(other)) of those of the two that their masks show."""
    left, right = _filled(input, input_mask, _least(input)), _filled(other, other_mask, _least(other))
    return torch.logaddexp(left, right).to(dtype or input.dtype)


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The vector norm of the elements where the mask is true."""
    neutral = _greatest(input) if ord == float("-inf") else 0
    return torch.linalg.vector_norm(_filled(input, mask, neutral), ord, _dims(dim, input), bool(keepdim), dtype=dtype or input.dtype)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The variance of the elements where the mask is true, over their number less the `correction` (1)."""
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 0.0 if unbiased is False else 1.0
    wanted = dtype or (input.dtype if input.dtype.kind in "fc" else dtypes.float32)
    compute = wanted if wanted.kind in "fc" else dtypes.float32
    gap = input - sum(input, dim, keepdim=True, dtype=wanted, mask=mask) / _count(input, dim, True, mask)
    total = sum(gap * gap.conj(), dim, keepdim=keepdim, dtype=compute, mask=mask)
    count = _count(input, dim, keepdim, mask)
    if correction:
        count = (count.to(compute.to_real()) - correction).clamp(min=0)
    return (total / count).to(wanted)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The root of `var`."""
    return var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask).sqrt()


# Along one dimension, shape kept -------------------------------------------------------------------------------------

def cumsum(input, dim, *, dtype=None, mask=None):
    """Running sums of the elements where the mask is true."""
    wanted = dtype or input.dtype
    return torch.cumsum(_filled(input, mask, 0), _dim(dim, input), dtype=wanted)


def cumprod(input, dim, *, dtype=None, mask=None):
    """Running products of the elements where the mask is true."""
    wanted = dtype or input.dtype
    return torch.cumprod(_filled(input, mask, 1), _dim(dim, input), dtype=wanted)


def softmax(input, dim, *, dtype=None, mask=None):
    """Shares of exponentials: zero where the mask is false, NaN where it is false everywhere."""
    return torch.nn.functional.softmax(_filled(input, mask, _least(input)), _dim(dim, input), dtype=dtype or input.dtype)


def log_softmax(input, dim, *, dtype=None, mask=None):
    """The logarithm of `softmax`."""
    return torch.nn.functional.log_softmax(_filled(input, mask, _least(input)), _dim(dim, input), dtype=dtype or input.dtype)


def softmin(input, dim, *, dtype=None, mask=None):
    """`softmax` of the negated input."""
    return torch.nn.functional.softmin(_filled(input, mask, _greatest(input)), _dim(dim, input), dtype=dtype or input.dtype)


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """The elements over their norm, both where the mask is true; a norm below `eps` counts as that."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _filled(input, mask, 0) / torch.maximum(length, length.new_full([], eps))
