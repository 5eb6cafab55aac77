"""Random numbers: PyTorch's own, for the same seed (runtime/generator.py makes them).

    torch.randn(2, 3)        drawn at the call, into memory of its own
    x.normal_(0, 0.02)       drawn at the call, written into x: in the order in which x lies in memory

A draw takes its place in the generator's stream at the call, also when its value is dropped.  Start with `_fill`.
"""
import numpy as np

from ..ir import dtypes
from ..ir.graph import row_major
from ..runtime import generator as streams
from ..runtime.memory import Block
from ..runtime.storage import Place, Storage, dense_order, strides_in_order
from ..tensors import parts
from ..tensors.creation import get_default_dtype, of_array
from ..tensors.device import META, dimension_order, only_strided, preserve_format, usable
from ..tensors.meta import only_shapes
from ..tensors.tensor import Tensor, plain
from .building import apply, broadcast, cast
from .definition import attach, check_writable, exported, operator, replace
from .factories import dtype_wanted, finish, memory, sizes_of, strides_preserved


class Generator:
    """A stream of random numbers; `torch.default_generator` is the one that is used when none is named.

    >>> g = torch.Generator().manual_seed(0)
    """

    def __init__(self, device="cpu"):
        self.device = usable(device)
        self._stream = streams.Generator()

    def manual_seed(self, seed):
        """Start over from a seed; returns the generator."""
        self._stream.manual_seed(seed)
        return self

    def seed(self):
        """Start over from a seed that nobody can foresee, and return it."""
        return self._stream.seed()

    def initial_seed(self):
        """The seed that the stream began with."""
        return self._stream.initial_seed()

    def get_state(self):
        """Where the stream stands, as a uint8 tensor."""
        return of_array(self._stream.get_state())

    def set_state(self, new_state):
        """Go on from a state that `get_state` gave."""
        if not isinstance(new_state, Tensor) or new_state.dtype is not dtypes.uint8:
            raise TypeError("expected a torch.ByteTensor, but got " + (str(new_state.dtype) if isinstance(new_state, Tensor)
                                                                       else type(new_state).__name__))
        self._stream.set_state(new_state._array().copy())

    def clone_state(self):
        """Another generator at the same place in the same stream."""
        made = Generator()
        made._stream = self._stream.clone_state()
        return made

    def __reduce__(self):
        return _restored, (self._stream,)


def _restored(stream):
    made = Generator()
    made._stream = stream
    return made


default_generator = _restored(streams.default_generator)


def stream_of(generator):
    """The stream that a `generator=` argument names."""
    if generator is None:
        return streams.default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be Generator, not {type(generator).__name__}")
    return generator._stream


@exported
def manual_seed(seed):
    """Start the default generator over from `seed`: afterwards the same calls give the same numbers, and PyTorch's."""
    return default_generator.manual_seed(int(seed) if not hasattr(seed, "__index__") else seed)


@exported
def seed():
    """Start the default generator over from a seed that nobody can foresee, and return it."""
    return default_generator.seed()


@exported
def initial_seed():
    """The seed that the default generator began with."""
    return default_generator.initial_seed()


@exported
def get_rng_state():
    """Where the default generator stands, as a uint8 tensor."""
    return default_generator.get_state()


@exported
def set_rng_state(new_state):
    """Go on from a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


# ---------------------------------------------------------------------------------------------------------------------
# Into tensors

def stored(flat, dtype, shape, strides=None):
    """A tensor over a flat array of draws, which lie in memory order."""
    block = Block.around(flat)
    strides = row_major(shape) if strides is None else strides
    return plain(Place(Storage(block, flat.nbytes, dtype), tuple(shape), tuple(strides), 0, dtype))


def _fill(self, name, draw):
    """Write `draw(n, dtype, contiguous)` into a tensor, in the order in which its elements lie in memory."""
    if only_shapes():
        return self
    check_writable(self)
    shape, strides = tuple(self.shape), self.stride()
    dense = strides_preserved(shape, strides)
    flat = draw(self.numel(), self.dtype, self.is_contiguous())
    if self.is_contiguous() and parts.begin_with(self, flat.reshape(shape), drawn=True):
        return self
    return replace(self, stored(flat, self.dtype, shape, dense), name)


def _filling(name, draw, document):
    """The in-place method `name`; `draw(stream, n, dtype, contiguous, *arguments)` makes the numbers."""
    def method(self, *args, generator=None, **named):
        stream = stream_of(generator)
        return _fill(self, name, lambda n, dtype, contiguous: draw(stream, n, dtype, contiguous, *args, **named))
    method.__name__, method.__doc__ = name, document
    attach(name, method)
    return method


def _number(x):
    return x.item() if isinstance(x, (Tensor, np.generic)) else x


_filling("uniform_", lambda g, n, d, c, a=0.0, b=1.0, **other: g.uniform(n, _number(other.get("from", a)), _number(other.get("to", b)), d),
         "Uniform numbers from `from` to below `to`.")
_filling("normal_", lambda g, n, d, c, mean=0.0, std=1.0: g.normal(n, _number(mean), _number(std), d, c), "Normal numbers.")
_filling("log_normal_", lambda g, n, d, c, mean=1.0, std=2.0: g.log_normal(n, mean, std, d), "Exponentials of normal numbers.")
_filling("exponential_", lambda g, n, d, c, lambd=1.0: g.exponential(n, _number(lambd), d),
         "Exponentially distributed numbers of rate `lambd`.")
_filling("geometric_", lambda g, n, d, c, p: g.geometric(n, p, d), "How many trials the first success takes, each with probability p.")
_filling("cauchy_", lambda g, n, d, c, median=0.0, sigma=1.0: g.cauchy(n, median, sigma, d), "Numbers of a Cauchy distribution.")


def random_(self, *bounds, generator=None, **named):
    """Integers: random_() all that the dtype holds, random_(to) from 0, random_(from, to)."""
    low, high = named.get("from"), named.get("to")
    if len(bounds) == 1:
        low, high = 0, bounds[0]
    elif len(bounds) == 2:
        low, high = bounds
    elif high is not None and low is None:
        low = 0
    stream = stream_of(generator)
    return _fill(self, "random_", lambda n, dtype, contiguous: stream.random_(n, low, high, dtype))


attach("random_", random_)


def bernoulli_(self, p=0.5, *, generator=None):
    """Ones with probability p (a number, or a tensor of one for each element), zeros else."""
    stream = stream_of(generator)
    if isinstance(p, Tensor):
        p = np.broadcast_to(p._array(), tuple(self.shape))
        order = dense_order(tuple(self.shape), strides_preserved(tuple(self.shape), self.stride()))
        p = np.ascontiguousarray(np.transpose(p, order))
    return _fill(self, "bernoulli_", lambda n, dtype, contiguous: stream.bernoulli(n, p, dtype))


attach("bernoulli_", bernoulli_)


@operator(methods=False, namespace=False)
def without_gradient(input: Tensor, drawn: Tensor) -> Tensor:
    """A draw that depends on an operand; the gradient is zero."""
    return apply(lambda n: n, (drawn,))


@without_gradient.gradient
def without_gradient_gradient(grad, result, input, drawn):
    return grad * 0, None


@exported(method=True)
def bernoulli(input, p=None, *, generator=None, out=None):
    """Ones with the probabilities that the input gives (or all with probability p), zeros else."""
    if p is None and input.dtype.kind != "f":
        raise NotImplementedError(f'"bernoulli_tensor_cpu_p_" not implemented for {input.dtype.name}')
    shape = tuple(input.shape)
    probabilities = p if p is not None else np.ascontiguousarray(input._array())
    drawn = stored(stream_of(generator).bernoulli(input.numel(), probabilities, input.dtype), input.dtype, shape)
    if out is not None:
        return finish(drawn, out=out)
    return without_gradient(input, drawn) if input.requires_grad else drawn


# ---------------------------------------------------------------------------------------------------------------------
# Fresh tensors

def _fresh(name, args, size, dtype, draw, generator=None, out=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    only_strided(layout)
    shape = sizes_of(args, name, size)
    dtype = dtype_wanted(dtype, get_default_dtype() if out is None else out.dtype)
    if usable(device) is META:
        return memory(shape, dtype, None, device, requires_grad)
    count = 1
    for n in shape:
        count *= n
    return finish(stored(draw(stream_of(generator), count, dtype), dtype, shape), out=out, requires_grad=requires_grad)


@exported
def rand(*args, size=None, dtype=None, **settings):
    """Uniform numbers from 0 to below 1.

    >>> torch.rand(2, 3).shape
    torch.Size([2, 3])
    """
    return _fresh("rand", args, size, dtype, lambda g, n, d: g.uniform(n, 0.0, 1.0, d), **settings)


@exported
def randn(*args, size=None, dtype=None, **settings):
    """Normal numbers of mean 0 and variance 1."""
    return _fresh("randn", args, size, dtype, lambda g, n, d: g.normal(n, 0.0, 1.0, d), **settings)


@exported
def randint(*args, low=None, high=None, size=None, dtype=None, **settings):
    """Integers from `low` (0) to below `high`: randint(high, size) or randint(low, high, size)."""
    args = list(args)
    if args and isinstance(args[-1], (tuple, list)):
        size = args.pop()
    if len(args) == 2:
        low, high = args
    elif len(args) == 1:
        low, high = (low, args[0]) if high is None else (args[0], high)
    return _integers(0 if low is None else low, high, size, dtype or dtypes.int64, settings)


def _integers(low, high, size, dtype, settings):
    low, high = (_number(x) for x in (low, high))
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _fresh("randint", (), size, dtype, lambda g, n, d: g.random_(n, low, high, d), **settings)


@exported
def randperm(n, *, generator=None, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """The numbers below n in random order."""
    dtype = dtype_wanted(dtype, dtypes.int64 if out is None else out.dtype)
    if usable(device) is META:
        return memory((n,), dtype, None, device, requires_grad)
    flat = stream_of(generator).randperm(n, dtype)
    return finish(stored(flat, dtype, (n,)), out=out, requires_grad=requires_grad)


def _like(input, dtype, memory_format, draw, generator=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    only_strided(layout)
    dtype, shape = dtype_wanted(dtype, input.dtype), tuple(input.shape)
    if memory_format in (None, preserve_format):
        strides = strides_preserved(shape, input.stride())
    else:
        strides = strides_in_order(shape, dimension_order(memory_format, len(shape)))
    if usable(device) is META or only_shapes():
        return memory(shape, dtype, strides, device, requires_grad)
    flat = draw(stream_of(generator), input.numel(), dtype, strides == row_major(shape))
    made = stored(flat, dtype, shape, strides)
    return made.requires_grad_() if requires_grad else made


@exported
def rand_like(input, *, dtype=None, memory_format=preserve_format, **settings):
    """Uniform numbers from 0 to below 1, in the shape, dtype and layout of another tensor."""
    return _like(input, dtype, memory_format, lambda g, n, d, c: g.uniform(n, 0.0, 1.0, d), **settings)


@exported
def randn_like(input, *, dtype=None, memory_format=preserve_format, **settings):
    """Normal numbers of mean 0 and variance 1, in the shape, dtype and layout of another tensor."""
    return _like(input, dtype, memory_format, lambda g, n, d, c: g.normal(n, 0.0, 1.0, d, c), **settings)


@exported
def randint_like(input, *args, low=0, high=None, dtype=None, memory_format=preserve_format, **settings):
    """Integers from `low` (0) to below `high`, in the shape, dtype and layout of another tensor."""
    low, high = args if len(args) == 2 else (low, args[0]) if args else (low, high)
    low, high = _number(low), _number(high)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return _like(input, dtype, memory_format, lambda g, n, d, c: g.random_(n, low, high, d), **settings)


@operator(methods=False, namespace=False)
def shifted_and_scaled(draws: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """draws * std + mean, which counts as a draw: the gradients are zero."""
    draws, mean, std = broadcast(draws, cast(mean, draws.dtype), cast(std, draws.dtype), name="normal")
    return draws * std + mean


@shifted_and_scaled.gradient
def shifted_and_scaled_gradient(grad, result, draws, mean, std):
    return None, mean * 0, std * 0


@exported
def normal(mean=0.0, std=1.0, size=None, *, generator=None, out=None, dtype=None, **settings):
    """Normal numbers whose mean and standard deviation are numbers, with a `size`, or tensors of one for each element."""
    if isinstance(std, Tensor):
        if std.is_complex():
            raise RuntimeError("normal expects standard deviation to be non-complex")
        if std.numel() and std._array().min() < 0:
            raise RuntimeError(f"normal expects all elements of std >= 0.0, but found {std._array().min()}")
    elif std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if size is not None:
        return _fresh("normal", (size,), None, dtype, lambda g, n, d: g.normal(n, _number(mean), _number(std), d), generator=generator,
                      out=out, **settings)
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not tensors:
        raise TypeError("normal() received an invalid combination of arguments: without tensors a size is needed")
    from .shaping import broadcast_shapes
    shape = broadcast_shapes(*[t.shape for t in tensors])
    dtype = tensors[0].dtype
    flat = stream_of(generator).normal(shape.numel(), 0.0, 1.0, dtype)
    mean, std = (x if isinstance(x, Tensor) else of_array(np.array(x, dtype.numpy)) for x in (mean, std))
    made = shifted_and_scaled(stored(flat, dtype, tuple(shape)), mean, std)
    return made if out is None else finish(made, out=out)


@exported(method=True)
def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """`num_samples` indices for each row, drawn with the probabilities that the row gives (they need not add up to 1)."""
    chosen = stream_of(generator).multinomial(input._array(), num_samples, replacement)
    made = of_array(chosen)
    if out is not None and out.dtype is not dtypes.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype}")
    return made if out is None else finish(made, out=out)


@exported
def poisson(input, generator=None):
    """A Poisson number for each rate."""
    drawn = stored(stream_of(generator).poisson(input._array()), input.dtype, tuple(input.shape))
    return without_gradient(input, drawn) if input.requires_grad else drawn


@exported
def binomial(count, prob, generator=None):
    """How many of `count` trials succeed, each with probability `prob`."""
    counts, p = np.broadcast_arrays(count._array(), prob._array())
    return stored(stream_of(generator).binomial(np.ascontiguousarray(counts), np.ascontiguousarray(p)), count.dtype, counts.shape)
