"""vmap: a function of one example as a function of a batch.

    vmap(f)(x)  ==  stack([f(x[0]), f(x[1]), ...])

It is that loop.  What makes the loop quick enough is that each round runs before the next is recorded (`rounds`): all rounds are one and
the same trace, which is compiled once and then looked up.  Inside, tensors are ordinary ones of a single example, so everything works
there that works outside: control flow by value, in-place writes, `grad` and another vmap.  What is drawn inside is governed by
`randomness`.
"""
import functools

import numpy as np

from ..operators.joining import stack
from ..operators.random import default_generator
from ..runtime.recorder import here
from ..tensors.tensor import Tensor
from . import trees


def rounds(count):
    """0, 1, ... count - 1; what a round records is a program of its own, the same for all rounds that are alike."""
    for i in range(count):
        if count > 1:
            here.recorder.flush()
        yield i


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """`func` applied to each slice of its inputs along `in_dims`, its results stacked along `out_dims`
    (https://docs.pytorch.org/docs/stable/generated/torch.func.vmap.html).

    in_dims     the dimension to go along, None for an input that all rounds share; an int for all inputs, or a tuple in the structure of
                the inputs.  Keyword arguments are shared.
    out_dims    where the new dimension stands in each result; None for a result that does not depend on the inputs that are gone along
    randomness  "error": drawing random numbers is refused; "same": all rounds draw the same; "different": each draws its own
    chunk_size  accepted, for a loop needs no chunks

    >>> torch.vmap(torch.dot)(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.ones(2, 2))
    tensor([3., 7.])
    """
    if randomness not in ("error", "same", "different"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    _check_out_dims(func, out_dims)

    @functools.wraps(func)
    def mapped(*args, **kwargs):
        along = _Along(func, in_dims, args)
        drawing = _Drawing(randomness)
        results, structure = [], None
        for i in rounds(along.size):
            drawing.before_round()
            leaves, structure = trees.flatten(func(*along.slice(i), **kwargs))
            results.append(leaves)
        drawing.check()
        if not results:
            return _nothing(func, along, kwargs, out_dims)
        dims = _places(func, out_dims, structure)
        return trees.build(structure, [_stacked(func, column, dim) for column, dim in zip(zip(*results), dims)])

    return mapped


def _name(func):
    return getattr(func, "__name__", repr(func))


class _Along:
    """The inputs of a mapped function, and the dimension along which each is sliced."""

    def __init__(self, func, in_dims, args):
        name = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
        if not isinstance(in_dims, (int, tuple)):
            raise ValueError(f"{name}expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, got: "
                             f"{type(in_dims)}.")
        if not args:
            raise ValueError(f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap "
                             "over a function with no inputs. The latter is unsupported.")
        leaves, structure = trees.flatten(args)
        dims = trees.spread(in_dims, structure)
        if dims is None and isinstance(in_dims, tuple):
            dims = trees.spread(tuple(in_dims), (tuple, *structure[1:]))
        if dims is None:
            raise ValueError(f"{name}in_dims is not compatible with the structure of `inputs`.")
        for leaf, dim in zip(leaves, dims):
            self._check(name, leaf, dim)
        self.leaves, self.dims, self.structure = leaves, dims, structure
        sizes = [leaf.shape[dim] for leaf, dim in zip(self.leaves, self.dims) if dim is not None]
        if not sizes:
            raise ValueError("vmap: Expected at least one Tensor to vmap over")
        if any(size != sizes[0] for size in sizes):
            raise ValueError(f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped "
                             "dimension")
        self.size = sizes[0]

    @staticmethod
    def _check(name, leaf, dim):
        if dim is None:
            return
        if not isinstance(dim, int):
            raise ValueError(f"{name}Got in_dim={dim} for an input but in_dim must be either an integer dimension or None.")
        if not isinstance(leaf, Tensor):
            raise ValueError(f"{name}Got in_dim={dim} for an input but the input is of type {type(leaf)}. We cannot vmap over non-Tensor "
                             "arguments, please use None as the respective in_dim")
        if not -leaf.ndim <= dim < leaf.ndim:
            raise ValueError(f"{name}Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {leaf.ndim} so "
                             f"expected in_dim to satisfy -{leaf.ndim} <= in_dim < {leaf.ndim}.")

    def slice(self, i):
        """The arguments of round `i`."""
        return trees.build(self.structure, [leaf if dim is None else leaf.select(dim, i) for leaf, dim in zip(self.leaves, self.dims)])

    def example(self):
        """The arguments of a round that is not there, for a batch of none: zeros."""
        shapes = [dim is None or [n for d, n in enumerate(leaf.shape) if d != dim % leaf.ndim] for leaf, dim in zip(self.leaves, self.dims)]
        return trees.build(self.structure, [leaf if shape is True else leaf.new_zeros(shape) for leaf, shape in zip(self.leaves, shapes)])


class _Drawing:
    """The default generator, from round to round."""

    def __init__(self, randomness):
        self.randomness, self.first = randomness, default_generator.get_state()

    def before_round(self):
        if self.randomness == "same":
            default_generator.set_state(self.first)

    def check(self):
        if self.randomness == "error" and not np.array_equal(self.first.numpy(), default_generator.get_state().numpy()):
            raise RuntimeError("vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
                               "randomness flags on vmap or perform the randomness operation out of vmap")


def _check_out_dims(func, out_dims):
    for dim in trees.flatten(out_dims)[0]:
        if not isinstance(dim, int) and dim is not None:
            raise ValueError(f"vmap({_name(func)}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of "
                             "ints representing where in the outputs the vmapped dimension should appear.")


def _places(func, out_dims, structure):
    """Where the new dimension stands, for each result."""
    if structure is trees.LEAF and isinstance(out_dims, tuple) and len(out_dims) == 1:
        out_dims = out_dims[0]
    dims = trees.spread(out_dims, structure)
    if dims is None:
        raise ValueError(f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
                         "`outputs`.")
    return dims


def _stacked(func, parts, dim):
    """One result of all rounds."""
    if dim is None:
        return parts[0]
    for part in parts:
        if not isinstance(part, Tensor):
            raise ValueError(f"vmap({_name(func)}, ...): `{_name(func)}` must only return Tensors, got type {type(part)}. Did you mean to "
                             "set out_dims= to None for output?")
    return stack(parts, dim)


def _nothing(func, along, kwargs, out_dims):
    """The results for a batch of no examples: what an example of zeros gives says their shapes."""
    state = default_generator.get_state()
    leaves, structure = trees.flatten(func(*along.example(), **kwargs))
    default_generator.set_state(state)
    dims = _places(func, out_dims, structure)
    made = [_stacked(func, [leaf], dim) for leaf, dim in zip(leaves, dims)]
    return trees.build(structure, [leaf if dim is None else leaf.narrow(dim, 0, 0) for leaf, dim in zip(made, dims)])
