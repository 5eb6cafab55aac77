"""Pooling: one number for each window, or for each of a wished number of parts.

    max_pool    value and place travel together, one spatial dimension after the other: k + k comparisons a window, not k * k
    avg_pool    the same with sums; at the borders the divisor counts the places that are there
    adaptive    part i of n covers floor(i * size / n) to ceil((i + 1) * size / n): gathered to a common length, the surplus hidden

Images come in as (planes, *size), and places are positions in a plane, in row-major order.  The gradient of a maximum goes to the
place that was chosen: where windows are laid side by side, each place asks whether it was, else by a scatter.
"""
import itertools

from ..ir import dtypes, graph, limits
from ..ir.extents import product, settled
from ..tensors.tensor import Tensor
from .building import apply, binary, cast, choose, constant, elementwise, expand_to, repeated
from .definition import Extents, exported, operator
from .index_checks import extremes
from .patches import Grid, lengthened, overlaid, per_dimension, surrounded
from .products import shaped
from .sorting import along


def _lowest(dtype):
    return float("-inf") if dtype.kind == "f" else limits.iinfo(dtype).min


def line_of(n):
    """0, 1, ..., n - 1 as int64."""
    return apply(lambda: graph.iota(n), ())


def beside(line, x, axis):
    """A vector along one dimension of x, repeated along the others."""
    return expand_to(shaped(line, *(line.shape[0] if i == axis else 1 for i in range(x.ndim))), x.shape)


def taken(x, axis, start, count, step):
    """Every `step`-th place along one dimension."""
    starts, steps = (tuple(v if i == axis else other for i in range(x.ndim)) for v, other in ((start, 0), (step, 1)))
    return apply(graph.slice, (x,), starts, tuple(count if i == axis else n for i, n in enumerate(x.shape)), steps)


def _fitted(grid, size, ceil_mode):
    """(windows a dimension, the grid with as much padding behind as the last ones need)."""
    if not ceil_mode:
        return grid.counts(size), grid
    counts, padding = [], []
    for n, (k, s, d, (low, high)) in zip(size, grid.along()):
        span = d * (k - 1) + 1
        count = settled((n + low + high - span + s - 1) // s + 1)
        if (count - 1) * s >= n + low:  # it would begin behind the image
            count = count - 1
        missing = (count - 1) * s + span - n - low
        counts.append(count)
        padding.append((low, missing if missing > high else high))
    return tuple(counts), Grid(grid.kernel, grid.stride, grid.dilation, tuple(padding))


def in_planes(x, dims):
    return shaped(x, product(x.shape[:x.ndim - dims]), *x.shape[x.ndim - dims:])


# Maxima --------------------------------------------------------------------------------------------------------------

def better(candidate, best):
    """Whether a candidate takes the place of the best so far: greater, or NaN."""
    above = elementwise("gt", candidate, best)
    return elementwise("or", above, elementwise("isnan", candidate)) if candidate.dtype.kind == "f" else above


def _first_places(n, k, s, d, low):
    """The first place of each of n windows that lies inside the image."""
    start = binary("sub", binary("mul", line_of(n), s), low)
    if low == 0:
        return start
    turns = binary("floor_divide", binary("add", binary("maximum", binary("mul", start, -1), 0), d - 1), d)
    return binary("add", start, binary("mul", turns, d))


def _greatest(x, grid, counts):
    """(values, places) of each window's maximum; x is (planes, *size)."""
    size, value, place = x.shape[1:], x, None
    rows = graph.row_major(size)
    start = None  # where a window begins, for those in which nothing is greater than the least of all
    for axis in range(len(size), 0, -1):
        i = axis - 1
        k, s, d, (low, high) = grid.kernel[i], grid.stride[i], grid.dilation[i], grid.padding[i]
        count, widths = counts[i], tuple((low, high) if a == axis else (0, 0) for a in range(value.ndim))
        value = apply(graph.pad, (value,), widths, _lowest(x.dtype))
        place = None if place is None else apply(graph.pad, (place,), widths)
        best = taken(value, axis, 0, count, s)
        best = repeated(best, _lowest(x.dtype))
        first = binary("mul", beside(_first_places(count, k, s, d, low), best, axis), constant(rows[i], dtypes.int64))
        start = first if start is None else binary("add", first, expand_to(taken(start, axis, 0, 1, 1), best.shape))
        chosen = start
        for tap in range(k):
            candidate = taken(value, axis, tap * d, count, s)
            at = binary("mul", binary("add", binary("mul", line_of(count), s), tap * d - low), constant(rows[i], dtypes.int64))
            at = beside(at, best, axis)
            at = at if place is None else binary("add", at, taken(place, axis, tap * d, count, s))
            take = better(candidate, best)
            best, chosen = elementwise("where", take, candidate, best), elementwise("where", take, at, chosen)
        value, place = best, chosen
    return value, place


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def greatest_of_windows(input: Tensor, grid: Grid, ceil_mode: bool) -> tuple:
    """(values, places) of the maximum of each window of (..., *size)."""
    dims = len(grid.kernel)
    lead, size = input.shape[:input.ndim - dims], input.shape[input.ndim - dims:]
    counts, grid = _fitted(grid, size, ceil_mode)
    values, places = _greatest(in_planes(input, dims), grid, counts)
    return shaped(values, *lead, *counts), shaped(places, *lead, *counts)


@greatest_of_windows.gradient
def greatest_of_windows_gradient(grads, results, input, grid, ceil_mode):
    dims = len(grid.kernel)
    size = input.shape[input.ndim - dims:]
    counts, grid = _fitted(grid, size, ceil_mode)
    if not ceil_mode and all(k <= s and d == 1 and padding == (0, 0) for k, s, d, padding in grid.along()):
        return shaped(_to_the_chosen(in_planes(grads[0], dims), in_planes(input, dims), grid, counts), *input.shape)
    return placed(grads[0], results[1], tuple(size), "add")


def _to_the_chosen(grad, x, grid, counts):
    """Where no two windows share a place and none goes beyond the image: each window hands its gradient to the place that is chosen in it,
    and zeros to the others; x is (planes, *size).

    The places of a kernel, each for all windows, are written between each other: (planes, windows, steps, windows, steps, ...)."""
    size, best, takes = x.shape[1:], None, {}
    for tap in itertools.product(*map(range, grid.kernel)):
        candidate = x
        for i, place in enumerate(tap):
            candidate = taken(candidate, 1 + i, place, counts[i], grid.stride[i])
        if best is None:
            best, takes[tap] = candidate, None
        else:
            takes[tap] = better(candidate, best)
            best = elementwise("where", takes[tap], candidate, best)
    zeros, later, parts = repeated(grad, 0), None, {}
    for tap, take in reversed(takes.items()):  # what is not taken by a later place
        here = take if later is None else elementwise("not", later) if take is None else elementwise("and", take, elementwise("not", later))
        parts[tap] = grad if here is None else elementwise("where", here, grad, zeros)
        later = take if later is None or take is None else elementwise("or", later, take)

    def between(tap):
        if len(tap) == len(size):
            return shaped(parts.get(tap, zeros), grad.shape[0], *(n for count in counts for n in (count, 1)))
        places = [between((*tap, i)) for i in range(grid.stride[len(tap)])]
        return apply(lambda *nodes: graph.cat(nodes, 2 + 2 * len(tap)), places) if len(places) > 1 else places[0]
    out = shaped(between(()), x.shape[0], *(count * s for count, s in zip(counts, grid.stride)))
    for i, n in enumerate(size):
        out = lengthened(out, 1 + i, 0, n)
    return out


@operator(methods=False, namespace=False, out=False)
def placed(input: Tensor, places: Tensor, size: Extents, name: str) -> Tensor:
    """Numbers put (`name` "set") or added ("add") to places of planes of zeros: (..., *size)."""
    dims = len(size)
    lead = input.shape[:input.ndim - dims]
    planes = product(lead)
    values, at = (shaped(t, planes, product(t.shape[t.ndim - dims:])) for t in (input, places))
    own = expand_to(shaped(line_of(planes), planes, 1), at.shape)
    zeros = expand_to(constant(0, input.dtype), (planes, product(size)))
    out = apply(lambda z, v, *ix: graph.scatter(name, z, ix, (0, 1), v), (zeros, values, own, at))
    return shaped(out, *lead, *size)


def _pool_settings(name, dims, input, kernel_size, stride, padding, dilation=1):
    """A Grid, with PyTorch's errors."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(input).__name__}")
    kernel = per_dimension(name, "kernel_size", kernel_size, dims)
    stride = kernel if stride is None or stride == () or stride == [] else per_dimension(name, "stride", stride, dims)
    padding, dilation = per_dimension(name, "padding", padding, dims), per_dimension(name, "dilation", dilation, dims)
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor for input, but got size {list(input.shape)}")
    if any(n == 0 for n in input.shape[-dims - 1:]):
        raise RuntimeError(f"{name}: Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim batch size for input, but "
                           f"got: {list(input.shape)}")
    if any(k <= 0 for k in kernel):
        raise RuntimeError(f"{name}: kernel size should be greater than zero, but got {list(kernel)}")
    if any(s <= 0 for s in stride):
        raise RuntimeError(f"{name}: stride should not be zero")
    if any(d <= 0 for d in dilation):
        raise RuntimeError(f"{name}: dilation should be greater than zero, but got {list(dilation)}")
    if any(p < 0 for p in padding):
        raise RuntimeError(f"{name}: pad must be non-negative, but got {list(padding)}")
    if any(p > (d * (k - 1) + 1) // 2 for p, k, d in zip(padding, kernel, dilation)):
        raise RuntimeError(f"{name}: pad should be at most half of effective kernel size, but got pad={padding}, kernel_size={kernel} and "
                           f"dilation={dilation}")
    return Grid(kernel, stride, dilation, tuple((p, p) for p in padding))


def _check_counts(name, input, grid, ceil_mode):
    counts, _ = _fitted(grid, input.shape[-len(grid.kernel):], ceil_mode)
    if any(n < 1 for n in counts):
        raise RuntimeError(f"{name}: Given input size: {tuple(input.shape)}. Calculated output size: {counts}. Output size is too small")


def _max_pool(dims):
    name = f"max_pool{dims}d"

    def with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=True):
        grid = _pool_settings(name, dims, input, kernel_size, stride, padding, dilation)
        _check_counts(name, input, grid, ceil_mode)
        if input.dtype is dtypes.bool_ or input.dtype.kind == "c":
            raise RuntimeError(f"{name}: not there for {input.dtype.name} tensors")
        return greatest_of_windows(input, grid, bool(ceil_mode))

    def pool(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        values, places = with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        return (values, places) if return_indices else values

    return _named(pool, name, "maximum"), _named(with_indices, name + "_with_indices", "maximum, and its place in the plane,")


def _named(function, name, what):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""The {what} of each window
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.{name.removesuffix("_with_indices")}.html)."""
    return exported(function)


(max_pool1d, max_pool1d_with_indices), (max_pool2d, max_pool2d_with_indices), (max_pool3d, max_pool3d_with_indices) = map(_max_pool,
                                                                                                                          (1, 2, 3))


def _max_unpool(dims):
    name = f"max_unpool{dims}d"

    def unpool(input, indices, kernel_size, stride=None, padding=0, output_size=None):
        kernel = per_dimension(name, "kernel_size", kernel_size, dims)
        stride = kernel if stride is None else per_dimension(name, "stride", stride, dims)
        padding = per_dimension(name, "padding", padding, dims)
        if indices.dtype is not dtypes.int64:
            raise RuntimeError(f"{name}: elements in indices should be type int64 but got: {indices.dtype.name}")
        if input.ndim not in (dims + 1, dims + 2):
            raise RuntimeError(f"{name}: Input to {name} should be a {dims + 1}d or {dims + 2}d Tensor, but got a tensor with {input.ndim} "
                               f"dimensions.")
        if input.shape != indices.shape:
            raise RuntimeError(f"{name}: Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got "
                               f"indices tensor with shape: {list(indices.shape)}")
        usual = [(n - 1) * s + k - 2 * p for n, s, k, p in zip(input.shape[-dims:], stride, kernel, padding)]
        size = usual if output_size is None else list(output_size)
        if len(size) == dims + 2:
            size = size[2:]
        if len(size) != dims:
            raise ValueError(f"{name}: output_size should be a sequence containing {dims} or {dims + 2} elements, but it has a length of "
                             f"'{len(size)}'")
        if output_size is not None and any(not u - s < n < u + s for n, u, s in zip(size, usual, stride)):
            raise ValueError(f"{name}: invalid output_size {size}: it must lie within a stride of {usual}")
        least, greatest = extremes(indices)
        if indices.numel() and (least < 0 or greatest >= product(size)):
            wrong = least if least < 0 else greatest
            raise RuntimeError(f"{name}: Found an invalid max index: {wrong} (output volumes are of size {'x'.join(map(str, size))})")
        return placed(input, indices, tuple(size), "set")

    unpool.__name__ = unpool.__qualname__ = name
    unpool.__doc__ = f"The opposite of `max_pool{dims}d`: each number at its place, zeros elsewhere."
    return unpool


max_unpool1d, max_unpool2d, max_unpool3d = map(_max_unpool, (1, 2, 3))


# Averages ------------------------------------------------------------------------------------------------------------

def _places(size, counts, grid, count_include_pad):
    """The number of places of each window, (*counts); `grid` is as it was asked for."""
    total = None
    for i, (n, (k, s, _, (low, high))) in enumerate(zip(size, grid.along())):
        start = binary("sub", binary("mul", line_of(counts[i]), s), low)
        end = binary("minimum", binary("add", start, k), constant(n + high, dtypes.int64))
        if not count_include_pad:
            start, end = binary("maximum", start, 0), binary("minimum", end, constant(n, dtypes.int64))
        places = binary("sub", end, start)
        places = expand_to(shaped(places, *(counts[i] if d == i else 1 for d in range(len(counts)))), tuple(counts))
        total = places if total is None else elementwise("mul", total, places)
    return total


def _divided(x, size, counts, grid, count_include_pad, ceil_mode, divisor):
    """x (planes, *counts) over what its windows are divided by."""
    regular = not ceil_mode and (count_include_pad or all(p == (0, 0) for p in grid.padding))
    if divisor is not None or regular:
        return binary("div", x, constant(divisor if divisor is not None else product(grid.kernel)), x.dtype)
    return binary("div", x, cast(_places(size, counts, grid, count_include_pad), x.dtype), x.dtype)


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def mean_of_windows(input: Tensor, grid: Grid, ceil_mode: bool, count_include_pad: bool, divisor: int | None) -> Tensor:
    """The mean of each window of (..., *size)."""
    dims = len(grid.kernel)
    lead, size = input.shape[:input.ndim - dims], input.shape[input.ndim - dims:]
    counts, wide = _fitted(grid, size, ceil_mode)
    x = in_planes(cast(input, dtypes.float32) if input.dtype.itemsize == 2 else input, dims)
    x = surrounded(x, wide.padding)
    for axis in range(dims, 0, -1):
        total = None
        for tap in range(grid.kernel[axis - 1]):
            part = taken(x, axis, tap, counts[axis - 1], grid.stride[axis - 1])
            total = part if total is None else elementwise("add", total, part)
        x = total
    x = _divided(x, size, counts, grid, count_include_pad, ceil_mode, divisor)
    return cast(shaped(x, *lead, *counts), input.dtype)


@mean_of_windows.gradient
def mean_of_windows_gradient(grad, result, input, grid, ceil_mode, count_include_pad, divisor):
    dims = len(grid.kernel)
    size = input.shape[input.ndim - dims:]
    counts, wide = _fitted(grid, size, ceil_mode)
    g = _divided(in_planes(grad, dims), size, counts, grid, count_include_pad, ceil_mode, divisor)
    g = expand_to(shaped(g, g.shape[0], *(1,) * dims, 1, *counts), (g.shape[0], *grid.kernel, 1, *counts))
    return shaped(overlaid(g, wide, tuple(size)), *input.shape)


def _avg_pool(dims):
    name = f"avg_pool{dims}d"

    def pool(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
        grid = _pool_settings(name, dims, input, kernel_size, stride, padding)
        if divisor_override == 0:
            raise RuntimeError(f"{name}: divisor must be not zero")
        _check_counts(name, input, grid, ceil_mode)
        if input.dtype.kind != "f" and input.dtype is not dtypes.int64:
            raise RuntimeError(f"{name}: not there for {input.dtype.name} tensors")
        if input.dtype is dtypes.int64:
            if divisor_override is None and all(k == 1 for k in grid.kernel):
                return input.clone()
            return (mean_of_windows(input.double(), grid, bool(ceil_mode), bool(count_include_pad), divisor_override)).trunc().long()
        return mean_of_windows(input, grid, bool(ceil_mode), bool(count_include_pad), divisor_override)

    return _named(pool, name, "mean")


avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_pool, (1, 2, 3))


def _lp_pool(dims):
    name = f"lp_pool{dims}d"

    def pool(input, norm_type, kernel_size, stride=None, ceil_mode=False):
        kernel = per_dimension(name, "kernel_size", kernel_size, dims)
        means = (avg_pool1d, avg_pool2d, avg_pool3d)[dims - 1](input.pow(norm_type), kernel, stride, 0, ceil_mode)
        return (means.sign() * means.abs().relu()).mul(product(kernel)).pow(1.0 / norm_type)

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = f"The root of the sum of powers of each window: the norm of degree `norm_type`, in {dims} dimension{'s' * (dims > 1)}."
    return pool


lp_pool1d, lp_pool2d, lp_pool3d = map(_lp_pool, (1, 2, 3))


# Parts of nearly equal size ------------------------------------------------------------------------------------------

def _parts(n, parts):
    """(first places, lengths, greatest length) of the parts of n places."""
    line, whole = line_of(parts), constant(n, dtypes.int64)
    first = binary("floor_divide", binary("mul", line, whole), parts)
    behind = binary("floor_divide", binary("add", binary("mul", binary("add", line, 1), whole), parts - 1), parts)
    return first, binary("sub", behind, first), int(settled((n + parts - 1) // parts)) + (0 if n % parts == 0 else 1)


def _spread_over(x, axis, parts):
    """(x with dimension `axis` as parts and the longest part's places, the place of each, whether it is there); x's other dimensions
    stay.
    """
    n = x.shape[axis]
    first, length, longest = _parts(n, parts)
    steps = expand_to(shaped(line_of(longest), 1, longest), (parts, longest))
    place = elementwise("add", expand_to(shaped(first, parts, 1), (parts, longest)), steps)
    there = elementwise("lt", steps, expand_to(shaped(length, parts, 1), (parts, longest)))
    at = binary("minimum", place, constant(n - 1, dtypes.int64))
    order = (axis, *(i for i in range(x.ndim) if i != axis))
    moved = apply(lambda node, ix: graph.gather(node, (ix,), (0,)), (apply(graph.permute, (x,), order), at))
    back = (*range(2, 2 + axis), 0, 1, *range(2 + axis, moved.ndim))
    moved = apply(graph.permute, (moved,), back)
    wide = tuple(parts if i == axis else longest if i == axis + 1 else 1 for i in range(moved.ndim))
    return moved, expand_to(shaped(place, *wide), moved.shape), expand_to(shaped(there, *wide), moved.shape), length


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def mean_of_parts(input: Tensor, parts: tuple) -> Tensor:
    """The means of the parts of the last dimensions; None leaves a dimension as it is."""
    x = cast(input, dtypes.float32) if input.dtype.itemsize == 2 else input
    for i, count in enumerate(parts):
        axis = input.ndim - len(parts) + i
        if count is None:
            continue
        n = x.shape[axis]
        if count and n % count == 0:
            length = settled(n // count)
            rows = shaped(x, *x.shape[:axis], count, length, *x.shape[axis + 1:])
            x = apply(lambda node, axis=axis: graph.reduce("sum", node, (axis + 1,)), (rows,))
            x = binary("div", x, constant(length), x.dtype)
            continue
        spread, _, there, length = _spread_over(x, axis, count)
        x = apply(lambda node, axis=axis: graph.reduce("sum", node, (axis + 1,)), (choose(there, spread, constant(0, x.dtype)),))
        x = binary("div", x, beside(cast(length, x.dtype), x, axis), x.dtype)
    return cast(x, input.dtype)


@operator(methods=False, namespace=False, out=False, keeps_format=True)
def greatest_of_parts(input: Tensor, parts: tuple) -> tuple:
    """(values, places) of the maxima of the parts of the last dimensions."""
    dims = len(parts)
    lead, size = input.shape[:input.ndim - dims], input.shape[input.ndim - dims:]
    value, place = in_planes(input, dims), None
    for axis in range(dims, 0, -1):
        spread, at, there, _ = _spread_over(value, axis, parts[axis - 1])
        spread = choose(there, spread, constant(_lowest(value.dtype), value.dtype))
        chosen = _place_of_greatest(spread, axis + 1)

        def here(t, chosen=chosen, axis=axis):
            return shaped(along(t, axis + 1, chosen), *t.shape[:axis + 1], *t.shape[axis + 2:])
        at = binary("mul", here(at), constant(product(size[axis:]), dtypes.int64))
        place = at if place is None else elementwise("add", at, here(_spread_over(place, axis, parts[axis - 1])[0]))
        value = here(spread)
    return shaped(value, *lead, *parts), shaped(place, *lead, *parts)


def _place_of_greatest(x, axis):
    """Where the greatest is along a dimension, of which 1 is left: the first, but of NaN the last."""
    kept = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    place = shaped(apply(lambda node: graph.reduce("argmax", node, (axis,)), (x,)), *kept)
    if x.dtype.kind != "f":
        return place
    nans = choose(elementwise("isnan", x), beside(line_of(x.shape[axis]), x, axis), constant(-1, dtypes.int64))
    nan = shaped(apply(lambda node: graph.reduce("max", node, (axis,)), (nans,)), *kept)
    return elementwise("maximum", nan, place)  # where there is a NaN, argmax gives the first


@greatest_of_parts.gradient
def greatest_of_parts_gradient(grads, results, input, parts):
    return placed(grads[0], results[1], tuple(input.shape[input.ndim - len(parts):]), "add")


def _wished(name, dims, input, output_size):
    """The wished number of parts of each dimension; None keeps the input's."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' must be Tensor, not {type(input).__name__}")
    wished = (output_size,) * dims if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(wished) != dims:
        raise RuntimeError(f"{name}: output_size must have {dims} elements, but got {list(wished)}")
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"{name}: Expected {dims + 1}D or {dims + 2}D tensor, but got {list(input.shape)}")
    if any(n == 0 for n in input.shape[input.ndim - dims - (input.ndim == dims + 2):][1 if input.ndim == dims + 2 else 0:]):
        raise RuntimeError(f"{name}: Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                           f"{list(input.shape)}")
    if any(w is not None and w < 0 for w in wished):
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0, but they are {list(wished)}")
    return wished


def _adaptive_avg_pool(dims):
    name = f"adaptive_avg_pool{dims}d"

    def pool(input, output_size):
        wished = _wished(name, dims, input, output_size)
        if input.dtype.kind != "f":
            raise RuntimeError(f"{name}: not there for {input.dtype.name} tensors")
        return mean_of_parts(input, wished)

    return _named(pool, name, "mean of each part, of as many as `output_size` says, instead")


def _adaptive_max_pool(dims):
    name = f"adaptive_max_pool{dims}d"

    def with_indices(input, output_size, return_indices=True):
        wished = _wished(name, dims, input, output_size)
        if input.dtype.kind == "c" or input.dtype is dtypes.bool_:
            raise RuntimeError(f"{name}: not there for {input.dtype.name} tensors")
        return greatest_of_parts(input, tuple(n if w is None else w for n, w in zip(input.shape[-dims:], wished)))

    def pool(input, output_size, return_indices=False):
        values, places = with_indices(input, output_size)
        return (values, places) if return_indices else values

    what = "maximum of each part, of as many as `output_size` says, instead"
    return _named(pool, name, what), _named(with_indices, name + "_with_indices", what)


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = map(_adaptive_avg_pool, (1, 2, 3))
((adaptive_max_pool1d, adaptive_max_pool1d_with_indices), (adaptive_max_pool2d, adaptive_max_pool2d_with_indices),
 (adaptive_max_pool3d, adaptive_max_pool3d_with_indices)) = map(_adaptive_max_pool, (1, 2, 3))
