"""The random numbers of PyTorch's CPU generator: the same seed gives the same values, draw for draw.

    seed -> Mersenne Twister -> 32-bit draws -> a distribution -> a flat NumPy array in memory order
                                |
                                two of them, high word first, make one 64-bit draw

What PyTorch's portable C++ does for a distribution is part of its answer here: how many draws a value takes, how they are masked,
where a multiply-add rounds once.  Every method of `Generator` draws at the call and holds the lock until it has all it needs; the
loops are those of `draws`.  Start with `Generator.uniform`; every other distribution is built the same way.
"""
import contextlib
import functools
import math
import os
import struct
import threading

import ml_dtypes
import numpy as np

from rushlight.ir import dtypes
from rushlight.runtime import draws, rejection

DEFAULT_SEED = 67280421310721
_STATE = struct.Struct("<QiiQ4992sdddi4xf?3x")  # seed, left, seeded, next, words, x, y, rho, y valid, float sample, its validity
_WIDE_RANGE = 1 << 28  # from here on an integer takes 64 bits
_HUGE_PERMUTATION = 0xFFFFFFFF // 20
_CHUNK = 1 << 20  # of a huge permutation
_AHEAD = 256  # uniforms in a block of a stream
_UNMADE = -1  # the position in words that are not made from the seed yet: the first who needs them makes them
_INT64_MIN = -1 << 63
_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}  # of the significand, the hidden one too


def _atomic(method):
    """A method that nobody else's draws can come in between."""
    @functools.wraps(method)
    def locked(self, *args, **kwargs):
        with self._lock:
            return method(self, *args, **kwargs)
    return locked


def _chance():
    """64 bits that nobody can foretell."""
    return int.from_bytes(os.urandom(8), "little")


class Generator:
    """A stream of random numbers.  Methods take the number of values first and return a flat array of `dtype.numpy`."""

    def __init__(self, seed=DEFAULT_SEED):
        self._lock = threading.RLock()
        self._words = np.empty(draws.WORDS, np.uint32)
        self.manual_seed(seed)

    # ---- the state -------------------------------------------------------------------------------------------------------------

    @_atomic
    def manual_seed(self, seed):
        """Start over from `seed`, an integer from -2**63 to 2**64 - 1; a negative one counts from 2**64 down."""
        if type(seed) is bool or not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        seed = seed.__index__()
        if not _INT64_MIN <= seed < 1 << 64:
            raise ValueError("Overflow when unpacking long long")
        self._seed = seed % (1 << 64)
        self._position = _UNMADE  # in the words
        self._untouched = True  # no draw since seeding: PyTorch's state tells that from words that are used up
        self._second_normal = None
        return self

    def _make_words(self):
        if self._position == _UNMADE:
            draws.seed_words(self._words, self._seed & 0xFFFFFFFF)
            self._position = draws.WORDS

    def seed(self):
        """Start over from a seed that nobody can foresee, and return it."""
        seed = _chance()
        self.manual_seed(seed)
        return seed

    def initial_seed(self):
        return self._seed

    @_atomic
    def get_state(self):
        """The state as PyTorch lays it out: 5056 bytes."""
        self._make_words()
        left = draws.WORDS + 1 - self._position
        second = self._second_normal
        packed = _STATE.pack(self._seed, left, 1, 0 if self._untouched else self._position, self._words.astype("<u8").tobytes(),
                             0.0, second or 0.0, 0.0, second is not None, 0.0, False)
        return np.frombuffer(packed, np.uint8).copy()

    @_atomic
    def set_state(self, state):
        """Go on from a state that `get_state` gave, here or in PyTorch."""
        state = np.asarray(state)
        if state.dtype != np.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        if state.size != _STATE.size:
            raise RuntimeError(f"set_state: a state has {_STATE.size} bytes, but this one has {state.size}")
        seed, left, seeded, following, words, _, second, _, has_second, _, _ = _STATE.unpack(state.tobytes())
        if seeded != 1 or not 0 < left <= draws.WORDS or following > draws.WORDS:
            raise RuntimeError("set_state: Invalid mt19937 state")
        self._seed, self._second_normal = seed, second if has_second else None
        self._untouched = following == 0
        self._words[:] = np.frombuffer(words, "<u8")
        self._position = draws.WORDS + 1 - left
        return self

    def clone_state(self):
        """Another generator, at the same place in the same stream."""
        return type(self)().set_state(self.get_state())

    def __reduce__(self):
        return _restored, (type(self), self.get_state())

    # ---- raw draws -------------------------------------------------------------------------------------------------------------

    def _bits32(self, n):
        self._make_words()
        bits = np.empty(n, np.uint32)
        here = min(n, draws.WORDS - self._position)
        if here:
            draws.temper(self._words, self._position, bits, here)
            self._position += here
        if n > here:
            draws.fill(self._words, bits[here:], n - here)
            self._position = (n - here - 1) % draws.WORDS + 1
        self._untouched = self._untouched and n == 0
        return bits

    def _pairs(self, n):
        """64-bit draws as rows of two words, the high one first."""
        return self._bits32(2 * n).reshape(n, 2)

    def _bits64(self, n):
        pairs = self._pairs(n).astype(np.uint64)
        return pairs[:, 0] << np.uint64(32) | pairs[:, 1]

    def _unit64(self, n):
        """Float64 in [0, 1)."""
        return draws.uniform(self._pairs(n), 0, 1)

    def _stream64(self):
        """Float64 in [0, 1) for an algorithm that cannot tell beforehand how many it takes.

        They are drawn ahead in blocks; closing the stream takes back those that nobody read.
        """
        while True:
            before = self._words.copy(), self._position, self._untouched
            taken = 0
            try:
                for value in self._unit64(_AHEAD).tolist():
                    taken += 1
                    yield value
            finally:
                if taken < _AHEAD:
                    words, self._position, self._untouched = before
                    self._words[:] = words
                    self._bits32(2 * taken)

    # ---- uniform ---------------------------------------------------------------------------------------------------------------

    @_atomic
    def uniform(self, n, low=0.0, high=1.0, dtype=dtypes.float32):
        """Values in [low, high): fma(u, high - low, low), computed in float32 for the 16-bit types.

        A value that rounds up to `high` becomes `low`.
        """
        if dtype.kind == "c":
            return self.uniform(2 * n, low, high, dtype.to_real()).view(dtype.numpy)
        _check_uniform(low, high, dtype)
        if n == 0:
            return np.empty(0, dtype.numpy)
        wide = dtype is dtypes.float64
        values = draws.uniform(self._pairs(n) if wide else self._bits32(n), low, high)
        if low == 0 and high == 1 and dtype.itemsize > 2:
            return values  # none of them is 1
        values = values.astype(dtype.numpy, copy=False)
        start, end = (np.array(bound, np.float64 if wide else np.float32).astype(dtype.numpy) for bound in (low, high))
        reached = values == end
        if reached.any():
            values[reached] = start
        return values

    # ---- normal ----------------------------------------------------------------------------------------------------------------

    @_atomic
    def normal(self, n, mean=0.0, std=1.0, dtype=dtypes.float32, contiguous=True):
        """Normal values, for memory that is `contiguous` or not: PyTorch goes two ways that take different draws.

        16 values or more of contiguous memory are made in blocks of 16; anything else one by one in float64.
        A complex value is two real ones, each with half the variance.
        """
        if dtype.kind == "c":
            return self.normal(2 * n, mean, std / math.sqrt(2), dtype.to_real(), contiguous).view(dtype.numpy)
        if not std >= 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        _need_floating("normal_kernel_cpu", dtype)
        if n < 16 or not contiguous:
            return _narrow(draws.multiply_add(self._normals_one_by_one(n), std, mean), dtype)
        # The wide types draw for every element and then once more for the last 16; the 16-bit types skip the draws nobody reads.
        whole, wide = n - n % 16, dtype is dtypes.float64
        drawn = n if dtype.itemsize > 2 else whole
        values = draws.uniform(self._pairs(drawn) if wide else self._bits32(drawn), 0, 1)
        draws.box_muller(values[:whole], mean, std)
        if n > whole:
            last = draws.uniform(self._pairs(16) if wide else self._bits32(16), 0, 1)
            draws.box_muller(last, mean, std)
            values = np.concatenate([values[:n - 16], last])
        return values.astype(dtype.numpy, copy=False)

    def _normals_one_by_one(self, n):
        """Standard normals in float64: each pair of uniforms gives two, and a second that nobody asked for yet is kept."""
        kept = [] if self._second_normal is None or n == 0 else [self._second_normal]
        pairs = (n - len(kept) + 1) // 2
        uniforms = self._unit64(2 * pairs)
        radius = np.sqrt(-2.0 * draws.each("log1p", -uniforms[1::2]))
        angle = (2.0 * math.pi) * uniforms[0::2]
        values = np.empty(len(kept) + 2 * pairs)
        values[:len(kept)] = kept
        values[len(kept)::2] = radius * draws.each("cos", angle)
        values[len(kept) + 1::2] = radius * draws.each("sin", angle)
        if n:
            self._second_normal = float(values[n]) if len(values) > n else None
        return values[:n]

    @_atomic
    def log_normal(self, n, mean=1.0, std=2.0, dtype=dtypes.float32):
        """The exponential of normal values."""
        if not std > 0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
        _need_floating("log_normal_cpu", dtype)
        return _narrow(draws.each("exp", draws.multiply_add(self._normals_one_by_one(n), std, mean)), dtype)

    # ---- integers --------------------------------------------------------------------------------------------------------------

    @_atomic
    def random_(self, n, low=None, high=None, dtype=dtypes.int64):
        """Integers in [low, high), from `low` to the dtype's last, or, with neither, all that `Tensor.random_()` covers.

        Without bounds a floating dtype takes the integers it holds without gaps.
        """
        if dtype.kind == "c":
            raise NotImplementedError(f'"random_kernel_cpu" not implemented for {dtype.name}')
        if low is None and high is None:
            wide = dtype in (dtypes.int64, dtypes.float64)
            values = (self._bits64 if wide else self._bits32)(n)
            count = 2 if dtype.kind == "b" else (1 << _DIGITS[dtype.name]) + 1 if dtype.kind == "f" else _largest(dtype) + 1
            return (values % values.dtype.type(count)).astype(dtype.numpy)
        low = 0 if low is None else low
        if low == _INT64_MIN and high is None:  # the range is all 64 bits
            if n and dtype not in (dtypes.int64, dtypes.float64, dtypes.float32, dtypes.bfloat16):
                kind = RuntimeError if dtype.kind in "ui" else NotImplementedError
                raise kind(f"random_: all of 64 bits are for int64, float64, float32 and bfloat16, not for {dtype.name}")
            return self._bits64(n).view(np.int64).astype(dtype.numpy)
        low, high = _integer_range(low, high, dtype)
        count = high - low
        return _narrow(draws.integers(self._pairs(n) if count >= _WIDE_RANGE else self._bits32(n), count, low), dtype)

    @_atomic
    def randperm(self, n, dtype=dtypes.int64):
        """The numbers below n in random order."""
        if n < 0:
            raise RuntimeError(f"randperm: n is {n}, but a permutation has at least 0 elements")
        if dtype.kind in "bc":
            raise NotImplementedError(f'"randperm" not implemented for {dtype.name}')
        last = _largest(dtype) if dtype.kind != "f" or dtype is dtypes.bfloat16 else 1 << _DIGITS[dtype.name]
        if n - 1 > last:
            raise RuntimeError(f"randperm: {n} cannot be held by {dtype.name} without overflow")
        if n >= _HUGE_PERMUTATION:
            return _narrow(self._huge_permutation(n), dtype)
        order = np.arange(n)
        if n > 1:
            draws.shuffle(order, self._bits32(n - 1), n)
        return order.astype(dtype.numpy, copy=False)

    def _huge_permutation(self, n):
        """32 bits would favour some places among this many."""
        order = np.empty(n, np.int64)
        for first in range(0, n, _CHUNK):
            end = min(first + _CHUNK, n)
            draws.shuffle_inside_out(order, self._pairs(end - first), first, end)
        return order

    # ---- distributions of one draw a value -------------------------------------------------------------------------------------

    @_atomic
    def bernoulli(self, n, p, dtype=dtypes.float32):
        """Ones with probability p, else zeros.  A number p takes 64 bits a value; an array of n of them 32, or 64 if float64."""
        if isinstance(p, np.ndarray):
            p = p.reshape(-1)
            if not ((p >= 0) & (p <= 1)).all():
                raise RuntimeError("bernoulli_ expects every p to be in [0, 1]")
            if p.dtype == np.float64:
                ones = self._unit64(n) < p
            else:
                ones = draws.uniform(self._bits32(n), 0, 1) < p.astype(np.float32)
        else:
            if not 0 <= p <= 1:
                raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
            ones = self._unit64(n) < p
        return ones.astype(dtype.numpy)

    @_atomic
    def exponential(self, n, lambd=1.0, dtype=dtypes.float32):
        if not lambd > 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        if dtype.kind != "f":
            raise RuntimeError(f"exponential_ is continuous: dtype must be a floating point, but is {dtype.name}")
        return _narrow((-1.0 / lambd) * draws.each("log1p", -self._unit64(n)), dtype)

    @_atomic
    def geometric(self, n, p, dtype=dtypes.float32):
        """The number of the first trial that succeeds, each with probability p."""
        if not 0 < p < 1:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
        if dtype.kind in "bc":
            raise NotImplementedError(f'"geometric_cpu" not implemented for {dtype.name}')
        return _narrow(np.ceil(draws.each("log", self._unit64(n)) / math.log1p(-p)), dtype)

    @_atomic
    def cauchy(self, n, median=0.0, sigma=1.0, dtype=dtypes.float32):
        if not sigma > 0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
        if dtype.kind != "f":
            raise RuntimeError(f"cauchy_ is continuous: dtype must be a floating point, but is {dtype.name}")
        tangent = draws.each("tan", math.pi * (self._unit64(n) - 0.5))
        return _narrow(draws.multiply_add(tangent, sigma, median), dtype)

    # ---- choices ---------------------------------------------------------------------------------------------------------------

    @_atomic
    def multinomial(self, weights, count, replacement=False):
        """`count` indices for each row of `weights` (one or two dimensions), as likely as their weights: int64, shape (..., count)."""
        if weights.ndim not in (1, 2):
            raise RuntimeError("prob_dist must be 1 or 2 dim")
        if dtypes.of_numpy(weights.dtype).kind != "f":
            raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {weights.dtype.name}")
        if count <= 0:
            raise RuntimeError("cannot sample n_sample <= 0 samples")
        categories = weights.shape[-1]
        if not replacement and count > categories:
            raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
        if categories > 1 << 24:
            raise RuntimeError("number of categories cannot exceed 2^24")
        rows = weights.reshape(-1, categories)
        if not (np.isfinite(rows) & (rows >= 0)).all():
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
        if not rows.astype(np.float64).any(axis=1).all():
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        if replacement and count > 1:  # a single draw is put back or not: PyTorch takes the quicker way
            chosen = [self._with_replacement(row, count) for row in rows]
        else:
            chosen = self._without_replacement(rows, count)
        return np.array(chosen, dtype=np.int64).reshape(weights.shape[:-1] + (count,))

    def _with_replacement(self, row, count):
        sums = np.cumsum(row, dtype=np.float64 if row.dtype == np.float64 else np.float32)
        sums /= sums[-1]
        sums[-1] = 1
        return np.searchsorted(sums.astype(np.float64), self._unit64(count), side="left")

    def _without_replacement(self, rows, count):
        """The largest weight / q, where q is exponential: the race that the index with the highest rate wins most often."""
        q = self.exponential(rows.size, 1.0, dtypes.of_numpy(rows.dtype)).reshape(rows.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = (rows / q).astype(np.float64)
        return np.argsort(-scores, axis=1, kind="stable")[:, :count]

    @_atomic
    def poisson(self, rates):
        """A Poisson value for each of `rates`, flat, in their dtype."""
        with contextlib.closing(self._stream64()) as uniforms:
            values = [rejection.poisson(rate, uniforms) for rate in rates.reshape(-1).astype(np.float64).tolist()]
        return _narrow(np.array(values, np.float64), dtypes.of_numpy(rates.dtype))

    @_atomic
    def binomial(self, counts, probabilities):
        """How many of `counts` trials succeed, for each pair, flat, in the dtype of both, float32 or float64."""
        with contextlib.closing(self._stream64()) as uniforms:
            values = [rejection.binomial(count, p, uniforms)
                      for count, p in zip(counts.reshape(-1), probabilities.reshape(-1), strict=True)]
        return np.array(values, counts.dtype)

    @_atomic
    def gamma(self, shapes):
        """A gamma value of scale 1 for each of `shapes`, flat, in their dtype, float32 or float64."""
        with contextlib.closing(self._stream64()) as uniforms:
            values = [rejection.gamma(shape, uniforms, lambda: self._next_normal(uniforms)) for shape in shapes.reshape(-1)]
        return np.array(values, shapes.dtype)

    def _next_normal(self, uniforms):
        """One standard normal from a stream, in the way of `_normals_one_by_one`."""
        value, self._second_normal = self._second_normal, None
        if value is None:
            angle = 2 * math.pi * next(uniforms)
            radius = math.sqrt(-2 * math.log1p(-next(uniforms)))
            value, self._second_normal = radius * math.cos(angle), radius * math.sin(angle)
        return value


def _restored(kind, state):
    return kind().set_state(state)


# ---- numbers -------------------------------------------------------------------------------------------------------------------

@functools.cache
def _largest(dtype):
    """The largest finite number of a dtype, as a Python number."""
    if dtype.kind == "b":
        return 1
    return int(np.iinfo(dtype.numpy).max) if dtype.kind in "iu" else float(ml_dtypes.finfo(dtype.numpy).max)


def _need_floating(kernel, dtype):
    if dtype.kind != "f":
        raise NotImplementedError(f'"{kernel}" not implemented for {dtype.name}')


def _check_uniform(low, high, dtype):
    if dtype.kind != "f":
        raise NotImplementedError(f'"check_uniform_bounds" not implemented for {dtype.name}')
    largest = _largest(dtype)
    for name, bound in (("from", low), ("to", high)):
        if not -largest <= bound <= largest:
            raise RuntimeError(f"uniform_: {name} is out of bounds for {dtype.name}")
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    if high - low > largest:
        raise RuntimeError(f"uniform_: from={low} to={high} is further than {dtype.name} reaches, {largest}")


def _integer_range(low, high, dtype):
    """[low, high) with both ends checked, and for a floating dtype moved inwards to integers that it holds."""
    floating = dtype.kind == "f"
    open_ended = high is None
    if open_ended:
        high = (1 << _DIGITS[dtype.name] if floating else int(_largest(dtype))) + 1
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if floating:
        digits = _DIGITS[dtype.name]
        if _held(low + 1, dtype) < low:
            low = _held(low + 1, dtype) + (1 << (abs(low + 1).bit_length() - digits))
        if not open_ended and _held(high - 1, dtype) >= high:
            high = _held(high - 1, dtype) - (1 << (abs(high - 1).bit_length() - digits))
        if low >= high:
            raise RuntimeError(f"random_: {dtype.name} holds no integer from {low} to below {high}")
    smallest = 0 if dtype.kind in "bu" else -_largest(dtype) - (not floating)
    for name, bound in (("from", low), ("to - 1", high - 1)):
        if not smallest <= bound <= _largest(dtype):
            raise RuntimeError(f"random_: {name} is out of bounds for {dtype.name}")
    return low, high


def _held(integer, dtype):
    """The integer that a floating dtype makes of this one; past the last int64, as on x86, the first."""
    number = float(np.float64(integer) if dtype is dtypes.float64 else np.float32(integer).astype(dtype.numpy))
    return int(number) if abs(number) < 2.0 ** 63 else _INT64_MIN


def _narrow(values, dtype):
    """Round to a dtype; to the 16-bit types by way of float32, as C++ does."""
    if dtype.itemsize == 2 and dtype.kind == "f":
        values = values.astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(dtype.numpy, copy=False)


default_generator = Generator(_chance())
_lock = default_generator._lock  # nobody who is gone holds it in the child of a fork
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
