"""Fractional max pooling: so many windows as are wished for, at distances that are drawn (Graham, https://arxiv.org/abs/1412.6071).

    3 windows of 2 places among 7        starts 0, 2, 5        from a number u of [0, 1) a plane and dimension

Start with `_fractional_max_pool`, then `greatest_at_random`.
"""
from ..ir import dtypes, graph
from ..ir.extents import product
from ..tensors.tensor import Tensor
from .building import apply, binary, cast, choose, constant, elementwise, expand_to
from .definition import operator
from .patches import per_dimension
from .pooling import beside, better, in_planes, line_of, placed, taken
from .products import shaped


@operator(methods=False, namespace=False, out=False)
def greatest_at_random(input: Tensor, samples: Tensor, kernel: tuple, counts: tuple) -> tuple:
    """(values, places) of maxima of windows whose distances are drawn: `samples` is (planes, dims), from 0 to 1."""
    dims = len(kernel)
    lead, size = input.shape[:input.ndim - dims], input.shape[input.ndim - dims:]
    x = in_planes(input, dims)
    planes = x.shape[0]
    shape = (planes, *counts)
    starts = []
    for i, (n, k, count) in enumerate(zip(size, kernel, counts)):
        sample = shaped(taken(samples, 1, 1 - i if dims == 2 else i, 1, 1), planes, 1)  # PyTorch's order: x, y, but z, y, x
        if count == 1:
            first = expand_to(constant(n - k, dtypes.int64), (planes, count))
        else:
            alpha = binary("div", constant(n - k, samples.dtype), constant(count - 1, samples.dtype))
            steps = binary("add", expand_to(sample, (planes, count)), cast(line_of(count), samples.dtype))
            first = binary("sub", *(cast(binary("mul", t, alpha), dtypes.int64) for t in (steps, expand_to(sample, (planes, count)))))
            first = choose(binary("eq", expand_to(line_of(count), (planes, count)), count - 1), constant(n - k, dtypes.int64), first)
        starts.append(expand_to(shaped(first, planes, *(count if d == i else 1 for d in range(dims))), shape))
    plane = beside(line_of(planes), starts[0], 0)
    best = chosen = None
    for tap in range(product(kernel)):
        at, place = [], None
        for i in range(dims):
            step = tap // product(kernel[i + 1:]) % kernel[i]
            at.append(binary("add", starts[i], step))
            place = at[-1] if place is None else binary("add", binary("mul", place, constant(size[i], dtypes.int64)), at[-1])
        candidate = apply(lambda node, *ix: graph.gather(node, ix, tuple(range(dims + 1))), (x, plane, *at))
        if best is None:
            best, chosen = candidate, place
            continue
        take = better(candidate, best)
        best, chosen = elementwise("where", take, candidate, best), elementwise("where", take, place, chosen)
    return shaped(best, *lead, *counts), shaped(chosen, *lead, *counts)


@greatest_at_random.gradient
def greatest_at_random_gradient(grads, results, input, samples, kernel, counts):
    return placed(grads[0], results[1], tuple(input.shape[input.ndim - len(kernel):]), "add"), None


def _fractional_max_pool(dims):
    name = f"fractional_max_pool{dims}d"

    def with_indices(input, kernel_size, output_size=None, output_ratio=None, return_indices=True, _random_samples=None):
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name}: requires specifying either an output_size or an output_ratio")
        kernel = per_dimension(name, "kernel_size", kernel_size, dims)
        if input.ndim not in (dims + 1, dims + 2) or any(n == 0 for n in input.shape[-dims - 1:]):
            raise RuntimeError(f"{name}: Expected {dims + 1}D or {dims + 2}D tensor without empty dimensions but the batch, but got "
                               f"{list(input.shape)}")
        if output_size is None:
            ratios = (output_ratio,) * dims if isinstance(output_ratio, (int, float)) else output_ratio
            output_size = tuple(int(n * r) for n, r in zip(input.shape[-dims:], ratios))
        counts = per_dimension(name, "output_size", output_size, dims)
        if any(k <= 0 or c <= 0 for k, c in zip(kernel, counts)):
            raise RuntimeError(f"{name}: kernel_size {kernel} and output_size {counts} must be greater than zero")
        if any(c + k - 1 > n for c, k, n in zip(counts, kernel, input.shape[-dims:])):
            raise RuntimeError(f"{name}: kernel {kernel} and output {counts} are too large for input {tuple(input.shape[-dims:])}")
        batch, channels = (1 if input.ndim == dims + 1 else input.shape[0]), input.shape[-dims - 1]
        if _random_samples is None:
            _random_samples = input.new_empty((batch, channels, dims)).uniform_()
        if _random_samples.dtype is not input.dtype:
            raise RuntimeError(f"{name}: Expect _random_samples to have the same dtype as input")
        if _random_samples.ndim != 3 or _random_samples.shape[0] < batch or tuple(_random_samples.shape[1:]) != (channels, dims):
            raise RuntimeError(f"{name}: Expect _random_samples of shape {(batch, channels, dims)}, but got {tuple(_random_samples.shape)}")
        return greatest_at_random(input, _random_samples[:batch].reshape(batch * channels, dims), kernel, counts)

    def pool(input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None):
        values, places = with_indices(input, kernel_size, output_size, output_ratio, True, _random_samples)
        return (values, places) if return_indices else values

    for function, its in ((pool, name), (with_indices, name + "_with_indices")):
        function.__name__ = function.__qualname__ = its
        function.__doc__ = f"The maximum of windows whose distances are drawn at random, so many as `output_size` says, in {dims} dimensions."
    return pool, with_indices


(fractional_max_pool2d, fractional_max_pool2d_with_indices), (fractional_max_pool3d, fractional_max_pool3d_with_indices) = map(
    _fractional_max_pool, (2, 3))
