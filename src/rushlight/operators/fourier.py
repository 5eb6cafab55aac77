"""Fourier transforms (torch.fft) and what windows and spectrograms are made of.

    transformed(x, dim)      complex to complex, along one dimension
    half(x, dim)             real to the first n // 2 + 1 complex numbers of its transform
    whole(x, n, dim)         back: n real numbers from the first n // 2 + 1 of their transform

Everything in `NAMESPACE` is these three along one dimension after the other, of input cut or filled up with zeros.  NumPy computes them
(pocketfft); each is linear, so its gradient is its transpose, one of the three again.  Start with `transformed`, then `fft`.
"""
import numpy as np

from ..ir import dtypes, graph
from ..tensors.creation import get_default_dtype
from ..tensors.tensor import Tensor
from .building import apply, wrap_dim
from .definition import Extent, for_users, operator
from .joining import rolled
from .reinterpretation import real_part

NAMESPACE = {}
_OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _run(x, which, dim, norm, n=None):
    function = {"fft": np.fft.fft, "ifft": np.fft.ifft, "rfft": np.fft.rfft}.get(which)
    y = function(x, axis=dim, norm=norm) if function else np.fft.irfft(x, n, axis=dim, norm=norm)
    double = x.dtype in (np.float64, np.complex128)
    return (y.astype((np.float64 if double else np.float32) if which == "irfft" else np.complex128 if double else np.complex64),)


def _library(which, x, shape, dtype, **settings):
    return apply(lambda a: graph.library(f"fft.{which}", _run, (a,), [(tuple(shape), dtype)], which=which, **settings)[0], (x,))


@operator(methods=False, namespace=False, out=False)
def transformed(input: Tensor, dim: int, inverse: bool, norm: str) -> Tensor:
    """The transform along one dimension, of complex numbers."""
    return _library("ifft" if inverse else "fft", input, input.shape, input.dtype, dim=dim, norm=norm)


@transformed.gradient
def transformed_gradient(grad, result, input, dim, inverse, norm):
    return transformed(grad, dim, not inverse, _OPPOSITE[norm])


@operator(methods=False, namespace=False, out=False)
def half(input: Tensor, dim: int, norm: str) -> Tensor:
    """The first half of the transform of real numbers; the rest is its mirror image."""
    shape = list(input.shape)
    shape[dim] = shape[dim] // 2 + 1
    return _library("rfft", input, shape, input.dtype.to_complex(), dim=dim, norm=norm)


@half.gradient
def half_gradient(grad, result, input, dim, norm):
    return real_part(transformed(resized(grad, dim, input.shape[dim]), dim, True, _OPPOSITE[norm]))


@operator(methods=False, namespace=False, out=False)
def whole(input: Tensor, n: Extent, dim: int, norm: str) -> Tensor:
    """n real numbers from the first half of their transform."""
    shape = list(input.shape)
    shape[dim] = n
    return _library("irfft", input, shape, input.dtype.to_real(), dim=dim, norm=norm, n=n)


@whole.gradient
def whole_gradient(grad, result, input, n, dim, norm):
    """Each number but the first, and the last of an even n, stands for its mirror image too."""
    once = half(grad, dim, _OPPOSITE[norm])
    twice = once + once
    end = (n + 1) // 2
    parts = [_part(once, dim, 0, 1), _part(twice, dim, 1, end - 1), _part(once, dim, end, once.shape[dim] - end)]
    return apply(lambda *nodes: graph.cat(nodes, dim), tuple(parts))


def _part(x, dim, start, count):
    starts, shape = [0] * x.ndim, list(x.shape)
    starts[dim], shape[dim] = start, count
    return apply(graph.slice, (x,), tuple(starts), tuple(shape), (1,) * x.ndim)


@operator(methods=False, namespace=False, out=False)
def resized(input: Tensor, dim: int, n: Extent) -> Tensor:
    """Cut off behind n places along a dimension, or filled up with zeros."""
    have = input.shape[dim]
    if have >= n:
        return _part(input, dim, 0, n)
    return apply(graph.pad, (input,), tuple((0, n - have if d == dim else 0) for d in range(input.ndim)), 0)


# ---------------------------------------------------------------------------------------------------------------------
# What users call

def _offered(function):
    NAMESPACE[function.__name__] = for_users(function)
    return function


def _checked(name, x, n, dim, norm):
    """The dimension and the norm; PyTorch's errors."""
    if not isinstance(x, Tensor):
        raise TypeError(f"fft_{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if not x.ndim:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    if n is not None and n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return wrap_dim(dim, x.ndim), norm or "backward"


def _complex(x):
    if x.dtype.kind == "c":
        return x
    x = _real("", x)
    return x.to(x.dtype.to_complex())


def _real(name, x):
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name} expects a real input tensor, but got {x.dtype.name}")
    if x.dtype in (dtypes.float16, dtypes.bfloat16):
        raise RuntimeError(f"Unsupported dtype {x.dtype.name}")
    return x if x.dtype.kind == "f" else x.to(get_default_dtype())


def _fitted(x, dim, n):
    return x if n is None or n == x.shape[dim] else resized(x, dim, n)


def _along(name, x, s, dim):
    """[(dimension, its size or None)] of a transform of several dimensions."""
    if s is not None and not isinstance(s, (tuple, list)):
        s = (s,)
    if dim is not None and not isinstance(dim, (tuple, list)):
        dim = (dim,)
    if dim is None:
        dim = range(x.ndim) if s is None else range(x.ndim - len(s), x.ndim)
    dim = [wrap_dim(d, x.ndim) for d in dim]
    if len(set(dim)) != len(dim):
        raise RuntimeError("FFT dims must be unique")
    if s is not None and len(s) != len(dim):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    sizes = [None] * len(dim) if s is None else [None if n == -1 else n for n in s]
    for n in sizes:
        if n is not None and n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return list(zip(dim, sizes))


def _written(result, out, name):
    """The result, put into `out` where there is one."""
    if out is None:
        return result
    if out.dtype is not result.dtype:
        raise RuntimeError(f"fft_{name}: Expected out tensor to have dtype {result.dtype}, but got {out.dtype} instead")
    return out.resize_(result.shape).copy_(result)


def _simple(name, inverse):
    def function(input, n=None, dim=-1, norm=None, *, out=None):
        dim, norm = _checked(name, input, n, dim, norm)
        return _written(transformed(_fitted(_complex(input), dim, n), dim, inverse, norm), out, name)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The discrete Fourier transform{', inverted,' if inverse else ''} along a dimension, of input cut or filled with zeros to n places.

    norm: which way is divided by n: "backward" (the inverse), "forward", "ortho" (both by its root).
    https://docs.pytorch.org/docs/stable/generated/torch.fft.{name}.html
    """
    return _offered(function)


fft, ifft = _simple("fft", False), _simple("ifft", True)


@_offered
def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The first n // 2 + 1 places of the transform of real numbers.
    https://docs.pytorch.org/docs/stable/generated/torch.fft.rfft.html

    >>> torch.fft.rfft(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j])
    """
    dim, norm = _checked("rfft", input, n, dim, norm)
    return _written(half(_fitted(_real("rfft", input), dim, n), dim, norm), out, "rfft")


@_offered
def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    """n real numbers (2 (m - 1) if it is not given) from the first m of their transform.
    https://docs.pytorch.org/docs/stable/generated/torch.fft.irfft.html
    """
    dim, norm = _checked("irfft", input, n, dim, norm)
    n = 2 * (input.shape[dim] - 1) if n is None else n
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return _written(whole(_fitted(_complex(input), dim, n // 2 + 1), n, dim, norm), out, "irfft")


@_offered
def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The real transform of the first half of a signal that is its own mirror image.
    https://docs.pytorch.org/docs/stable/generated/torch.fft.hfft.html
    """
    return irfft(_complex(input).conj(), n, dim, _OPPOSITE[norm or "backward"], out=out)


@_offered
def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `hfft`.  https://docs.pytorch.org/docs/stable/generated/torch.fft.ihfft.html"""
    return _written(rfft(input, n, dim, _OPPOSITE[norm or "backward"]).conj().resolve_conj(), out, "ihfft")


def _several(name, inverse):
    def function(input, s=None, dim=None, norm=None, *, out=None):
        x = _complex(input)
        for d, n in _along(name, x, s, dim):
            x = (ifft if inverse else fft)(x, n, d, norm)
        return _written(x, out, name)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The transform{', inverted,' if inverse else ''} along several dimensions; `s` are the places of each.
    https://docs.pytorch.org/docs/stable/generated/torch.fft.{name}.html
    """
    return _offered(function)


fftn, ifftn = _several("fftn", False), _several("ifftn", True)


@_offered
def rfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The transform of real numbers along several dimensions; of the last, the first half.
    https://docs.pytorch.org/docs/stable/generated/torch.fft.rfftn.html
    """
    *others, (last, n) = _along("rfftn", input, s, dim)
    x = rfft(input, n, last, norm)
    for d, n in others:
        x = fft(x, n, d, norm)
    return _written(x, out, "rfftn")


@_offered
def irfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `rfftn`: real numbers.  https://docs.pytorch.org/docs/stable/generated/torch.fft.irfftn.html"""
    *others, (last, n) = _along("irfftn", input, s, dim)
    x = _complex(input)
    for d, m in others:
        x = ifft(x, m, d, norm)
    return _written(irfft(x, n, last, norm), out, "irfftn")


@_offered
def hfftn(input, s=None, dim=None, norm=None, *, out=None):
    """`hfft` along the last of several dimensions, `fft` along the others.
    https://docs.pytorch.org/docs/stable/generated/torch.fft.hfftn.html
    """
    *others, (last, n) = _along("hfftn", input, s, dim)
    x = _complex(input)
    for d, m in others:
        x = fft(x, m, d, norm)
    return _written(hfft(x, n, last, norm), out, "hfftn")


@_offered
def ihfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `hfftn`.  https://docs.pytorch.org/docs/stable/generated/torch.fft.ihfftn.html"""
    *others, (last, n) = _along("ihfftn", input, s, dim)
    x = ihfft(input, n, last, norm)
    for d, m in others:
        x = ifft(x, m, d, norm)
    return _written(x, out, "ihfftn")


def _of_two(function):
    name = function.__name__[:-1] + "2"

    def of_two(input, s=None, dim=(-2, -1), norm=None, *, out=None):
        return function(input, s, dim, norm, out=out)
    of_two.__name__ = of_two.__qualname__ = name
    of_two.__doc__ = f"""`{function.__name__}` along the last two dimensions.
    https://docs.pytorch.org/docs/stable/generated/torch.fft.{name}.html
    """
    return _offered(of_two)


fft2, ifft2, rfft2, irfft2, hfft2, ihfft2 = map(_of_two, (fftn, ifftn, rfftn, irfftn, hfftn, ihfftn))


# Frequencies ---------------------------------------------------------------------------------------------------------

@_offered
def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequency of each place of a transform of n samples that are `d` apart.
    https://docs.pytorch.org/docs/stable/generated/torch.fft.fftfreq.html

    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    from ..tensors.creation import tensor
    made = tensor(np.fft.fftfreq(n) * n, dtype=dtype or get_default_dtype()).mul_(1.0 / (n * d)).requires_grad_(requires_grad)
    return _written(made, out, "fftfreq")


@_offered
def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of the places that `rfft` gives.  https://docs.pytorch.org/docs/stable/generated/torch.fft.rfftfreq.html"""
    from ..tensors.creation import tensor
    made = tensor(np.arange(n // 2 + 1), dtype=dtype or get_default_dtype()).mul_(1.0 / (n * d)).requires_grad_(requires_grad)
    return _written(made, out, "rfftfreq")


def _shifted(input, dim, sign):
    dims = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = tuple(wrap_dim(d, input.ndim) for d in dims)
    moved = [input.shape[d] // 2 if sign > 0 else (input.shape[d] + 1) // 2 for d in dims]
    return rolled.operator.call(input, tuple(moved), dims) if dims else input.clone()


@_offered
def fftshift(input, dim=None):
    """The zero frequency moved to the middle.  https://docs.pytorch.org/docs/stable/generated/torch.fft.fftshift.html"""
    return _shifted(input, dim, 1)


@_offered
def ifftshift(input, dim=None):
    """The inverse of `fftshift`.  https://docs.pytorch.org/docs/stable/generated/torch.fft.ifftshift.html"""
    return _shifted(input, dim, -1)
