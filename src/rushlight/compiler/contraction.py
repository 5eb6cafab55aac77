"""Batched matrix products C = A B with whatever is fused into reading A and B and into writing C.

              columns of one task                   for each task (batch, rows x columns of C):
            +-----+------------+                        for each block of k:
          k |  B  | packed     |                            pack the block of A, where it does not lie well
            +-----+------------+                            pack the block of B into slivers, k x tile width
      +---+ +--+--+------------+                            for each sliver:
      | A | |  |  | slivers    | rows of one task               panel: all rows of A times the sliver (microkernel)
      +---+ +--+--+------------+                                last block: hand the finished columns to `store`

**The order of summation** is the same in every form, for every layout, tile, thread count and m, n, batch: k is cut into
`k_block(k)` long blocks; a block is summed from zero by fma in the order of k; blocks are added in their order.

For callers (the nest emitter).  A product is built for a structure; all extents and strides are run-time values.

    form = choose(target, dtype, a, b, batch, m, k, n)    ints or Extents: at most four guards, all of them coarse
    tasks = task_count(form, batch, m, n)                               ints or Extents, no guards
    bytes = scratch_bytes(target, dtype)                                a plain int, whatever the extents
    build(f, target, dtype, form, batch, m, k, n, a, b, store, begin, end, scratch, panel)

`build` writes the body into `f` at its current block and leaves the current block open (the caller returns).  `batch`, `m`,
`k`, `n`, `begin`, `end` are i64 Values or ints, `scratch` a ptr Value, `panel` a ptr Value loaded from an argument slot that
holds `microkernel.panel_address(target, dtype)`.

`a` and `b` are an Operand (memory) or a Computed (prologue).  `store` is a Plain (the product is written as it is) or a
function `store(f, batch, row, column, value, lanes, mask)`: `value` holds C[row, column : column + lanes] as a vector (a
scalar for one lane) of `microkernel.sum_type(dtype)`, not yet rounded to a narrower dtype; `mask` is None or a vector of i1
saying which lanes there are.  All positions are i64 Values.  Everything in front of the current block dominates it, so
what does not depend on the position may be computed before `build` is called.

Start with `build`, then `_task`; `choose` says what a task is.
"""
from dataclasses import dataclass
from typing import Callable

from .llvmir import Function, Value, vector_type
from .microkernel import Tile, sum_type, tile
from .packing import LLVM_TYPES, copy_block, pack_panels, transpose_block
from .skinny import add_block, add_columns, add_rows

K_BLOCK = 512        # part of the meaning of a product: the same on every target
TASK_ROWS = 256
TASK_COLUMNS = 256
FEW_ROWS = 8          # up to here reading B is the work
SKINNY_COLUMNS = 1024


# ---------------------------------------------------------------------------------------------------------------------
# What is multiplied

@dataclass
class Operand:
    """A matrix in memory, in its own dtype.  `layout` is 'rows' (the last index has stride 1), 'columns' (the first of the two has)
    or 'strided'.  Strides are in elements; `batch_offset(f, batch)` gives how many elements a matrix begins after `pointer`."""
    layout: str
    pointer: Value
    row_stride: "Value | int"
    column_stride: "Value | int"
    batch_offset: Callable = lambda f, batch: 0


@dataclass
class Computed:
    """A matrix that an expression gives: `load(f, batch, row, column, lanes)` emits its elements at (row, column), as a vector of
    `lanes` neighbours along `along` ('row': the column grows; 'column': the row grows), or as a scalar for one lane, of the
    type `microkernel.sum_type(dtype)`.  It is called with one lane and with a full vector."""
    load: Callable
    along: str = "row"
    layout: str = "computed"


@dataclass
class Plain:
    """Where a product is written as it is: rows of neighbours, of a dtype whose sums have its own type."""
    pointer: Value
    row_stride: "Value | int"
    batch_offset: Callable = lambda f, batch: 0


# ---------------------------------------------------------------------------------------------------------------------
# Sizes

@dataclass(frozen=True)
class Form:
    """How a product is done: `rows` x `columns` of C are one task, and `kind` decides the code."""
    kind: str  # 'packed'; 'direct': nothing is packed; 'rows' and 'columns': see skinny
    rows: int
    columns: int
    swapped: bool = False  # the transposed product is made: C^T = B^T A^T


def choose(target, dtype, a, b, batch, m, k, n):
    """The form that suits the extents.  Tasks follow from them alone: large ones pack little twice, small ones occupy all threads."""
    a_along, b_along, a, b = _along(a), _along(b), a.layout, b.layout
    shape = tile(target, dtype)
    as_it_is = sum_type(dtype) == LLVM_TYPES[dtype.name]
    few_rows, few_columns = _parts(64, shape.rows) * shape.rows, _parts(64, shape.columns) * shape.columns
    if n == 1 and a_along == "column":
        return Form("rows", FEW_ROWS, SKINNY_COLUMNS, swapped=True)
    if n == 1 and a_along == "row" or m == 1 and b_along == "column":
        far = m * n * k >= 1 << 22  # from memory, fewer columns at a time are faster: whole columns are read
        return Form("columns", 1, shape.lanes if far else few_columns, swapped=n == 1 and a_along == "row")
    if b_along == "row" and m <= FEW_ROWS:
        return Form("rows", FEW_ROWS, SKINNY_COLUMNS)
    if as_it_is and b == "rows" and a != "computed" and k * n <= 1 << 14:
        return Form("direct", few_rows, few_columns)
    most_rows, most_columns = _limits(shape)
    if batch * m * n >= 1 << 20:
        return Form("packed", most_rows, most_columns)
    if a == "rows" and as_it_is:
        return Form("packed", most_rows, few_columns)
    return Form("packed", 2 * few_rows, most_columns)


def task_count(form, batch, m, n):
    """How many tasks `build` divides the product into; each extent an int or an Extent."""
    if form.swapped:
        m, n = n, m
    return batch * _parts(m, form.rows) * _parts(n, form.columns)


def k_block(k):
    """How many k are summed before the sum is added to C: from k alone, blocks of nearly one length."""
    return max(8, _parts(_parts(k, max(1, _parts(k, K_BLOCK))), 8) * 8)


def _parts(x, size):
    """How many parts of `size` cover x."""
    return (x + (size - 1)) // size


def _limits(shape):
    """The most rows and columns of a task."""
    return _parts(TASK_ROWS, shape.rows) * shape.rows, _parts(TASK_COLUMNS, shape.columns) * shape.columns


def _scratch_layout(shape):
    """Elements of scratch for the blocks of A, of B, and for unfinished columns of C."""
    rows, columns = _limits(shape)
    return (rows + 16) * K_BLOCK, columns * (K_BLOCK + 16), rows * columns


def scratch_bytes(target, dtype):
    shape = tile(target, dtype)
    return sum(_scratch_layout(shape)) * (8 if shape.element in ("double", "i64") else 4)


# ---------------------------------------------------------------------------------------------------------------------
# Code

@dataclass
class _Product:
    """What all parts of one product under construction need."""
    f: Function
    shape: Tile
    dtype: object
    form: Form
    m: Value
    k: Value
    n: Value
    a: "Operand | Computed"
    b: "Operand | Computed"
    store: object
    panel: Value
    a_scratch: Value
    b_scratch: Value
    c_scratch: Value
    k_block: Value

    def at(self, pointer, *offsets):
        """The address that many elements of the sums' type further on."""
        for offset in offsets:
            pointer = self.f.element(pointer, self.shape.element, offset)
        return pointer


def build(f, target, dtype, form, batch, m, k, n, a, b, store, begin, end, scratch, panel):
    """Emit tasks begin <= t < end of the product into `f`."""
    shape = tile(target, dtype)
    batch, m, k, n, begin, end = (f.of(x, "i64") for x in (batch, m, k, n, begin, end))
    if form.swapped:
        m, n, a, b = n, m, _swapped(b), _swapped(a)
    for_a, for_b, _ = _scratch_layout(shape)
    b_scratch = f.element(scratch, shape.element, for_a)
    c_scratch = f.element(b_scratch, shape.element, for_b)
    p = _Product(f, shape, dtype, form, m, k, n, a, b, store, panel, scratch, b_scratch, c_scratch, _k_block(f, k))
    row_tasks, column_tasks = (f.binary("udiv", f.add(x, size - 1), size) for x, size in ((m, form.rows), (n, form.columns)))
    with f.loop(begin, end) as task:
        rest = f.binary("udiv", task, row_tasks)
        row = f.mul(f.binary("urem", task, row_tasks), form.rows)
        matrix = f.binary("udiv", rest, column_tasks)
        column = f.mul(f.binary("urem", rest, column_tasks), form.columns)
        (_skinny_task if form.kind in ("rows", "columns") else _task)(p, matrix, row, column)


def _swapped(operand):
    """The transposed matrix, in the same memory."""
    if isinstance(operand, Computed):
        return Computed(lambda f, batch, row, column, lanes: operand.load(f, batch, column, row, lanes),
                        {"row": "column", "column": "row"}[operand.along])
    layout = {"rows": "columns", "columns": "rows", "strided": "strided"}[operand.layout]
    return Operand(layout, operand.pointer, operand.column_stride, operand.row_stride, operand.batch_offset)


def _k_block(f, k):
    """`k_block` of a Value."""
    def parts(x, size):
        return f.binary("udiv", f.add(x, f.binary("sub", size, 1)), size)

    def at_least(x, least):
        return f.select(f.compare("sgt", x, least), x, f.of(least, "i64"))
    blocks = at_least(parts(k, f.of(K_BLOCK, "i64")), 1)
    return at_least(f.mul(parts(parts(k, blocks), f.of(8, "i64")), 8), 8)


def _task(p, matrix, row, column):
    f = p.f
    rows = _smaller(f, f.of(p.form.rows, "i64"), f.binary("sub", p.m, row))
    columns = _smaller(f, f.of(p.form.columns, "i64"), f.binary("sub", p.n, column))
    with f.loop(0, _at_least_one(f, p.k), p.k_block) as first_k:
        left = f.binary("sub", p.k, first_k)
        length = _smaller(f, p.k_block, left)
        a_now, a_row, a_k, a_next = _block_of_a(p, matrix, row, rows, first_k, length)
        again = f.convert("zext", f.compare("sgt", first_k, 0), "i64")
        finished = f.compare("sle", left, p.k_block)
        one_block = f.compare("sle", p.k, p.k_block)
        b_matrix = None if isinstance(p.b, Computed) else p.b.batch_offset(f, matrix)
        if p.form.kind != "direct" and _along(p.b) == "row":
            _pack_rows_of_b(p, _Reader(p, p.b, matrix, first_k, column), length, columns)
        with f.loop(0, columns, p.shape.columns) as offset:
            at = f.add(column, offset)
            width = _smaller(f, f.of(p.shape.columns, "i64"), f.binary("sub", columns, offset))
            whole = f.compare("eq", width, p.shape.columns)
            b_now, b_k = _sliver_of_b(p, matrix, b_matrix, first_k, length, at, width, whole, offset)
            # Unfinished columns of several blocks of k are kept side by side; else one place serves all, and stays in L1.
            place = f.select(one_block, f.of(0, "i64"), f.mul(offset, rows))
            c_now, c_row = p.at(p.c_scratch, place), f.of(p.shape.columns, "i64")
            if isinstance(p.store, Plain):
                direct = _element(f, p, p.store.pointer, p.store.batch_offset(f, matrix), f.mul(row, p.store.row_stride), at)
                c_direct, c_direct_row = f.select(whole, direct, c_now), f.select(whole, f.of(p.store.row_stride, "i64"), c_row)
            else:
                c_direct, c_direct_row = c_now, c_row
            vectors = f.binary("udiv", f.add(width, p.shape.lanes - 1), p.shape.lanes)
            arguments = (a_now, a_row, a_k, a_next, b_now, b_k, c_direct, c_direct_row, rows, length, vectors, again)
            f.do(f"call void {p.panel.text}({', '.join(repr(f.of(x, 'i64')) for x in arguments)})")
            ready = finished
            if isinstance(p.store, Plain):
                ready = f.binary("and", finished, f.binary("xor", whole, True))
            with f.when(ready):
                _finish(p, matrix, row, rows, at, width, c_now, p.shape.columns)


def _skinny_task(p, matrix, row, column):
    """A task of few rows: sums over a block of k are made in scratch, and added to the totals there."""
    f, pitch = p.f, p.form.columns
    rows = _smaller(f, f.of(p.form.rows, "i64"), f.binary("sub", p.m, row))
    columns = _smaller(f, f.of(pitch, "i64"), f.binary("sub", p.n, column))
    sums, totals = p.b_scratch, p.c_scratch

    with f.loop(0, _at_least_one(f, p.k), p.k_block) as first_k:
        length = _smaller(f, p.k_block, f.binary("sub", p.k, first_k))
        later = f.compare("sgt", first_k, 0)
        place = f.select(later, sums, totals)
        a, b = _Reader(p, p.a, matrix, row, first_k), _Reader(p, p.b, matrix, first_k, column)
        if p.form.kind == "rows":
            add_rows(f, p.shape, lambda i, k: a(i, k, 1), b, rows, columns, length, place, pitch)
        else:
            add_columns(f, p.shape, lambda k: a(0, k, 1), b, columns, length, place)
        with f.when(later):
            add_block(f, p.shape, rows, columns, sums, totals, pitch)
    _finish(p, matrix, row, rows, column, columns, totals, pitch)


def _at_least_one(f, k):
    """Where the loop over blocks of k ends: a product of no k at all still has its zeros to write."""
    return f.select(f.compare("sgt", k, 0), k, 1)


def _smaller(f, a, b):
    return f.select(f.compare("slt", a, b), a, b)


def _element(f, p, pointer, *offsets):
    for offset in offsets:
        pointer = f.element(pointer, LLVM_TYPES[p.dtype.name], offset)
    return pointer


class _Reader:
    """The elements of an operand from (row, column) on, widened to the type of the sums."""

    def __init__(self, p, operand, matrix, row, column):
        self.p, self.operand, self.matrix, self.first_row, self.first_column = p, operand, matrix, row, column
        self.in_memory = isinstance(operand, Operand)
        if self.in_memory:
            self.start = _element(p.f, p, operand.pointer, operand.batch_offset(p.f, matrix), p.f.mul(row, operand.row_stride),
                                  p.f.mul(column, operand.column_stride))

    def __call__(self, i, j, lanes):
        """Element (i, j), or that many neighbours from there on."""
        return self.row(i)(j, lanes)

    def row(self, i):
        """The elements of row i, as a function of column and lanes; what depends on the row alone is computed here."""
        p, f, operand = self.p, self.p.f, self.operand
        if isinstance(operand, Computed):
            at = f.add(self.first_row, i)
            return lambda j, lanes: operand.load(f, self.matrix, at, f.add(self.first_column, j), lanes)
        start = _element(f, p, self.start, f.mul(i, operand.row_stride))
        raw = LLVM_TYPES[p.dtype.name]
        widen = "fpext" if p.dtype.kind == "f" else "sext" if p.dtype.kind == "i" else "zext"

        def load(j, lanes):
            x = f.load(vector_type(raw, lanes), _element(f, p, start, f.mul(j, operand.column_stride)))
            return f.convert(widen, x, vector_type(p.shape.element, lanes))
        return load


def _along(operand):
    if isinstance(operand, Computed):
        return operand.along
    return {"rows": "row", "columns": "column", "strided": None}[operand.layout]


def _block_of_a(p, matrix, row, rows, first_k, length):
    """Address, strides of a row and of k, and from tile to tile, of the block of A: where it lies, or packed."""
    f, a = p.f, p.a
    along = _along(a)
    if isinstance(a, Operand) and sum_type(p.dtype) == LLVM_TYPES[p.dtype.name] and (along == "row" or p.form.kind == "direct"):
        start = _element(f, p, a.pointer, a.batch_offset(f, matrix), f.mul(row, a.row_stride), f.mul(first_k, a.column_stride))
        return start, a.row_stride, a.column_stride, a.row_stride
    load = _Reader(p, a, matrix, row, first_k)
    if along == "column":
        pack_panels(f, p.shape, load, rows, length, f.binary("sub", p.m, row), p.a_scratch)
        return p.a_scratch, 1, 0, length
    copy_block(f, p.shape, load, rows, length, p.a_scratch, length, vectors=along == "row")
    return p.a_scratch, length, 1, length


def _sliver_of_b(p, matrix, b_matrix, first_k, length, column, width, whole, offset):
    """Address and stride of k of one sliver of B: packed, or where it lies as long as it is a whole one."""
    f, b = p.f, p.b
    packed = p.at(p.b_scratch, 0 if p.form.kind == "direct" else f.mul(f.binary("udiv", offset, p.shape.columns), _sliver_pitch(p, length)))
    pitch = f.of(p.shape.columns, "i64")
    load = _Reader(p, b, matrix, first_k, column)
    if p.form.kind == "direct":
        with f.when(f.binary("xor", whole, True)):
            _pack_ragged(p, load, length, width, packed)
        start = _element(f, p, b.pointer, b_matrix, f.mul(first_k, b.row_stride), column)
        return f.select(whole, start, packed), f.select(whole, f.of(b.row_stride, "i64"), pitch)
    if _along(b) == "row":
        return packed, pitch
    if _along(b) == "column":
        transpose_block(f, p.shape, load, length, width, packed)
        return packed, pitch
    yes, no, done = f.label("whole"), f.label("ragged"), f.label("packed")
    f.branch_if(whole, yes, no)
    f.start(yes)
    copy_block(f, p.shape, load, length, p.shape.columns, packed, p.shape.columns, vectors=_along(b) == "row")
    f.branch(done)
    f.start(no)
    _pack_ragged(p, load, length, width, packed)
    f.branch(done)
    f.start(done)
    return packed, pitch


def _sliver_pitch(p, length):
    """From one packed sliver to the next: a little apart, or the same row of all slivers would fall into one set of the cache."""
    f = p.f
    return f.add(f.mul(length, p.shape.columns), 16)


def _pack_rows_of_b(p, load, length, columns):
    """All slivers of a block, four at a time: long enough pieces of the rows of B to read, few enough places to write."""
    f, shape = p.f, p.shape
    whole = f.binary("mul", f.binary("udiv", columns, shape.columns), shape.columns)
    pitch = _sliver_pitch(p, length)
    group = 4 * shape.columns
    with f.loop(0, whole, group) as first:
        start = p.at(p.b_scratch, f.mul(f.binary("udiv", first, shape.columns), pitch))
        last = _smaller(f, f.add(first, group), whole)
        with f.loop(0, length) as i:
            with f.loop(first, last, shape.columns, [p.at(start, f.mul(i, shape.columns))]) as (j, now):
                for v in range(0, shape.columns, shape.lanes):
                    f.store(load(i, f.add(j, v), shape.lanes), p.at(now[0], v))
                now.next = [p.at(now[0], pitch)]
    with f.when(f.compare("slt", whole, columns)):
        rest = p.at(p.b_scratch, f.mul(f.binary("udiv", columns, shape.columns), pitch))
        _pack_ragged(p, lambda i, j, lanes: load(i, f.add(j, whole), lanes), length, f.binary("sub", columns, whole), rest)


def _pack_ragged(p, load, length, width, packed):
    copy_block(p.f, p.shape, load, length, width, packed, p.shape.columns, vectors=_along(p.b) == "row", fill=p.shape.columns)


def _finish(p, matrix, row, rows, column, width, sums, pitch):
    """Hand the finished columns to `store`, row by row."""
    f, lanes = p.f, p.shape.lanes
    vector = vector_type(p.shape.element, lanes)
    if p.form.swapped:  # neighbours in scratch are no neighbours in C
        with f.loop(0, rows) as i, f.loop(0, width) as j:
            value = f.load(p.shape.element, p.at(sums, f.mul(i, pitch), j))
            _store(p, matrix, f.add(column, j), f.add(row, i), value, 1, None)
        return
    whole = f.binary("and", width, -lanes)
    rest = f.binary("sub", width, whole)
    numbers = Value("<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">", vector_type("i64", lanes))
    mask = f.compare("slt", numbers, f.splat(rest, lanes))
    ragged = f.compare("sgt", rest, 0)
    with f.loop(0, rows) as i:
        start = p.at(sums, f.mul(i, pitch))
        at_row = f.add(row, i)
        with f.loop(0, whole, lanes) as j:
            _store(p, matrix, at_row, f.add(column, j), f.load(vector, p.at(start, j)), lanes, None)
        with f.when(ragged):
            _store(p, matrix, at_row, f.add(column, whole), f.load(vector, p.at(start, whole)), lanes, mask)


def _store(p, matrix, row, column, value, lanes, mask):
    f = p.f
    if not isinstance(p.store, Plain):
        p.store(f, matrix, row, column, value, lanes, mask)
        return
    place = _element(f, p, p.store.pointer, p.store.batch_offset(f, matrix), f.mul(row, p.store.row_stride), column)
    if mask is None:
        f.store(value, place)
    else:
        short = {"float": "f32", "double": "f64"}.get(p.shape.element, p.shape.element)
        f.intrinsic(f"llvm.masked.store.v{lanes}{short}.p0", "void", value, place, mask)
