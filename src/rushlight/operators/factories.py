"""Tensors from nothing: zeros, ones, ranges, and the like; tensors as others are (`*_like`, `new_*`).

    zeros(2, 3)          ->  memory, at once, where it is little
    zeros(2000, 3000)    ->  expand(constant 0)       nothing is stored until somebody looks
    arange(n)            ->  iota(n)
    empty(2, 3)          ->  memory, at once

Public functions sort out sizes and dtype (`sizes_of`, `dtype_wanted`), call one of a few operators, and apply to what it makes the settings
that all of them share (`finish`).  Start with `filled`.
"""
import math
from numbers import Number

import numpy as np

from ..ir import dtypes, graph
from ..runtime import storage as storages
from ..runtime.recorder import dtype_of_number
from ..tensors import creation, meta, parts
from ..tensors.creation import dtype_wanted, get_default_dtype
from ..tensors.device import META, channels_last, channels_last_3d, contiguous_format, dimension_order, only_strided, preserve_format, usable
from ..tensors.tensor import Tensor, plain
from .building import apply, cast, elementwise, expand_to, strides_like
from .definition import Extent, Extents, attach, exported, operator, resize_out
from .index_checks import check_fits

# ---------------------------------------------------------------------------------------------------------------------
# The operators

@operator(methods=False, namespace=False, out=False)
def filled(size: Extents, fill_value: Number, dtype: dtypes.DType) -> Tensor:
    """A tensor of one number."""
    return expand_to(cast(fill_value, dtype), tuple(size))


@operator(methods=False, namespace=False, out=False, differentiable=False)
def filled_like(input: Tensor, fill_value: Number, dtype: dtypes.DType) -> Tensor:
    """A tensor of one number, laid out as another one is."""
    out = expand_to(cast(fill_value, dtype), tuple(input.shape))
    return strides_like(apply(lambda n: n, (out,)), input)


@operator(methods=False, namespace=False, out=False)
def ranged(count: Extent, start: Number, step: Number, dtype: dtypes.DType) -> Tensor:
    """start, start + step, ...: computed in int64 or float64."""
    wide = dtypes.int64 if start.dtype.is_integral and step.dtype.is_integral else dtypes.float64
    places = cast(apply(lambda: graph.iota(count), ()), wide)
    steps = elementwise("mul", places, expand_to(cast(step, wide), (count,)))
    return cast(elementwise("add", steps, expand_to(cast(start, wide), (count,))), dtype)


@operator(methods=False, namespace=False, out=False)
def spaced(count: Extent, start: Number, end: Number, dtype: dtypes.DType, base: Number | None) -> Tensor:
    """`count` numbers from start to end, both included, or powers of `base` with these exponents; counted from the nearer end, so that
    both are met exactly."""
    complex_ = "c" in (start.dtype.kind, end.dtype.kind, dtype.kind)
    wide = dtypes.complex128 if complex_ else dtype if dtype in (dtypes.float32, dtypes.float64) else dtypes.float64
    line = lambda x: expand_to(cast(x, wide), (count,))  # noqa: E731
    places = apply(lambda: graph.iota(count), ())
    last = elementwise("sub", line_of_extent(count), expand_to(constant_int(1), (count,)))
    intervals = cast(elementwise("maximum", last, expand_to(constant_int(1), (count,))), wide)
    step = elementwise("div", elementwise("sub", line(end), line(start)), intervals)
    forward = elementwise("add", line(start), elementwise("mul", step, cast(places, wide)))
    backward = elementwise("sub", line(end), elementwise("mul", step, cast(elementwise("sub", last, places), wide)))
    half = elementwise("floor_divide", line_of_extent(count), expand_to(constant_int(2), (count,)))
    near = elementwise("or", elementwise("lt", places, half), elementwise("eq", last, expand_to(constant_int(0), (count,))))
    out = elementwise("where", near, forward, backward)
    if base is not None:
        out = elementwise("pow", line(base), out)
    return cast(out, dtype)


def constant_int(n):
    """An int64 constant inside a body."""
    from .building import constant
    return constant(n, dtypes.int64)


def line_of_extent(count):
    """The extent itself, `count` times."""
    return expand_to(constant_int(count), (count,))


@operator(methods=False, namespace=False, out=False)
def identity(rows: Extent, columns: Extent, dtype: dtypes.DType) -> Tensor:
    """Ones on the diagonal."""
    down, right = (apply(lambda n=n: graph.iota(n), ()) for n in (rows, columns))
    down = expand_to(apply(graph.reshape, (down,), (rows, 1)), (rows, columns))
    return cast(elementwise("eq", down, expand_to(right, (rows, columns))), dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Sizes and settings

def sizes_of(arguments, name, size=None):
    """Extents given one by one, as one sequence, or by keyword."""
    if size is not None:
        arguments = (size,)
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        arguments = tuple(arguments[0])
    for n in arguments:
        if isinstance(n, (bool, float, complex, str)) or n is None:
            raise TypeError(f"{name}(): argument 'size' must be tuple of ints, but found element of type {type(n).__name__}")
        if not isinstance(n, Tensor) and not hasattr(n, "__index__"):
            raise TypeError(f"{name}(): argument 'size' must be tuple of ints, but found element of type {type(n).__name__}")
    size = tuple(n.__index__() for n in arguments)
    for n in size:
        if n < 0:
            raise RuntimeError(f"{name}: Trying to create tensor with negative dimension {n}: {list(size)}")
    return size


def memory(shape, dtype, strides=None, device=None, requires_grad=False):
    """A tensor over memory as it comes; over none on "meta", or where only shapes are asked for."""
    if usable(device) is META:
        made = meta.of_layout(shape, strides or graph.row_major(shape), dtype)
    elif meta.only_shapes():
        made = meta.without_memory(shape, strides or graph.row_major(shape), dtype)
    else:
        made = plain(storages.fresh(shape, dtype, strides))
    return made.requires_grad_() if requires_grad else made


def finish(made, out=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False):
    """The settings that all factories share, applied to what was made."""
    only_strided(layout)
    if usable(device) is META:
        made = meta.on_meta(made)
    if memory_format in (channels_last, channels_last_3d):
        made = made.contiguous(memory_format=memory_format)
    if out is not None:
        if made.ndim == 1 and out.numel() == made.numel():  # a sequence of numbers goes into any shape that holds as many
            made = made.view(out.shape)
        resize_out(out, made.shape)
        return out.copy_(made)
    return made.requires_grad_() if requires_grad else made


def _filled(name, value, arguments, size, dtype, settings, default=None):
    only_strided(settings.get("layout"))
    usable(settings.get("device"))
    out = settings.get("out")
    if out is not None:
        if dtype is not None and dtype_wanted(dtype, None) is not out.dtype:
            raise RuntimeError(f"dtype {dtype} does not match dtype of out parameter ({out.dtype})")
        dtype = out.dtype
    dtype = dtype_wanted(dtype, default or get_default_dtype())
    check_fits(dtype, value)
    shape = sizes_of(arguments, name, size)
    made = parts.filled(shape, value, dtype)
    return finish(filled.operator.call(shape, value, dtype) if made is None else made, **settings)


@exported
def zeros(*args, size=None, dtype=None, **settings):
    """Zeros.

    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    return _filled("zeros", 0, args, size, dtype, settings)


@exported
def ones(*args, size=None, dtype=None, **settings):
    """Ones."""
    return _filled("ones", 1, args, size, dtype, settings)


@exported
def full(size, fill_value, *, dtype=None, **settings):
    """`fill_value` everywhere; without `dtype` in the dtype that the number has by itself."""
    if isinstance(fill_value, Tensor):
        default = fill_value.dtype
        fill_value = fill_value.item()
    else:
        default = own_dtype(fill_value)
    return _filled("full", fill_value, (size,) if isinstance(size, (tuple, list)) else size, None, dtype, settings, default)


def own_dtype(number):
    """The dtype of a Python number when nobody says otherwise."""
    if isinstance(number, np.generic):
        number = number.item()
    if type(number) not in (bool, int, float, complex):
        raise TypeError(f"full(): argument 'fill_value' must be Number, not {type(number).__name__}")
    d = dtype_of_number(number)
    return {"f": get_default_dtype(), "c": get_default_dtype().to_complex()}.get(d.kind, d)


@exported
def scalar_tensor(s, *, dtype=None, **settings):
    """A number as a 0-dimensional tensor, of the default dtype."""
    return _filled("scalar_tensor", s.item() if isinstance(s, Tensor) else s, (), None, dtype, settings)


@exported
def empty(*args, size=None, dtype=None, memory_format=contiguous_format, **settings):
    """Memory as it comes: what it holds is not said."""
    only_strided(settings.get("layout"))
    usable(settings.get("device"))
    shape = sizes_of(args, "empty", size)
    out = settings.pop("out", None)
    if out is not None:
        return out.resize_(shape) if out.shape != shape else out
    if memory_format in (None, contiguous_format):
        strides = None
    else:
        strides = storages.strides_in_order(shape, dimension_order(memory_format, len(shape)))
    return memory(shape, dtype_wanted(dtype, get_default_dtype()), strides, settings.get("device"), settings.get("requires_grad"))


@exported
def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Memory as it comes, with these strides."""
    only_strided(layout)
    usable(device)
    shape = sizes_of((size,), "empty_strided")
    stride = tuple(s.__index__() for s in stride)
    if len(shape) != len(stride):
        raise RuntimeError(f"empty_strided: dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(stride)})")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"empty_strided: strides must not be negative, but they are {stride}")
    return memory(shape, dtype_wanted(dtype, get_default_dtype()), stride, device, requires_grad)


@exported
def empty_permuted(size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Memory as it comes, its dimensions in the order `physical_layout` from the outermost to the innermost."""
    shape = sizes_of((size,), "empty_permuted")
    order = tuple(physical_layout)
    if len(order) != len(shape):
        raise RuntimeError(f"empty_permuted: Number of dimensions in size ({len(shape)}) does not match the length of the physical_layout "
                           f"({len(order)})")
    if any(not 0 <= d < len(shape) for d in order):
        bad = next(d for d in order if not 0 <= d < len(shape))
        raise RuntimeError(f"empty_permuted: Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {bad}).  NB: "
                           f"negative dims not currently supported")
    if len(set(order)) != len(order):
        raise RuntimeError(f"empty_permuted: Duplicate dim not allowed: {order}")
    return empty_strided(shape, storages.strides_in_order(shape, order), dtype=dtype, layout=layout, device=device,
                         requires_grad=requires_grad)


@exported
def arange(start=0, end=None, step=1, *, out=None, dtype=None, **settings):
    """start, start + step, ... as long as it is below `end`.

    >>> torch.arange(3)
    tensor([0, 1, 2])
    """
    if end is None:
        start, end = 0, start
    start, end, step = (x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step))
    for x in (start, end, step):
        if not isinstance(x, (bool, int, float)):
            raise TypeError(f"arange(): expected numbers, but got {type(x).__name__}")
    whole = all(isinstance(x, int) for x in (start, end, step))
    if out is not None and dtype is None:
        dtype = out.dtype
    dtype = dtype_wanted(dtype, dtypes.int64 if whole else get_default_dtype())
    if dtype is dtypes.int64 and not whole:
        start, end, step = int(start), int(end), int(step)
        if not step:
            raise ValueError("arange: step must be nonzero")
    count = _count(start, end, step, "arange")
    if dtype.is_integral and not whole:
        start, step = int(start), int(step)
    return finish(ranged.operator.call(count, start, step, dtype), out=out, **settings)


def _count(start, end, step, name):
    if not step:
        raise RuntimeError(f"{name}: step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"{name}: unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError(f"{name}: upper bound and lower bound inconsistent with step sign: start={start}, end={end}, step={step}")
    if all(isinstance(x, int) for x in (start, end, step)):
        return -((start - end) // step)
    return math.ceil((end - start) / step)


@exported(name="range")
def range_including_end(start=0, end=None, step=1, *, out=None, dtype=None, **settings):
    """As `arange`, but `end` is part of it (deprecated in PyTorch)."""
    start, end = (0, start) if end is None else (start, end)
    dtype = dtype_wanted(dtype, get_default_dtype() if out is None else out.dtype)
    _count(start, end, step, "range")
    return finish(ranged.operator.call(int((end - start) / step) + 1, start, step, dtype), out=out, **settings)


@exported
def linspace(start, end, steps, *, out=None, dtype=None, **settings):
    """`steps` numbers from `start` to `end` at equal distances, both ends included."""
    return _spaced("linspace", start, end, steps, None, out, dtype, settings)


@exported
def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, **settings):
    """`base` to the power of `steps` numbers from `start` to `end` at equal distances."""
    return _spaced("logspace", start, end, steps, float(base), out, dtype, settings)


def _spaced(name, start, end, steps, base, out, dtype, settings):
    for label, x in (("start", start), ("end", end)):
        if isinstance(x, Tensor) and x.ndim:
            raise RuntimeError(f"{name} only supports 0-dimensional start and end tensors, but got {label} of shape {tuple(x.shape)}")
    is_complex = any(isinstance(x, complex) or isinstance(x, Tensor) and x.is_complex() for x in (start, end))
    start, end = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    if isinstance(steps, bool) or not hasattr(steps, "__index__"):
        raise TypeError(f"{name}(): argument 'steps' must be int, not {type(steps).__name__}")
    steps = steps.__index__()
    if steps < 0:
        raise RuntimeError(f"{name}: number of steps must be non-negative, but got {steps}")
    if out is not None and dtype is None:
        dtype = out.dtype
    default = get_default_dtype().to_complex() if is_complex else get_default_dtype()
    dtype = dtype_wanted(dtype, default)
    if is_complex and dtype.kind != "c":
        raise RuntimeError(f"{name}: complex ends do not go into {dtype}")
    if dtype.is_integral:
        start, end = int(start), int(end)
    return finish(spaced.operator.call(steps, start, end, dtype, base), out=out, **settings)


@exported
def eye(n, m=None, *, out=None, dtype=None, **settings):
    """The identity matrix, or n by m with ones on the diagonal."""
    rows, columns = sizes_of((n, n if m is None else m), "eye")
    if out is not None and dtype is None:
        dtype = out.dtype
    return finish(identity.operator.call(rows, columns, dtype_wanted(dtype, get_default_dtype())), out=out, **settings)


# ---------------------------------------------------------------------------------------------------------------------
# As another tensor is

def like(input, value, dtype=None, memory_format=preserve_format, **settings):
    """A tensor of one number, of the shape, dtype and layout of another."""
    if not isinstance(input, Tensor):
        raise TypeError(f"argument 'input' must be Tensor, not {type(input).__name__}")
    dtype = dtype_wanted(dtype, input.dtype)
    check_fits(dtype, value)
    only_strided(settings.get("layout"))
    usable(settings.get("device"))
    if memory_format is preserve_format or memory_format is None:
        return finish(filled_like.operator.call(input, value, dtype), **settings)
    return finish(filled.operator.call(tuple(input.shape), value, dtype), memory_format=memory_format, **settings)


@exported
def zeros_like(input, *, dtype=None, memory_format=preserve_format, **settings):
    """Zeros of the shape, dtype and layout of another tensor."""
    return like(input, 0, dtype, memory_format, **settings)


@exported
def ones_like(input, *, dtype=None, memory_format=preserve_format, **settings):
    """Ones of the shape, dtype and layout of another tensor."""
    return like(input, 1, dtype, memory_format, **settings)


@exported
def full_like(input, fill_value, *, dtype=None, memory_format=preserve_format, **settings):
    """One number, in the shape, dtype and layout of another tensor."""
    return like(input, fill_value, dtype, memory_format, **settings)


@exported
def empty_like(input, *, dtype=None, memory_format=preserve_format, **settings):
    """Memory as it comes, of the shape, dtype and layout of another tensor."""
    shape, dtype = tuple(input.shape), dtype_wanted(dtype, input.dtype)
    only_strided(settings.get("layout"))
    usable(settings.get("device"))
    if memory_format is preserve_format or memory_format is None:
        strides = strides_preserved(shape, input.stride())
    else:
        strides = storages.strides_in_order(shape, dimension_order(memory_format, len(shape)))
    return memory(shape, dtype, strides, settings.get("device"), settings.get("requires_grad"))


def strides_preserved(shape, strides):
    """The strides of a dense tensor whose dimensions lie in the order of these."""
    order = storages.dense_order(shape, strides)
    if order is None:
        if any(s == 0 and n > 1 for n, s in zip(shape, strides)):
            return graph.row_major(shape)
        order = tuple(sorted(range(len(shape)), key=lambda i: (-strides[i], i)))
    return storages.strides_in_order(shape, order)


def _new(name, make):
    def method(self, *args, dtype=None, device=None, **settings):
        return make(*args, dtype=self.dtype if dtype is None else dtype, device=device, **settings)
    method.__name__, method.__doc__ = name, f"`torch.{name[4:]}` in this tensor's dtype."
    attach(name, method)


for _name, _make in {"new_zeros": zeros, "new_ones": ones, "new_empty": empty, "new_full": full,
                     "new_empty_strided": empty_strided}.items():
    _new(_name, _make)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """A copy of `data` in this tensor's dtype."""
    usable(device)
    return creation.tensor(data, dtype=self.dtype if dtype is None else dtype, requires_grad=requires_grad)


attach("new_tensor", new_tensor)
