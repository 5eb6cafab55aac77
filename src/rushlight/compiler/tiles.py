"""Expressions in the middle of a matrix product: evaluated for a few neighbours of one row, wherever the tile loops are.

    for each row of a finished tile:
        for each vector of it:             ->   Tiles.run: y[row, column ...] = relu(sums + b[column ...])

Unlike those of a nest (emit.py), the loops are those of contraction.py, which says where it is, how many lanes there are, and, at a
ragged edge, which of them exist.  What depends on no place is computed once, in front of the loops.  Start with `Tiles.run`.
"""
from contextlib import contextmanager

from . import vectormath
from .evaluation import Evaluation, is_one
from .expressions import is_int
from .llvmir import Value
from .loops import inputs_of

_ROWS_AHEAD = 8


class Tiles(Evaluation):
    """Writes the statements of a nest into the tile loops of function `f`, whose current block is in front of them."""

    def __init__(self, f, nest, slots, args):
        super().__init__(f, nest, slots, args)
        self.row = None  # the axis of rows, which come one after the other
        self.mask, self.results = None, {}
        self.scopes = 1  # of values that outlive a tile
        for e in nest.expressions():
            if not e.axes and not e.results:
                self.value(e)

    def run(self, statements, places, vector, lanes, mask, results):
        """Do the statements at `places` (axis -> index) and the `lanes` - 1 places after it along the axis `vector`; where there
        is a `mask`, only those it names.  `results` gives the Values of accumulators."""
        self.begin(places, vector, lanes, mask, results)
        for n, s in enumerate(statements):
            self.read_before(s, statements[n + 1:])
            self._store(s)

    def begin(self, places, vector, lanes, mask=None, results=()):
        self.places, self.vector, self.lanes, self.mask, self.results = places, vector, lanes, mask, dict(results)
        self.values[self.scopes:] = [{}]

    @contextmanager
    def in_row(self, places, vector, lanes):
        """What follows from these places alone is computed here, and known to all tiles within."""
        self.begin(places, vector, lanes)
        self.scopes += 1
        fixed, order = set(), self.nest.expressions()
        for e in order:
            if e.axes and not e.results and e.axes - self.nest.merged <= places.keys():
                fixed.add(e)
                self.value(e)
        for e in order:
            if e not in fixed and e.op not in ("load", "index"):
                for a in inputs_of(e):
                    if a in fixed:
                        self.in_lanes(a)
        yield
        self.scopes -= 1
        self.values[self.scopes:] = []

    def varies(self, e):
        # results come by lanes, be it of one column
        return self.lanes > 1 and (self.vector in e.axes or not e.results.isdisjoint(self.results))

    def result(self, accumulator):
        return self.results[accumulator]

    def existing(self, buffer):
        return self.mask

    def load_neighbours(self, type, address, element, place):
        """Also begin to fetch what a row some turns later will read: rows lie too far apart for the processor to guess it."""
        x = super().load_neighbours(type, address, element, place)
        c = 0 if self.row is None else place.coefficient(self.row)
        if not is_int(c, 0):
            ahead = self.f.element(address, element, self.f.mul(self.factor(place, self.row, c), _ROWS_AHEAD))
            self.f.intrinsic("llvm.prefetch.p0", "void", ahead, *(Value(x, "i32") for x in "031"))
        return x

    def _store(self, s):
        f, buffer = self.f, s.buffer
        x = vectormath.store_convert(f, self.in_lanes(s.expression), buffer.dtype)
        address, stride = self.address(buffer, s.place)
        if self.lanes == 1 or (is_one(stride) and self.mask is None):
            f.store(x, address)
        elif is_one(stride):
            f.store_where(self.mask, x, address)
        else:
            f.scatter(f.splat(f.of(True, "i1"), self.lanes) if self.mask is None else self.mask, x, self.addresses(buffer, s.place))
