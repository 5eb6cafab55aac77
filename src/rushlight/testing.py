"""torch.testing: comparing tensors in tests."""
from collections.abc import Mapping, Sequence

import numpy as np

from . import complex as complex_of
from . import rand, randint
from .ir import dtypes
from .tensors.creation import as_tensor
from .tensors.tensor import Tensor

_TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
               "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7)}


def assert_close(actual, expected, *, allow_subclasses=True, rtol=None, atol=None, equal_nan=False, check_device=True, check_dtype=True,
                 check_layout=True, check_stride=False, msg=None):
    """AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere, and shapes and dtypes agree.

    Takes tensors, what becomes one (numbers, NumPy arrays), and sequences and mappings of them.  Without tolerances, those of the
    dtype are taken.  https://docs.pytorch.org/docs/stable/testing.html#torch.testing.assert_close

    >>> torch.testing.assert_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        raise ValueError("assert_close: rtol and atol are given both or neither")

    def fail(where, text):
        text = text + (f"\n\nThe failure occurred for item {where}" if where else "")
        raise AssertionError(msg(text) if callable(msg) else msg or text)

    def compare(a, b, where):
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            if a.keys() != b.keys():
                fail(where, f"The keys of the mappings do not match:\n{sorted(map(str, a))}\n{sorted(map(str, b))}")
            for name in a:
                compare(a[name], b[name], f"{where}[{name!r}]")
        elif isinstance(a, Sequence) and isinstance(b, Sequence) and not isinstance(a, str):
            if len(a) != len(b):
                fail(where, f"The length of the sequences mismatch: {len(a)} != {len(b)}")
            for i, (x, y) in enumerate(zip(a, b)):
                compare(x, y, f"{where}[{i}]")
        elif a is None or b is None:
            if a is not b:
                fail(where, f"None mismatch: {a} is not {b}")
        else:
            compare_tensors(a, b, where)

    def compare_tensors(a, b, where):
        numbers = not isinstance(a, Tensor) and not isinstance(b, Tensor)
        a, b = as_tensor(a).detach(), as_tensor(b).detach()
        if a.shape != b.shape:
            fail(where, f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}.")
        if check_dtype and not numbers and a.dtype is not b.dtype:
            fail(where, f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}.")
        if check_stride and a.stride() != b.stride():
            fail(where, f"The values for attribute 'stride()' do not match: {a.stride()} != {b.stride()}.")
        relative, absolute = (rtol, atol) if rtol is not None else tuple(
            max(t) for t in zip(*(_TOLERANCES.get(x.dtype.name, (0.0, 0.0)) for x in (a, b))))
        x, y = (_wide(t) for t in (a, b))
        with np.errstate(all="ignore"):
            difference = np.abs(x - y)
            close = (x == y) | (difference <= absolute + relative * np.abs(y)) & np.isfinite(y)
            if equal_nan:
                close |= np.isnan(x) & np.isnan(y)
        if close.all():
            return
        if close.ndim == 0:
            fail(where, f"Scalars are not {'equal' if relative == absolute == 0 else 'close'}!\n\nExpected {b.item()} but got {a.item()}.\n"
                        f"Absolute difference: {difference.item()} (up to {absolute} allowed)\n"
                        f"Relative difference: {_ratio(difference, y).item()} (up to {relative} allowed)")
        difference = np.where(close, 0, difference)
        ratio = np.where(close, 0, _ratio(difference, y))
        worst, steepest = (np.unravel_index(int(np.nanargmax(np.nan_to_num(d, nan=np.inf))), d.shape) for d in (difference, ratio))
        wrong = int((~close).sum())
        fail(where, f"Tensor-likes are not {'equal' if relative == absolute == 0 else 'close'}!\n\n"
                    f"Mismatched elements: {wrong} / {close.size} ({100 * wrong / close.size:.1f}%)\n"
                    f"Greatest absolute difference: {difference[worst]} at index {tuple(map(int, worst))} (up to {absolute} allowed)\n"
                    f"Greatest relative difference: {ratio[steepest]} at index {tuple(map(int, steepest))} (up to {relative} allowed)")

    compare(actual, expected, "")


def _wide(tensor):
    """The values in a NumPy dtype in which differences can be taken."""
    array = tensor.numpy() if tensor.dtype.name != "bfloat16" else tensor.float().numpy()
    return array.astype(np.complex128 if tensor.dtype.kind == "c" else np.float64 if tensor.dtype.kind == "f" else np.int64)


def _ratio(difference, expected):
    with np.errstate(all="ignore"):
        return difference / np.abs(expected)


def make_tensor(*shape, dtype, device=None, low=None, high=None, requires_grad=False, noncontiguous=False, exclude_zero=False,
                memory_format=None):
    """Random numbers between `low` and `high` (defaults: -9 to 9, for unsigned ones 0 to 9).
    https://docs.pytorch.org/docs/stable/testing.html#torch.testing.make_tensor

    noncontiguous: with gaps between the elements.  exclude_zero: zeros are replaced by the smallest number.
    """
    shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    if noncontiguous and shape:
        shape = (*shape[:-1], 2 * shape[-1])
    if dtype is dtypes.bool_:
        low, high = 0 if low is None else low, 2 if high is None else high
    low = (0 if dtype.kind == "u" else -9) if low is None else low
    high = (10 if dtype.kind in "iu" else 9) if high is None else high
    if not low < high:
        raise ValueError(f"make_tensor: low ({low}) has to be less than high ({high})")
    if dtype.kind in "iub":
        result = randint(int(low), int(high), shape, dtype=dtypes.int64).to(dtype)
    elif dtype.kind == "c":
        result = complex_of(*((rand(shape, dtype=dtypes.float64) * (high - low) + low) for _ in range(2))).to(dtype)
    else:
        result = (rand(shape, dtype=dtypes.float64) * (high - low) + low).to(dtype)
    if exclude_zero:
        result[result == 0] = 1 if dtype.kind in "iub" else 1e-4
    if noncontiguous and shape:
        result = result[..., ::2]
    return result.requires_grad_(requires_grad)
