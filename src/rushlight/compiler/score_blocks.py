"""What all kernels of attention are written with: memory in and out, products, and the scores of one block.

    copy_rows, store_rows       rows of an operand to scratch, widened, and back
    turned_in, turned_out       the same, on their side: a lane is a row
    panel                       a product of what lies in scratch (microkernel)
    scores                      a block of them, with what is hidden
    down                        a walk down the columns of a block

What is in scratch, and what a task is, attention.py says.  Start with `BlockWriter.function`.
"""
from ..ir import dtypes
from ..ir.graph import sums_dtype
from . import vectormath
from .expressions import is_int
from .lanes import Lanes
from .llvmir import Carried, Function, Value, constant, vector_type
from .native.target import host
from .transcendentals import LN2, exp2_of_negative
from .transposing import transpose


class BlockWriter:
    """A kernel of attention under construction.  A subclass has `task(task)`, which writes what one task does."""

    def __init__(self, attention, slots, name):
        self.attention, self.slots = attention, slots
        self.shape, self.element = attention.shape, attention.shape.element
        self.lanes, self.columns = self.shape.lanes, self.shape.columns
        self.vector = vector_type(self.element, self.lanes)
        self.zero = Value("zeroinitializer", self.vector)
        self.sums = sums_dtype(attention.dtype)
        self.f = Function(name, [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")],
                          attributes=host().function_attributes)
        self.numbers = {name: self._argument(name) for name in attention.numbers}
        self.panel_code = self._argument("panel", "ptr")
        self.pointers = {name: self._argument((name, "pointer"), "ptr") for name in attention.memory}
        self.steps = {(name, which): self._argument((name, which)) for name in attention.memory for which in ("row", "column")}
        self.batch = [(self._argument(("batch", i)), {name: self._argument((name, "batch", i)) for name in attention.memory})
                      for i in range(len(attention.batch_axes))]
        scratch = self.f.parameters[3]
        self.scratch = {name: self.f.element(scratch, self.element, self.numbers["scratch " + name]) for name in attention.places}
        self.starts = {}

    def _argument(self, name, type="i64"):
        return self.f.load(type, self.f.element(self.f.parameters[0], "i64", self.slots.once(name, None)))

    def function(self):
        f = self.f
        _, begin, end, _ = f.parameters
        scale = f.load(self.element, self._argument("scale", "ptr"))
        self.scale, self.scale_of_two = scale, f.binary("fmul", scale, 1 / LN2)  # scores are made for powers of two
        with f.loop(begin, end) as task:
            self.task(task)
        f.ret()
        return f

    def enter(self, matrix):
        """From here on operands are those of one matrix."""
        f = self.f
        offsets, rest = dict.fromkeys(self.pointers, 0), matrix
        for i, (extent, strides) in reversed(list(enumerate(self.batch))):
            index = f.binary("urem", rest, extent) if i else rest
            rest = f.binary("udiv", rest, extent) if i else rest
            offsets = {name: f.add(offset, f.mul(index, strides[name])) for name, offset in offsets.items()}
        self.starts = {name: f.element(self.pointers[name], self._raw(name), offset) for name, offset in offsets.items()}

    def _raw(self, name):
        return vectormath.memory_type(self.attention.memory[name][0].dtype)

    def _place(self, name, row, column):
        """The address of an element of the matrix at hand."""
        f, raw = self.f, self._raw(name)
        start = f.element(self.starts[name], raw, f.mul(row, self.steps[name, "row"]))
        return f.element(start, raw, f.mul(column, self.steps[name, "column"]))

    def at(self, pointer, *offsets):
        for offset in offsets:
            pointer = self.f.element(pointer, self.element, offset)
        return pointer

    def smaller(self, a, b):
        f = self.f
        a, b = f.of(a, "i64"), f.of(b, "i64")
        return f.select(f.compare("slt", a, b), a, b)

    def larger(self, a, b):
        f = self.f
        a, b = f.of(a, "i64"), f.of(b, "i64")
        return f.select(f.compare("sgt", a, b), a, b)

    def whole_vectors(self, n):
        """How many vectors hold n numbers."""
        return self.f.binary("udiv", self.f.add(n, self.lanes - 1), self.lanes)

    def pieces(self, name, columns):
        """How to go along a row of memory, as (numbers at once, first, last): in whole vectors as far as there are neighbours."""
        if not self.has_neighbours(name):
            return [(1, 0, columns)]
        whole = self.f.binary("and", columns, -self.lanes)
        return [(self.lanes, 0, whole), (1, whole, columns)]

    def has_neighbours(self, name):
        return is_int(self.attention.memory[name][0].strides[-1], 1)

    # Memory in and out

    def copy_rows(self, name, row, rows, column, columns, to, pitch, factor=None):
        """to[i * pitch + j] = element (row + i, column + j), times `factor`; in each row there are zeros behind, up to a whole vector."""
        f, buffer = self.f, self.attention.memory[name][0]
        raw, step = self._raw(name), self.steps[name, "column"]
        neighbours, pieces = self.has_neighbours(name), self.pieces(name, columns)
        start = self._place(name, row, column)
        ragged = f.compare("ne", f.binary("and", columns, self.lanes - 1), 0)
        with f.loop(0, rows) as i:
            source = f.element(start, raw, f.mul(i, self.steps[name, "row"]))
            target = self.at(to, f.mul(i, pitch))
            with f.when(ragged):
                f.store(self.zero, self.at(target, f.binary("and", columns, -self.lanes)))
            for lanes, first, last in pieces:
                with f.loop(first, last, lanes) as j:
                    x = f.load(vector_type(raw, lanes), f.element(source, raw, j if neighbours else f.mul(j, step)))
                    x = self._widened(vectormath.load_convert(f, x, buffer.dtype), buffer.dtype, lanes)
                    if factor is not None:
                        x = f.binary("fmul", x, f.splat(factor, lanes))
                    f.store(x, self.at(target, j))

    def _widened(self, x, dtype, lanes):
        """A mask's True and False as what is added to scores; a number in the type of the sums."""
        f, type = self.f, vector_type(self.element, lanes)
        if dtype is dtypes.bool_:
            return f.select(x, constant(type, 0.0), constant(type, float("-inf")))
        return f.convert("fpext", x, type)

    def store_rows(self, name, row, rows, columns, source, pitch, factor=None):
        """Elements (row + i, j) of a result = source[i * pitch + j], times `factor`."""
        f, buffer = self.f, self.attention.memory[name][0]
        raw, step = self._raw(name), self.steps[name, "column"]
        neighbours, pieces = self.has_neighbours(name), self.pieces(name, columns)
        start = self._place(name, row, 0)
        with f.loop(0, rows) as i:
            target, line = f.element(start, raw, f.mul(i, self.steps[name, "row"])), self.at(source, f.mul(i, pitch))
            for lanes, first, last in pieces:
                with f.loop(first, last, lanes) as j:
                    x = f.load(vector_type(self.element, lanes), self.at(line, j))
                    if factor is not None:
                        x = f.binary("fmul", x, f.splat(factor, lanes))
                    x = vectormath.cast(f, x, self.sums, buffer.dtype)
                    f.store(vectormath.store_convert(f, x, buffer.dtype), f.element(target, raw, j if neighbours else f.mul(j, step)))

    def turned_in(self, name, row, rows, column, columns, to, factor=None):
        """to[j * self.columns + i] = element (row + i, column + j), by way of rows of the same numbers."""
        pitch = self.f.mul(self.whole_vectors(columns), self.lanes)
        self.copy_rows(name, row, rows, column, columns, self.scratch["rows"], pitch, factor)
        self.turn(self.scratch["rows"], pitch, to, rows, columns)

    def turn(self, rows_at, pitch, to, rows, columns):
        """to[j * self.columns + i] = rows_at[i * pitch + j], and zeros behind, up to a whole vector of i.  (There is room for these
        rows.)
        """
        f, end = self.f, self.f.mul(self.whole_vectors(rows), self.lanes)
        with f.loop(rows, end) as i, f.loop(0, columns, self.lanes) as j:
            f.store(self.zero, self.at(rows_at, f.mul(i, pitch), j))
        transpose(f, self._bytes(), rows_at, pitch, to, self.columns, columns, end)

    def turned_out(self, name, row, rows, columns, source, factor=None):
        """Elements (row + i, j) of a result = source[j * self.columns + i], times `factor`."""
        pitch = self.f.mul(self.whole_vectors(columns), self.lanes)
        transpose(self.f, self._bytes(), source, self.columns, self.scratch["rows"], pitch, rows, columns)
        self.store_rows(name, row, rows, columns, self.scratch["rows"], pitch, factor)

    def _bytes(self):
        return 8 if self.element == "double" else 4

    # Blocks

    def panel(self, a, a_row, a_k, a_next, b, b_k, c, c_row, rows, k, vectors, add):
        arguments = (a, a_row, a_k, a_next, b, b_k, c, c_row, rows, k, vectors, add)
        self.f.do(f"call void {self.panel_code.text}({', '.join(repr(self.f.of(x, 'i64')) for x in arguments)})")

    def scores(self, query, key, first_query, width, first_key, keys, vectors):
        """scores[j * columns + i] = the score of key first_key + j for query first_query + i, minus infinity where it is hidden."""
        f, n, scores = self.f, self.numbers, self.scratch["scores"]
        self.panel(key, n["pitch"], 1, n["pitch"], query, self.columns, scores, self.columns, keys, n["width"], vectors, 0)
        if self.attention.has_mask:
            self.turned_in("mask", first_query, width, first_key, keys, self.scratch["mask"], f.of(1 / LN2, self.element))
            with f.loop(0, keys) as j, f.loop(0, vectors) as v:
                offset = f.add(f.mul(j, self.columns), f.mul(v, self.lanes))
                x = f.load(self.vector, self.at(scores, offset))
                f.store(f.binary("fadd", x, f.load(self.vector, self.at(self.scratch["mask"], offset))), self.at(scores, offset))
        if self.attention.causal:
            numbers = Value("<" + ", ".join(f"i32 {i}" for i in range(self.lanes)) + ">", vector_type("i32", self.lanes))
            ahead = f.binary("sub", first_key, first_query)
            with f.loop(self.larger(0, f.binary("sub", 1, ahead)), keys) as j, f.loop(0, vectors) as v:
                column = f.mul(v, self.lanes)
                place = self.at(scores, f.add(f.mul(j, self.columns), column))
                later = f.convert("trunc", f.binary("sub", f.add(ahead, j), column), "i32")
                seen = f.compare("sge", numbers, f.splat(later, self.lanes))
                f.store(f.select(seen, f.load(self.vector, place), constant(self.vector, float("-inf"))), place)

    def keys_seen(self, first_key, keys, first_query, queries):
        """How many of the keys in a block some of these queries may see."""
        if not self.attention.causal:
            return keys
        f = self.f
        return self.smaller(keys, f.binary("sub", f.add(first_query, queries), first_key))

    def pieces_of(self, first_query, first_key, keys):
        """How many queries of a sliver are looked after together: all, or, where the diagonal passes through the block, a part of them, so
        that less is computed in vain."""
        piece = self.lanes * max(2, self.shape.vectors // 2)
        if not self.attention.causal or piece == self.columns:
            return self.columns
        f = self.f
        return f.select(f.compare("slt", self.keys_seen(first_key, keys, first_query, 1), keys), f.of(piece, "i64"), self.columns)

    def down(self, start, keys, carried, step, together=4):
        """Go down a column of a block: `step(place, values, chain)` gives the next of the `carried` values, which are tuples of one for
        each of `together` interleaved chains; what is left over goes to the first chain.  Returns the values."""
        f = self.f
        whole = f.binary("and", keys, -together)
        flat = [x for chain in carried for x in chain]
        size = len(carried[0])
        for first, last, chains in ((0, whole, together), (whole, keys, 1)):
            with f.loop(first, last, chains, flat) as turn:
                j, now = turn if flat else (turn, Carried())
                values = list(now)
                for c in range(chains):
                    place = f.mul(f.add(j, c), self.columns)
                    values[c * size:(c + 1) * size] = step(self.at(start, place), place, values[c * size:(c + 1) * size])
                now.next = values
            flat = now.final if flat else flat
        return [flat[c * size:(c + 1) * size] for c in range(together)]

    def power(self, x):
        """2^x."""
        return exp2_of_negative(Lanes(self.f, x)).value

    def greater(self, a, b):
        """The greater of two; a where b is NaN."""
        return self.f.select(self.f.compare("ogt", b, a), b, a)

    def across(self, op, vector):
        """All lanes as one number: halves are put together, again and again."""
        f, lanes = self.f, self.lanes
        while True:
            lanes //= 2
            halves = [f.extract(vector, i) if lanes == 1 else f.shuffle(vector, vector, range(i * lanes, (i + 1) * lanes)) for i in (0, 1)]
            vector = f.binary("fadd", *halves) if op == "fadd" else self.greater(*halves)
            if lanes == 1:
                return vector
