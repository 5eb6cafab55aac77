"""Kernels that go along an axis in order: running results, the place of the greatest down columns, scatter.

    scan along the last axis     s = 0; for j: s = s + x[i, j]; y[i, j] = s                     a task: some rows
    scan along another           for i: for j by 16: s[j] = s[j] + x[i, j]; y[i, j] = s[j]      a task: a block of columns
    argmax along another         the same with two rows in scratch: the greatest yet, and where it was
    scatter add                  for s: for j by 16: y[index[s], j] += v[s, j]                  a task: a block of columns

What is read (keys, values, indices) is computed in the same loop.  Nothing here is split among tasks along an axis whose order
counts, so the bits do not depend on threads.  Sums and products run in the next wider float.  Read `scan_nest` first.
"""
from ..ir import dtypes
from ..ir.graph import row_major
from .expressions import Affine, Axis, Buffer, Reader, is_int, place_in
from .loops import Accumulator, Carry, Loop, Nest, Open, Store, divide_into_tasks, merge_axes, window
from .lowering import Space, attempt
from .reducing import combined, neutral

BLOCK_COLUMNS = 256  # of a block that a task takes down its rows
SCATTERED = 64       # of a block of columns to scatter
_WIDER = {dtypes.float16: dtypes.float32, dtypes.bfloat16: dtypes.float32, dtypes.float32: dtypes.float64}


def _kept_in(name, dtype):
    """What goes from turn to turn: (name whose neutral element it begins with, dtype) of each number."""
    if name.startswith("arg"):
        return [(name[3:], dtype), ("sum", dtypes.int64)]
    return [(name, _WIDER.get(dtype, dtype) if name in ("sum", "prod") else dtype)]


def _advanced(reader, name, old, x, position, first):
    """The next values of what goes from turn to turn; `first`: of equal ones the first counts, else the last."""
    if not name.startswith("arg"):
        return [combined(reader, name, old[0], _given(reader, x, old[0].dtype))]
    relation = {"max": "g", "min": "l"}[name[3:]] + ("t" if first else "e")
    take = reader.make(relation, (x, old[0]), dtypes.bool_)
    if x.dtype.kind == "f":
        nan = reader.make("isnan", (x,), dtypes.bool_)
        if first:
            known = reader.make("isnan", (old[0],), dtypes.bool_)
            nan = reader.make("and", (nan, reader.make("not", (known,), dtypes.bool_)), dtypes.bool_)
        take = reader.make("or", (take, nan), dtypes.bool_)
    return [reader.make("where", (take, x, old[0]), x.dtype), reader.make("where", (take, position, old[1]), dtypes.int64)]


def _given(reader, value, dtype):
    return value if value.dtype is dtype else reader.make("cast", (value,), dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Running results

def scan_nest(node, target, buffer_of):
    """The nest of a scan.  Where the last dimension is the one scanned, numbers go from turn to turn; else rows of them do."""
    (axis,), name = node.attributes, node.primitive.split(".")[1]
    space = Space(node.shape)

    def build():
        along = [a for a in space.axes if not is_int(space.index[axis].coefficient(a), 0)]
        by_columns = space.axes and space.axes[-1] not in along
        reader = Reader(buffer_of)
        x, position = reader.read(node.inputs[0], space.index), reader.index(space.index[axis])
        place = place_in(target.strides, space.index)
        walk = _Columns(reader, space) if by_columns else _Numbers(reader, along)
        old = [walk.kept(*k) for k in _kept_in(name, node.inputs[0].dtype)]
        new = _advanced(reader, name, old, x, position, first=False)
        body = [*walk.keep(new), Store(target, place, _given(reader, new[-1], node.dtype))]
        return walk, along, body
    walk, along, body = attempt(space, build)
    return walk.nest(space, along, body, [])


def column_argument_nest(node, target, buffer_of):
    """The nest of an argmax or argmin over dimensions the last of which is kept."""
    axes, name, x = node.attributes[0], node.primitive.split(".")[1], node.inputs[0]
    space = Space(x.shape, axes)

    def build():
        reader, flat = Reader(buffer_of), Affine()
        for d, stride in zip(axes, row_major([x.shape[d] for d in axes])):
            flat += space.index[d] * stride
        walk = _Columns(reader, space)
        old = [walk.kept(*k) for k in _kept_in(name, x.dtype)]
        new = _advanced(reader, name, old, reader.read(x, space.index), reader.index(flat), first=True)
        kept = [i for d, i in enumerate(space.index) if d not in axes]
        return walk, walk.keep(new), [Store(target, place_in(target.strides, kept), old[-1])]
    walk, body, results = attempt(space, build)
    return walk.nest(space, [a for a in space.axes if a.reduced], body, results)


class _Numbers:
    """What goes from turn to turn as numbers in registers."""

    def __init__(self, reader, along):
        self.reader, self.along, self.accumulators = reader, along, []

    def kept(self, name, dtype):
        self.accumulators.append(Accumulator(name, dtype, self.along, 0, lanes=1))
        return self.reader.make("running", (), dtype, self.accumulators[-1])

    def keep(self, new):
        return [Carry(a, e) for a, e in zip(self.accumulators, new)]

    def nest(self, space, along, body, results):
        nest = Nest([], [*body, *results])
        places = list(nest.places())
        nest.outer = merge_axes(nest, [a for a in space.axes if a not in along], places)
        for axis in reversed(merge_axes(nest, along, places)):
            body = [Loop(axis, body)]
        nest.body = [*(Open(a) for a in self.accumulators), *body, *results]
        return divide_into_tasks(nest)


class _Columns:
    """What goes from turn to turn as rows in scratch, one number for each column of a block."""

    def __init__(self, reader, space):
        self.reader, self.blocks, self.rows, self.clear = reader, Axis(1), [], []
        self.place = Affine([(space.axes[-1], 1), (self.blocks, -BLOCK_COLUMNS)])  # numbered from the first column of the block

    def kept(self, name, dtype):
        row = Buffer("scratch", len(self.rows), dtype, (BLOCK_COLUMNS,))
        self.rows.append(row)
        self.clear.append(Store(row, self.place, self.reader.constant(neutral(name, dtype), dtype)))
        return self.reader.make("load", (), dtype, (row, self.place))

    def keep(self, new):
        return [Store(row, self.place, e) for row, e in zip(self.rows, new)]

    def nest(self, space, along, body, results):
        nest = Nest([], [*self.clear, *body, *results])
        places = [p for p in nest.places() if is_int(p.coefficient(self.blocks), 0)]
        last = max((i for i, a in enumerate(space.axes) if a in along), default=-1)
        trailing = merge_axes(nest, space.axes[last + 1:], places)
        outer = merge_axes(nest, [a for a in space.axes[:last + 1] if a not in along], places)
        columns = nest.vector = trailing[-1]
        for axis in [columns, *reversed(merge_axes(nest, along, places))]:
            body = [Loop(axis, body)]
        nest.body = [Loop(columns, self.clear), *body, *([Loop(columns, results)] if results else [])]
        nest.outer = [*outer, *trailing[:-1]]
        window(nest, columns, BLOCK_COLUMNS, self.blocks)
        nest.scratch = self.rows
        return divide_into_tasks(nest)


# ---------------------------------------------------------------------------------------------------------------------
# Scatter

def scatter_nest(node, target, buffer_of):
    """Combine values into a buffer that has the old content already.

    An axis of the values is a task's own where two of its places never meet: dimensions that are not indexed, and such as are
    indexed by their own counting (the rows of `scatter_add` along the columns).  All others are walked in order.
    """
    values, *indices = node.inputs[1:]
    axes, name, depth = node.attributes[0], node.primitive.split(".")[1], indices[0].ndim
    space = Space(values.shape)

    def build():
        reader = Reader(buffer_of)
        computed = {d: reader.computed(reader.read(i, space.index[:depth])) for d, i in zip(axes, indices)}
        rest = iter(space.index[depth:])
        place = place_in(target.strides, [computed[d] if d in computed else next(rest) for d in range(len(target.shape))])
        own = {a for i in computed.values() if not i.dynamic and any(i.terms == s.terms for s in space.index[:depth]) for a, _ in i.terms}
        own |= {a for i in space.index[depth:] for a, _ in i.terms}
        value = reader.read(values, space.index)
        if name != "set":
            old = reader.make("load", (), node.dtype, (target, place))
            old.axes |= frozenset(space.axes)  # what lies there changes along every axis
            value = combined(reader, name, old, value)
        return Store(target, place, value), own
    store, own = attempt(space, build)
    nest = Nest([], [store])
    places = list(nest.places())
    after = max((n + 1 for n, a in enumerate(space.axes) if a not in own), default=0)
    inner = merge_axes(nest, space.axes[after:], places)
    nest.outer = merge_axes(nest, [a for a in space.axes[:after] if a in own], places) + inner[:-1]
    body = [store]
    if inner:
        body = [Loop(inner[-1], body)]
        if is_int(store.place.coefficient(inner[-1]), 1) and all(inner[-1] not in e.axes for e, _ in store.place.dynamic):
            nest.vector = inner[-1]
    for axis in reversed(merge_axes(nest, [a for a in space.axes if a not in own], places)):
        body = [Loop(axis, body)]
    nest.body = body
    if inner:
        window(nest, inner[-1], SCATTERED)
    return divide_into_tasks(nest)
