"""Batched matrix products C = A B with whatever is fused into reading A and B and into writing C.

              columns of one task                   for each task (batch, rows x columns of C):
            +-----+------------+                        for each block of k:
          k |  B  | packed     |                            pack the block of B into slivers, k x tile width
            +-----+------------+                            for some of the rows at a time:
      +---+ +--+--+------------+                                pack the block of A, where it does not lie well
      | A | |  |  | slivers    | rows of one task               for each sliver:
      +---+ +--+--+------------+                                    panel: the rows of A times the sliver (microkernel)
                                                                    last block: hand the finished columns to `store`

Small products pack nothing, products of few rows have a way of their own (skinny).  **The order of summation** is the same in
every form, for every layout, tile, number of threads and m, n, batch: k is cut into blocks of `k_block(k)`; a block is summed
from zero by fma in the order of k; blocks are added in their order.

For callers.  A product is built for a structure (dtype, form, layouts, what is fused); extents and strides are run-time values.

    form = choose(target, dtype, a, b, batch, m, k, n)   ints or Extents: a few coarse guards; of a and b only the layout is asked
    task_count(form, batch, m, n)                        ints or Extents: no guards
    scratch_bytes(target, dtype)                         a plain int, whatever the extents
    build(f, target, dtype, form, batch, m, k, n, a, b, store, begin, end, scratch, panel)

`build` writes the tasks begin <= t < end into `f` at its current block and leaves a block open (the caller returns).  `batch`,
`m`, `k`, `n`, `begin`, `end` are i64 Values or ints, `scratch` a ptr Value, `panel` a ptr Value loaded from an argument slot
that holds `microkernel.panel_address(target, dtype)`: the address of code in this process, so an argument, never a constant.

`a` and `b` are an Operand (memory), a Computed (prologue) or a Packer (it packs itself).  `store` is a Plain (the product is written
as it is), a Finish (it takes whole pieces of columns) or a
function `store(f, batch, row, column, value, lanes, mask)`: `value` holds C[row, column : column + lanes] as a vector (a
scalar for one lane) of `microkernel.sum_type(dtype)`, not yet rounded to a narrower dtype; `mask` is None or a vector of i1
saying which lanes there are.  All positions are i64 Values.  What does not depend on a position may be computed before `build`
is called: those instructions dominate all of it.  A batch in which B repeats and A has no gaps is better given as more rows.

Start with `build`, then `_task`; `choose` says what a task is.
"""
from collections.abc import Callable
from dataclasses import dataclass, replace

from .llvmir import Function, Value, vector_type
from .microkernel import Tile, opaque, sum_type, tile
from .packing import LLVM_TYPES, copy_block, pack_panels, pack_slivers, transpose_block
from .skinny import add_block, add_columns, add_rows

K_BLOCK = 512       # part of the meaning of a product: the same on every target
TASK_ROWS = 512     # at most; B is packed once for all of them
ROWS_AT_ONCE = 96   # of A, that stay in the cache next to the processor while all slivers of a block of B pass by
TASK_COLUMNS = 256  # at most
FEW_ROWS = 16       # up to here reading B is most of the work


# ---------------------------------------------------------------------------------------------------------------------
# What is multiplied

@dataclass
class Operand:
    """A matrix in memory, in its own dtype.  `layout` is 'rows' (the last index has stride 1), 'columns' (the first of the two has)
    or 'strided'; B may be 'slivers', as `build_packing` leaves it.  Strides are in elements; `batch_offset(f, batch)`
    gives how many elements a matrix begins after `pointer`."""
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
class Packer:
    """A matrix that is brought to where the micro-kernel reads it by code of its own.

    As A: `pack(batch, row, rows, first_k, length, to)` writes rows of `length` numbers.  As B: `pack(batch, first_k, length, column,
    columns, to, pitch)` writes slivers as packing.pack_slivers does, of which the last may have any numbers beyond its columns."""
    pack: Callable
    along: str = "row"
    layout: str = "packer"


@dataclass
class Finish:
    """What takes finished rows of a task: `take(batch, row, rows, column, columns, sums, row_pitch, sliver_pitch)`.  They lie in slivers as
    wide as a tile: column j begins j // wide * sliver_pitch + j % wide behind the start of a row."""
    take: Callable


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
        return Form("rows", 1, 1024 if m >= 2048 else 256, swapped=True)
    if n == 1 and a_along == "row" or m == 1 and b_along == "column":
        far = m * n * k >= 1 << 20  # out of reach of the near caches fewer columns at a time are faster: whole columns are read
        return Form("columns", 1, shape.lanes if far else few_columns, swapped=n == 1 and a_along == "row")
    if b == "slivers":
        return Form("packed", 4 * few_rows, few_columns)
    if b_along == "row" and m <= (2 if b == "computed" else FEW_ROWS):  # what is computed is computed for each two rows
        wide = n >= 2048  # long pieces of rows are read faster, if there are enough of them for all threads
        return Form("rows", FEW_ROWS, 256 if not wide else 1024 if m == 1 else 512)
    most_rows, most_columns = _limits(shape)
    many = batch * m * n >= 1 << 20
    if as_it_is and b == "rows" and a != "computed" and k * n <= 1 << 14:
        return Form("direct", most_rows, most_columns) if many else Form("direct", few_rows, few_columns)
    if many:
        return Form("packed", most_rows if batch * m * n >= 1 << 22 else 4 * few_rows, most_columns)
    if a == "rows" and as_it_is:
        return Form("packed", 4 * few_rows, few_columns)
    return Form("packed", 2 * few_rows, most_columns)


def choose_windows(target, dtype, forward, batch, m, n):
    """The form of a product of which one factor are windows of images (convolution.py): to pack them costs more than to pack a matrix,
    so that as many rows as can be share them, as long as there is enough to do for all threads."""
    shape = tile(target, dtype)
    most_rows, most_columns = _limits(shape)
    if forward:
        size, few_rows = batch * m * n, _parts(64, shape.rows) * shape.rows
        return Form("packed", most_rows if size >= 1 << 20 else 4 * few_rows if size >= 1 << 18 else 2 * few_rows, most_columns)
    return Form("packed", most_rows, most_columns if batch * m * n >= 1 << 17 else _parts(64, shape.columns) * shape.columns)


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


def _rows_at_once(shape):
    return _parts(ROWS_AT_ONCE, shape.rows) * shape.rows


def _scratch_layout(shape):
    """Elements of scratch for the blocks of A, of B, and for unfinished columns of C."""
    rows, columns = _limits(shape)
    return (_rows_at_once(shape) + 16) * K_BLOCK, columns * (K_BLOCK + 16), rows * columns


def scratch_bytes(target, dtype):
    shape = tile(target, dtype)
    return sum(_scratch_layout(shape)) * (8 if shape.element in ("double", "i64") else 4)


def packed_elements(target, dtype, k, n):
    """How many sums `build_packing` has to have room for; each extent an int or an Extent."""
    columns = tile(target, dtype).columns
    return k * (_parts(n, columns) * columns)


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

    @property
    def raw(self):
        """The LLVM type of the dtype in memory."""
        return LLVM_TYPES[self.dtype.name]

    @property
    def as_it_is(self):
        """Whether numbers are multiplied in the type that they have in memory."""
        return self.raw == self.shape.element

    def at(self, pointer, *offsets):
        """The address that many elements of the sums' type further on."""
        for offset in offsets:
            pointer = self.f.element(pointer, self.shape.element, offset)
        return pointer


def build(f, target, dtype, form, batch, m, k, n, a, b, store, begin, end, scratch, panel, k_of=None):
    """Emit tasks begin <= t < end of the product into `f`.  `k_of(batch)` gives how many k a matrix has, where that may be less."""
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
        own = replace(p, k=k_of(matrix)) if k_of else p
        (_skinny_task if form.kind in ("rows", "columns") else _task)(own, matrix, row, column)


def build_packing(f, target, dtype, k, n, b, to, begin, end):
    """Emit the slivers begin <= s < end of all of B, for a matrix that many products read: block of k after block, in each one sliver after
    the other.  It is then an Operand of the layout 'slivers'."""
    shape = tile(target, dtype)
    k, n, begin, end = (f.of(x, "i64") for x in (k, n, begin, end))
    p = _Product(f, shape, dtype, None, None, k, n, None, b, None, None, None, None, None, _k_block(f, k))
    source = _Matrix(p, b, 0)
    with f.loop(begin, end) as sliver:
        column = f.mul(sliver, shape.columns)
        width = _smaller(f, f.of(shape.columns, "i64"), f.binary("sub", n, column))
        with f.loop(0, k, p.k_block) as first_k:
            length = _smaller(f, p.k_block, f.binary("sub", k, first_k))
            load, place = source.reader(first_k, column), _packed_sliver(p, to, first_k, length, column)
            if source.along == "column":
                transpose_block(f, shape, load, length, width, place)
            else:
                copy_block(f, shape, load, length, width, place, shape.columns, vectors=source.along == "row", fill=shape.columns)


def _packed_sliver(p, start, first_k, length, column):
    """Where a sliver lies that was packed before."""
    f, columns = p.f, p.shape.columns
    whole = f.mul(f.binary("udiv", f.add(p.n, columns - 1), columns), columns)
    return p.at(start, f.mul(first_k, whole), f.mul(length, column))


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
    f, shape = p.f, p.shape
    rows = _smaller(f, f.of(p.form.rows, "i64"), f.binary("sub", p.m, row))
    columns = _smaller(f, f.of(p.form.columns, "i64"), f.binary("sub", p.n, column))
    a, b, c = _Matrix(p, p.a, matrix), _Matrix(p, p.b, matrix), _Result(p, matrix)
    by_rows = isinstance(p.store, Finish)
    one_block = f.of(False, "i1") if by_rows else f.compare("sle", p.k, p.k_block)
    with f.loop(0, _at_least_one(f, p.k), p.k_block) as first_k:
        left = f.binary("sub", p.k, first_k)
        length = _smaller(f, p.k_block, left)
        again = f.convert("zext", f.compare("sgt", first_k, 0), "i64")
        finished = f.compare("sle", left, p.k_block)
        sliver = _block_of_b(p, b, first_k, length, column, columns)
        with f.loop(0, rows, _rows_at_once(shape)) as first_row:
            height = _smaller(f, f.of(_rows_at_once(shape), "i64"), f.binary("sub", rows, first_row))
            at_row = f.add(row, first_row)
            block_of_a = _block_of_a(p, a, at_row, height, first_k, length)
            with f.loop(0, columns, shape.columns) as offset:
                at_column = f.add(column, offset)
                width = _smaller(f, f.of(shape.columns, "i64"), f.binary("sub", columns, offset))
                whole = f.compare("eq", width, shape.columns)
                # Unfinished columns of several blocks of k, and rows to come, are kept side by side; else one place serves all, and stays
                # in L1.
                kept = f.add(f.mul(offset, rows), f.mul(first_row, shape.columns))
                sums = p.at(p.c_scratch, f.select(one_block, f.of(0, "i64"), kept))
                to, to_row, ready = sums, shape.columns, finished
                if c.plain:  # whole slivers are written where they belong, the ragged one by way of scratch
                    to = f.select(whole, c.place(at_row, at_column), sums)
                    to_row = f.select(whole, f.of(p.store.row_stride, "i64"), shape.columns)
                    ready = f.binary("and", finished, f.binary("xor", whole, True))
                vectors = f.binary("udiv", f.add(width, shape.lanes - 1), shape.lanes)
                arguments = (*block_of_a, *sliver(offset, whole), to, to_row, height, length, vectors, again)
                f.do(f"call void {p.panel.text}({', '.join(repr(f.of(x, 'i64')) for x in arguments)})")
                if not by_rows:
                    with f.when(ready):
                        _finish(p, c, at_row, height, at_column, width, sums, shape.columns)
            if by_rows:
                with f.when(finished):
                    p.store.take(matrix, at_row, height, column, columns, p.at(p.c_scratch, f.mul(first_row, shape.columns)), shape.columns,
                                 f.mul(rows, shape.columns))


def _skinny_task(p, matrix, row, column):
    """A task of few rows: sums over a block of k are made in scratch, and added to the totals there."""
    f, pitch = p.f, p.form.columns
    rows = _smaller(f, f.of(p.form.rows, "i64"), f.binary("sub", p.m, row))
    columns = _smaller(f, f.of(pitch, "i64"), f.binary("sub", p.n, column))
    a, b, c = _Matrix(p, p.a, matrix), _Matrix(p, p.b, matrix), _Result(p, matrix)
    sums, totals = p.b_scratch, p.c_scratch
    with f.loop(0, _at_least_one(f, p.k), p.k_block) as first_k:
        length = _smaller(f, p.k_block, f.binary("sub", p.k, first_k))
        later = f.compare("sgt", first_k, 0)
        place = f.select(later, sums, totals)
        of_a, of_b = a.reader(row, first_k), b.reader(first_k, column)
        if p.form.kind == "rows":
            add_rows(f, p.shape, of_a, of_b, rows, columns, length, place, pitch)
        else:
            add_columns(f, p.shape, of_a, of_b, columns, length, place)
        with f.when(later):
            add_block(f, p.shape, rows, columns, sums, totals, pitch)
    _finish(p, c, row, rows, column, columns, totals, pitch)


def _at_least_one(f, k):
    """Where the loop over blocks of k ends: a product of no k at all still has its zeros to write."""
    return f.select(f.compare("sgt", k, 0), k, 1)


def _smaller(f, a, b):
    return f.select(f.compare("slt", a, b), a, b)


# Reading

class _Matrix:
    """One matrix of an operand's batch."""

    def __init__(self, p, operand, matrix):
        self.p, self.operand, self.matrix = p, operand, matrix
        self.in_memory = isinstance(operand, Operand)
        self.along = _along(operand)
        if self.in_memory:
            self.start = p.f.element(operand.pointer, p.raw, operand.batch_offset(p.f, matrix))
            if self.along == "column":  # how far the first few columns lie from each other
                self.columns = [0] + [opaque(p.f, p.f.mul(operand.column_stride, n)) for n in range(1, p.shape.lanes)]

    def place(self, row, column):
        """The address of an element in memory."""
        f, a = self.p.f, self.operand
        return f.element(f.element(self.start, self.p.raw, f.mul(row, a.row_stride)), self.p.raw, f.mul(column, a.column_stride))

    def reader(self, row, column):
        return _Reader(self, row, column)


class _Reader:
    """The elements of a matrix from (row, column) on, widened to the type of the sums."""

    def __init__(self, source, row, column):
        self.source, self.first_row, self.first_column = source, row, column
        self.in_memory = source.in_memory
        if self.in_memory:
            self.start = source.place(row, column)

    def __call__(self, i, j, lanes):
        """Element (i, j), or that many neighbours from there on."""
        return self.row(i)(j, lanes)

    def row(self, i):
        """The elements of row i, as a function of column and lanes; what depends on the row alone is computed here."""
        p, operand = self.source.p, self.source.operand
        f = p.f
        if not self.in_memory:
            at = f.add(self.first_row, i)
            return lambda j, lanes: operand.load(f, self.source.matrix, at, f.add(self.first_column, j), lanes)
        start = f.element(self.start, p.raw, f.mul(i, operand.row_stride))
        return lambda j, lanes: self._load(f.element(start, p.raw, f.mul(j, operand.column_stride)), lanes)

    def square(self, i, j, piece):
        """Of the square at (i, j), with neighbours along its columns: a function (k, n) -> the `piece` neighbours at (i + k, j + n)."""
        p, operand = self.source.p, self.source.operand
        f, lanes = p.f, p.shape.lanes
        if self.in_memory:
            start = f.element(f.element(self.start, p.raw, i), p.raw, f.mul(j, operand.column_stride))
            return lambda k, n: self._load(f.element(f.element(start, p.raw, self.source.columns[n]), p.raw, k), piece)
        columns = [self(i, f.add(j, n), lanes) for n in range(lanes)]
        return lambda k, n: f.shuffle(columns[n], columns[n], range(k, k + piece))

    def _load(self, place, lanes):
        p = self.source.p
        widen = "fpext" if p.dtype.kind == "f" else "sext" if p.dtype.kind == "i" else "zext"
        return p.f.convert(widen, p.f.load(vector_type(p.raw, lanes), place), vector_type(p.shape.element, lanes))

    def from_column(self, j):
        return _Reader(self.source, self.first_row, self.source.p.f.add(self.first_column, j))


def _along(operand):
    """The index along which elements are neighbours: 'row', 'column' or None."""
    if isinstance(operand, Computed | Packer):
        return operand.along
    return {"rows": "row", "columns": "column", "strided": None, "slivers": None}[operand.layout]


def _block_of_a(p, a, row, rows, first_k, length):
    """Address, strides of a row and of k, and from tile to tile, of the block of A: where it lies, or packed."""
    f = p.f
    if isinstance(a.operand, Packer):
        a.operand.pack(a.matrix, row, rows, first_k, length, p.a_scratch)
        return p.a_scratch, length, 1, length
    if a.in_memory and p.as_it_is and (a.along == "row" or p.form.kind == "direct"):
        return a.place(row, first_k), a.operand.row_stride, a.operand.column_stride, a.operand.row_stride
    load = a.reader(row, first_k)
    if a.along == "column":
        pack_panels(f, p.shape, load, rows, length, f.binary("sub", p.m, row), p.a_scratch)
        return p.a_scratch, 1, 0, length
    copy_block(f, p.shape, load, rows, length, p.a_scratch, length, vectors=a.along == "row")
    return p.a_scratch, length, 1, length


def _block_of_b(p, b, first_k, length, column, columns):
    """Pack a block of B, or only its ragged sliver; returns the function that gives address and stride of k of a sliver."""
    f, shape = p.f, p.shape
    if b.operand.layout == "slivers":
        return lambda offset, whole: (_packed_sliver(p, b.operand.pointer, first_k, length, f.add(column, offset)), shape.columns)
    pitch = f.add(f.mul(length, shape.columns), 16)  # a little apart, or the same row of all slivers would fall into one set of the cache

    def sliver(offset):
        return p.at(p.b_scratch, f.mul(f.binary("udiv", offset, shape.columns), pitch))
    if isinstance(b.operand, Packer):
        b.operand.pack(b.matrix, first_k, length, column, columns, p.b_scratch, pitch)
        return lambda offset, whole: (sliver(offset), shape.columns)
    load = b.reader(first_k, column)
    last = f.mul(f.binary("udiv", columns, shape.columns), shape.columns)
    rest = f.binary("sub", columns, last)
    if p.form.kind == "direct":
        with f.when(f.compare("sgt", rest, 0)):
            copy_block(f, shape, load.from_column(last), length, rest, p.b_scratch, shape.columns, fill=shape.columns)

        def where_it_lies(offset, whole):
            place = f.select(whole, b.place(first_k, f.add(column, offset)), p.b_scratch)
            return place, f.select(whole, f.of(b.operand.row_stride, "i64"), shape.columns)
        return where_it_lies
    if b.along == "row":
        pack_slivers(f, shape, load, length, last, p.b_scratch, pitch)
        with f.when(f.compare("sgt", rest, 0)):
            copy_block(f, shape, load.from_column(last), length, rest, sliver(last), shape.columns, fill=shape.columns)
    else:
        with f.loop(0, columns, shape.columns) as offset:
            width = _smaller(f, f.of(shape.columns, "i64"), f.binary("sub", columns, offset))
            part, to = load.from_column(offset), sliver(offset)
            if b.along == "column":
                transpose_block(f, shape, part, length, width, to)
            else:
                copy_block(f, shape, part, length, width, to, shape.columns, vectors=False, fill=shape.columns)
    return lambda offset, whole: (sliver(offset), shape.columns)


# Writing

class _Result:
    """One matrix of C."""

    def __init__(self, p, matrix):
        self.p, self.matrix, self.plain = p, matrix, isinstance(p.store, Plain)
        if self.plain:
            self.start = p.at(p.store.pointer, p.store.batch_offset(p.f, matrix))

    def place(self, row, column):
        return self.p.at(self.start, self.p.f.mul(row, self.p.store.row_stride), column)

    def store(self, row, column, value, lanes, mask=None):
        if self.plain:
            self.p.f.store(value, self.place(row, column))
        else:
            self.p.store(self.p.f, self.matrix, row, column, value, lanes, mask)


def _finish(p, c, row, rows, column, width, sums, pitch):
    """Hand the finished columns to `store`, row by row."""
    f, lanes, element = p.f, p.shape.lanes, p.shape.element
    if p.form.swapped:  # neighbours in scratch are no neighbours in C
        with f.loop(0, rows) as i, f.loop(0, width) as j:
            c.store(f.add(column, j), f.add(row, i), f.load(element, p.at(sums, f.mul(i, pitch), j)), 1)
        return
    whole = f.binary("and", width, -lanes)
    rest = f.binary("sub", width, whole)
    numbers = Value("<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">", vector_type("i64", lanes))
    mask = None if c.plain else f.compare("slt", numbers, f.splat(rest, lanes))
    with f.loop(0, rows) as i:
        start = p.at(sums, f.mul(i, pitch))
        at_row = f.add(row, i)
        with f.loop(0, whole, lanes) as j:
            c.store(at_row, f.add(column, j), f.load(vector_type(element, lanes), p.at(start, j)), lanes)
        if c.plain:  # a few single stores take less time than a masked one
            with f.loop(whole, width) as j:
                c.store(at_row, f.add(column, j), f.load(element, p.at(start, j)), 1)
        else:
            with f.when(f.compare("sgt", rest, 0)):
                c.store(at_row, f.add(column, whole), f.load(vector_type(element, lanes), p.at(start, whole)), lanes, mask)
