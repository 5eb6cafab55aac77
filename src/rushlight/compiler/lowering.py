"""From what a kernel shall compute to its loop nest: three shapes of nests cover maps and reductions.

    map      y = exp(a) + b                      one loop over all elements, cut into tasks
    rows     m = max(a, 1); y = exp(a - m)       for each row: one loop for each stage, results of reductions in registers (rows.py)
    columns  s = sum(a, 0)                       for each block of columns: rows added up into a row of accumulators

Operands of a map that lie across it are read through tiles (`read_in_tiles`).  A `Space` gives every dimension an axis, and splits
axes where a reshape wants finer ones.  Start with `map_nest`.
"""
from ..ir.extents import extent_value, product
from ..ir.graph import row_major
from .expressions import Affine, Axis, Buffer, MustStore, Reader, SplitAxis, affine, is_int, place_in, same
from .loops import (
    COLUMNS,
    LANES,
    LEAST_STORED,
    LEAST_TRANSPOSED,
    SHORT_END,
    TILE,
    Loop,
    Nest,
    Store,
    Transpose,
    divide_into_tasks,
    merge_axes,
    task_elements,
    window,
)
from .reducing import combined, neutral


class Space:
    """The axes of an iteration over `shape`, and the index of each dimension in terms of them."""

    def __init__(self, shape, reduced=()):
        self.axes, self.index = [], []
        for d, n in enumerate(shape):
            if is_int(n, 1):
                self.index.append(Affine())
            else:
                self.axes.append(Axis(n, d in reduced))
                self.index.append(affine(self.axes[-1]))

    def split(self, axis, extents):
        """One axis becomes several, the last one running fastest."""
        parts = [Axis(n, axis.reduced) for n in extents if not is_int(n, 1)]
        at = self.axes.index(axis)
        self.axes[at:at + 1] = parts
        whole = Affine()
        for part, stride in zip(parts, row_major([p.extent for p in parts])):
            whole += affine(part) * stride
        self.index = [i.replace(axis, whole) for i in self.index]


def attempt(space, build):
    """build() again and again, each time with an axis less coarse.  Ends: extents have finitely many factors."""
    while True:
        try:
            return build()
        except SplitAxis as finer:
            space.split(finer.axis, finer.extents)


def map_nest(stores, buffer_of):
    """`stores` are (node, buffer, offset), all nodes of one shape."""
    space = Space(stores[0][0].shape)

    def build():
        reader = Reader(buffer_of)
        return reader, [Store(buffer, place_in(buffer.strides, space.index) + offset, reader.read(node, space.index))
                        for node, buffer, offset in stores]
    reader, statements = attempt(space, build)
    nest = Nest([], statements)
    places = list(nest.places())
    axes = sorted(space.axes, key=lambda a: -extent_value(statements[0].place.coefficient(a)))  # memory order of what is written
    axes = _without_a_short_end(merge_axes(nest, axes, places))
    nest.outer = axes[:-1]
    if axes:
        nest.vector = axes[-1]
        nest.body = [Loop(axes[-1], statements)]
        if read_in_tiles(nest, reader, statements):
            return divide_into_tasks(nest)
        if not (isinstance(axes[-1].extent, int) and axes[-1].extent <= task_elements(nest)):
            window(nest, axes[-1], task_elements(nest))
    return divide_into_tasks(nest)


def _without_a_short_end(axes):
    """The axes with the innermost one that fills a vector behind those that cannot.

        before   for i < 1000: for j < 2 by 16: y[2 i + j] = x[1000 j + i]           2 lanes of 16
        after    for j < 2: for i < 1000 by 16: y[2 i + j] = x[1000 j + i]           all of them, written one by one
    """
    last = len(axes) - 1
    while last > 0 and isinstance(axes[last].extent, int) and axes[last].extent <= SHORT_END:
        last -= 1
    if last < len(axes) - 1 and extent_value(axes[last].extent) >= LANES:
        return [*axes[:last], *axes[last + 1:], axes[last]]
    return axes


def read_in_tiles(nest, reader, statements):
    """Transpose tiles of operands whose neighbours lie along another axis than those of the result.

        before   for i < n: for j < m by 16: y[m i + j] = x[n j + i]
        after    for tiles of 64 i and 64 j:
                     transpose t[64 i + j] = x[n j + i]
                     for i: for j by 16: y[m i + j] = t[64 i + j]

    True where it was done; for operands that no axis of the nest goes along, forwards or backwards, there is nothing to win.
    """
    across, column = {}, nest.vector
    for e in _arguments(statements):
        if e.op == "load" and not e.args and not e.data[1].dynamic and not any(is_int(e.data[1].coefficient(column), n) for n in (0, 1)):
            for axis in nest.outer:
                if _is_step(e.data[1].coefficient(axis)) and extent_value(axis.extent) >= LEAST_TRANSPOSED <= extent_value(column.extent):
                    across.setdefault(axis, []).append(e)
    if not across:
        return False
    row, loads = max(across.items(), key=lambda item: len(item[1]))
    size = TILE if all(e.dtype.itemsize <= 4 for e in loads) else TILE // 2
    nest.outer.remove(row)
    rows, columns = window(nest, row, size), window(nest, column, size)
    place = Affine([(row, size), (rows, -size * size), (column, 1), (columns, -size)])
    transposed = {}
    for n, e in enumerate(loads):
        nest.scratch.append(Buffer("scratch", n, e.dtype, (size, size)))
        transposed[e] = reader.make("load", (), e.dtype, (nest.scratch[-1], place))
    statements = [Store(s.buffer, s.place, rebuilt(s.expression, transposed, reader)) for s in statements]
    nest.body = [*(Transpose(tile, e, row, column) for tile, e in zip(nest.scratch, loads)), Loop(row, [Loop(column, statements)])]
    return True


def _is_step(c):
    """Whether a coefficient leads to the next neighbour, or to the last."""
    return is_int(c, 1) or is_int(c, -1)


def _arguments(statements):
    """The expressions that stores are made of, each once, without those that only say where something lies."""
    found, stack = {}, [s.expression for s in reversed(statements)]
    while stack:
        e = stack.pop()
        if e not in found:
            found[e] = None
            stack.extend(e.args)
    return list(found)


def store_what_lies_across(nest, reader):
    """An operand whose neighbours lie along another axis than the vectors is transposed by a kernel of its own, in tiles."""
    for e in nest.expressions():
        node = reader.permuted.get(e)
        if node is not None and not any(is_int(e.data[1].coefficient(nest.vector), n) for n in (0, 1)):
            if any(is_int(c, 1) for _, c in nest.terms(e.data[1])) and extent_value(product(node.shape)) >= LEAST_STORED:
                raise MustStore(node, "its neighbours lie across the vectors that it is read in")


def spread(index, shape):
    """An index for a shape that may have other dimensions of extent 1 than the one that it was made for."""
    rest = iter([i for i in index if i.terms])
    return tuple(Affine() if is_int(n, 1) else next(rest) for n in shape)


def rebuilt(root, now, reader):
    """An expression with the parts that `now` names replaced; it notes there what the others have become."""
    stack = [root]
    while stack:
        e = stack[-1]
        waiting = [a for a in e.args if a not in now] if e not in now else ()
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        if e not in now:
            args = tuple(now[a] for a in e.args)
            now[e] = e if args == e.args else reader.make(e.op, args, e.dtype, e.data)
    return now[root]


def cut_of(reduction):
    """(the axis that counts blocks, the length of one) of a partial reduction; None for a whole one."""
    return (Axis(1), reduction.attributes[1]) if reduction.primitive.startswith("partial.") else None


def column_nest(reductions, stores, buffer_of):
    """Reductions of one shape over the same dimensions, the last one not among them, and maps of what comes out."""
    shape, reduced = reductions[0].inputs[0].shape, reductions[0].attributes[0]
    space, blocks, cut = Space(shape, reduced), Axis(1), cut_of(reductions[0])

    def build():
        kept = tuple(i for d, i in enumerate(space.index) if d not in reduced)
        if cut:
            kept = (affine(cut[0]), *kept)
        reader, sums, clear = Reader(buffer_of), [], []
        columns, rows = space.axes[-1], []
        place = Affine([(columns, 1), (blocks, -COLUMNS)])  # scratch is numbered from the first column of the block
        for n, r in enumerate(reductions):
            row = Buffer("scratch", n, r.dtype, (COLUMNS,))
            rows.append(row)
            name = r.primitive.split(".")[1]
            expression = reader.read(r.inputs[0], space.index)
            partial = reader.make("load", (), r.dtype, (row, place))
            sums.append(Store(row, place, combined(reader, name, partial, expression)))
            clear.append(Store(row, place, reader.constant(neutral(name, r.dtype), r.dtype)))
            reader.results[r] = partial, kept
        results = [Store(buffer, place_in(buffer.strides, index) + offset, reader.read(node, index))
                   for node, buffer, offset in stores for index in [spread(kept, node.shape)]]
        return reader, clear, sums, results, rows
    reader, clear, sums, results, rows = attempt(space, build)
    nest = Nest([], [*clear, *sums, *results])
    memory = [p for p in nest.places() if is_int(p.coefficient(blocks), 0)]
    last = max((i for i, a in enumerate(space.axes) if a.reduced), default=-1)
    trailing = merge_axes(nest, space.axes[last + 1:], memory)
    outer = merge_axes(nest, [a for a in space.axes[:last + 1] if not a.reduced], memory)
    rows_axes = merge_axes(nest, [a for a in space.axes if a.reduced], memory) or [Axis(1, True)]
    columns = nest.vector = trailing[-1]
    loop = sums
    for axis in [columns, *reversed(rows_axes)]:
        loop = [Loop(axis, loop)]
    nest.body = [Loop(columns, clear), *loop, Loop(columns, results)]
    nest.outer = [*outer, *trailing[:-1]]
    if cut:
        if len(rows_axes) > 1:
            raise MustStore(in_the_way(reductions, buffer_of), "its rows cannot be walked in one run")
        window(nest, rows_axes[0], cut[1], cut[0])
    window(nest, columns, COLUMNS, blocks)
    nest.scratch = rows
    store_what_lies_across(nest, reader)
    return divide_into_tasks(nest)


def lies_in_rows(buffer):
    """Whether a buffer is there and its dimensions lie in their order, without gaps."""
    return buffer is not None and all(same(a, b) for a, b in zip(buffer.strides, row_major(buffer.shape)))


def in_the_way(reductions, buffer_of):
    """What is reduced and does not lie row by row: the first of several, for one that does cannot be what keeps axes apart."""
    return next((r.inputs[0] for r in reductions if not lies_in_rows(buffer_of(r.inputs[0]))), reductions[0].inputs[0])


def is_row_reduction(node):
    """Whether the last dimension that is more than 1 is reduced."""
    shape, reduced = node.inputs[0].shape, node.attributes[0]
    last = max((d for d, n in enumerate(shape) if not is_int(n, 1)), default=None)
    return last is None or last in reduced


def assign_stores(node, buffer):
    """The two maps that make an assign: the old content, then the region."""
    flat, value = node.inputs
    strides, offset = node.attributes
    region = Buffer(buffer.kind, buffer.number, buffer.dtype, value.shape, strides)
    return [(flat, buffer, 0)], [(value, region, offset)]
