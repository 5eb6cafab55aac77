"""torch.quasirandom: Sobol's sequences, points that fill a cube more evenly than random ones.

    point i + 1  =  point i  XOR  direction number l        l: how many ones end the binary number i

Each dimension has 30 direction numbers, which follow from a polynomial and a few first numbers by a recurrence modulo 2.  Those were searched by
S. Joe and F. Y. Kuo ("Constructing Sobol sequences with better two-dimensional projections", 2008, https://web.maths.unsw.edu.au/~fkuo/sobol);
`sobol_numbers.txt` has them for the dimensions after the first, a line each: the polynomial's bits and the numbers.  PyTorch has more
dimensions of the same table (21,201 instead of 1,111).
"""
from pathlib import Path

import numpy as np

import rushlight as torch

BITS = 30
NUMBERS = Path(__file__).with_name("sobol_numbers.txt")


def directions(dimension):
    """The direction numbers (dimension, BITS), with their leading bits first."""
    numbers = np.ones((dimension, BITS), np.int64)
    with open(NUMBERS) as lines:
        for row, line in zip(numbers[1:], lines):
            polynomial, *first = map(int, line.split())
            degree = len(first)
            row[:degree] = first
            for j in range(degree, BITS):
                row[j] = row[j - degree]
                for k in range(1, degree + 1):
                    if polynomial >> (degree - k) & 1:
                        row[j] ^= row[j - k] << k
    return numbers << np.arange(BITS - 1, -1, -1)


def scrambled(numbers, matrices):
    """Direction numbers whose bits are multiplied by lower triangular matrices of bits (Matousek's linear scrambling)."""
    matrices = matrices | np.eye(BITS, dtype=np.int64)
    rows = (matrices << np.arange(BITS - 1, -1, -1)).sum(-1)
    parity = np.bitwise_count(rows[:, ::-1, None] & numbers[:, None, :]).astype(np.int64) & 1
    return (parity << np.arange(BITS)[:, None]).sum(1)


class SobolEngine:
    """Points of a Sobol sequence in the unit cube of `dimension` dimensions; scrambled, the points are another such sequence, drawn by the seed.
    https://docs.pytorch.org/docs/stable/generated/torch.quasirandom.SobolEngine.html

    >>> torch.quasirandom.SobolEngine(2).draw(3)
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [0.7500, 0.2500]])
    """

    MAXBIT, MAXDIM = BITS, 1111

    def __init__(self, dimension, scramble=False, seed=None):
        if dimension > self.MAXDIM or dimension < 1:
            raise ValueError(f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]")
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        numbers, shift = directions(dimension), torch.zeros(dimension, dtype=torch.long)
        if scramble:
            generator = None if seed is None else torch.Generator().manual_seed(seed)
            bits = torch.randint(2, (dimension, BITS), generator=generator)
            shift = (bits * 2 ** torch.arange(BITS)).sum(-1)
            matrices = torch.randint(2, (dimension, BITS, BITS), generator=generator).tril()
            numbers = scrambled(numbers, matrices.numpy())
        self.sobolstate, self.shift = torch.from_numpy(numbers), shift
        self.reset()

    def draw(self, n=1, out=None, dtype=None):
        """The next `n` points, (n, dimension)."""
        dtype = torch.get_default_dtype() if dtype is None else dtype
        first = self.num_generated == 0
        steps = self._steps(n - 1 if first else n)
        points = np.bitwise_xor.accumulate(np.concatenate([self.quasi.numpy()[None], steps]), axis=0)
        self.quasi = torch.from_numpy(points[-1].copy())
        self.num_generated += n
        result = torch.from_numpy(points if first else points[1:]).to(dtype) / 2 ** BITS
        return result if out is None else out.resize_as_(result).copy_(result)

    def _steps(self, count):
        """What the next `count` points differ by from those before them."""
        start = max(self.num_generated - 1, 0)
        last = np.arange(start, start + count)
        trailing = np.bitwise_count(last & ~(last + 1)).astype(np.int64)
        return self.sobolstate.numpy().T[trailing]

    def draw_base2(self, m, out=None, dtype=None):
        """The next 2^m points.  ValueError unless there are then a power of two of them, over which the sequence is balanced."""
        n, total = 2 ** m, self.num_generated + 2 ** m
        if total & (total - 1):
            raise ValueError("The balance properties of Sobol' points require n to be a power of 2. "
                             f"{self.num_generated} points have been previously generated, then: n={self.num_generated}+2**{m}={total}. "
                             "If you still want to do this, please use 'SobolEngine.draw()' instead.")
        return self.draw(n, out, dtype)

    def reset(self):
        """Begin again with the first point."""
        self.quasi, self.num_generated = self.shift.clone(), 0
        return self

    def fast_forward(self, n):
        """Pass `n` points over."""
        steps = self._steps(n - 1 if self.num_generated == 0 else n)
        self.quasi = torch.from_numpy(np.bitwise_xor.reduce(steps, axis=0, initial=0) ^ self.quasi.numpy())
        self.num_generated += n
        return self

    def __repr__(self):
        parts = [f"dimension={self.dimension}"] + (["scramble=True"] if self.scramble else []) + ([f"seed={self.seed}"] if self.seed is not None else [])
        return f"SobolEngine({', '.join(parts)})"
