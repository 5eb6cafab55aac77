"""The nest of reductions along rows: everything that is asked of a row while it is at hand.

    softmax      for i < n:                                                    a task: some rows
                     a = max x[i, j] over j                                    stage 0
                     b = sum e[j] = exp(x[i, j] - a) over j                    stage 1, which needs a; e is dear, and kept in scratch
                     y[i, j] = e[j] / b for each j                             stage 2

    layer norm   for each block of rows:                                       a task: a block
    and its          t[j] = 0
    gradients        for i in it: ... dx[i, j] = ...; t[j] += dy[i, j] ...     rows are added up as well: partial sums of columns
                     partial[block, j] = t[j]

Each stage is a loop over the row, after those whose results it needs.  Start with `row_nest`.
"""
from ..ir.extents import product
from ..ir.graph import row_major
from .expressions import Axis, Buffer, MustStore, Reader, affine, is_int, key, place_in, price
from .loops import (
    LANES,
    Accumulate,
    Accumulator,
    Close,
    Loop,
    Nest,
    Open,
    Store,
    divide_into_tasks,
    expressions_of,
    inputs_of,
    merge_axes,
    window,
)
from .lowering import Space, attempt, cut_of, in_the_way, lies_in_rows, rebuilt, spread, store_what_lies_across
from .reducing import combined, neutral

_DEAR = 15  # what a row in scratch should save at least, in instructions


class MustBeApart(Exception):
    """Nodes that cannot be made by the kernel that they were to share."""

    def __init__(self, nodes, why):
        super().__init__(why)
        self.nodes = nodes


def row_nest(reductions, stores, buffer_of, columns=()):
    """Reductions of one shape over the same dimensions, the last one among them, and maps over the whole or over the kept shape.

    `stores` are (node, buffer, offset).  Partial reductions (rewrites.py) give one result for each block of the run; those over all
    other dimensions, `columns`, are added up row after row."""
    shape, reduced = reductions[0].inputs[0].shape, reductions[0].attributes[0]
    space, cut, blocks = Space(shape, reduced), cut_of(reductions[0]), Axis(1)
    row = attempt(space, lambda: _Row(shape, reduced, space, cut, blocks, buffer_of).filled(reductions, stores, columns))
    inner = [a for a in space.axes if a.reduced] or [Axis(1, True)]
    nest = Nest([], row.body(inner))
    nest.scratch = row.scratch
    places = [*nest.places(), *(s.place for s in (*row.clear, *row.write))]
    outer = merge_axes(nest, [a for a in space.axes if not a.reduced], [p for p in places if is_int(p.coefficient(blocks), 0)])
    alone = len(stores) + len(reductions) <= 2 and not lies_in_rows(buffer_of(reductions[0].inputs[0]))
    _merge_run(nest, space, inner, places, reductions[0].inputs if alone else reductions)  # else it is what runs along that is in the way
    nest.outer = outer
    left = [a for a in inner if a not in nest.merged]
    if cut:
        if len(left) > 1:
            raise MustStore(in_the_way(reductions, buffer_of), "its rows cannot be walked in one run")
        window(nest, nest.vector, cut[1], cut[0])
    if columns:
        if len(outer) > 1:
            raise MustBeApart(columns, "rows that no single loop walks are added up elsewhere")
        nest.outer = []
        window(nest, outer[0], columns[0].attributes[1], blocks)
        nest.body = [*_over(left, row.clear), Loop(outer[0], nest.body), *_over(left, row.write)]
    store_what_lies_across(nest, row.reader)
    return divide_into_tasks(nest)


class _Row:
    """What is done for one row.

    stages    number -> (what is accumulated, stores of the whole shape, stores of the kept shape)
    scratch   rows of scratch: first those that columns are added up in, which `clear` clears and `write` writes down
    run       the place in a row"""

    def __init__(self, shape, reduced, space, cut, blocks, buffer_of):
        self.shape, self.index, self.cut, self.blocks, self.reader = shape, space.index, cut, blocks, Reader(buffer_of)
        self.reduced, self.outer = reduced, [a for a in space.axes if not a.reduced]
        self.kept = tuple(i for d, i in enumerate(space.index) if d not in reduced)
        if cut:
            self.kept = (affine(cut[0]), *self.kept)
        extents = [shape[d] for d in reduced]
        self.run = place_in(row_major(extents), [space.index[d] for d in reduced])
        beyond = (2 * LANES - 1) * min(2, sum(not is_int(n, 1) for n in extents))  # of several rows, the last one begins anywhere
        self.length = (product(extents) + beyond) // (2 * LANES) * (2 * LANES)  # its last turn writes whole vectors
        self.stages, self.scratch, self.clear, self.write = {}, [], [], []

    def filled(self, reductions, stores, columns):
        """With all statements in it."""
        known = {}
        for r in reductions:
            expression = self.reader.read(r.inputs[0], self.index)
            name = r.primitive.split(".")[1], expression
            if name not in known:
                known[name] = self._reduce(r, *name)
            self.reader.results[r] = known[name], self.kept
        for node, buffer, offset in stores:
            if node in columns:
                self._add_up(node, buffer, offset)
            else:
                self._write(node, buffer, offset)
        if not self.cut:
            self._keep_what_is_dear()
        return self

    def _stage(self, expression):
        """The stage that can compute an expression: the one after those whose results it needs."""
        return self.stages.setdefault(self._number(expression), ([], [], []))

    @staticmethod
    def _number(expression):
        return 1 + max((a.level for a in expression.results), default=-1)

    def _reduce(self, node, name, expression):
        accumulator = Accumulator(name, node.inputs[0].dtype, self.outer, self._number(expression))
        position = self.reader.index(self.run) if name.startswith("arg") else None
        self._stage(expression)[0].append(Accumulate(accumulator, expression, position))
        return self.reader.make("result", (), node.dtype, accumulator)

    def _write(self, node, buffer, offset):
        whole = node not in self.reader.results and tuple(map(key, node.shape)) == tuple(map(key, self.shape))
        index = self.index if whole else spread(self.kept, node.shape)
        expression = self.reader.read(node, index)
        self._stage(expression)[1 if whole else 2].append(Store(buffer, place_in(buffer.strides, index) + offset, expression))

    def _add_up(self, node, buffer, offset):
        """Add the rows of a block up in a row of scratch."""
        reader, name, row = self.reader, node.primitive.split(".")[1], Buffer("scratch", len(self.scratch), node.dtype, (self.length,))
        self.scratch.append(row)
        expression, total = reader.read(node.inputs[0], self.index), reader.make("load", (), node.dtype, (row, self.run))
        there = place_in(buffer.strides, [affine(self.blocks), *(i for d, i in enumerate(self.index) if d in self.reduced)]) + offset
        self.clear.append(Store(row, self.run, reader.constant(neutral(name, node.dtype), node.dtype)))
        self._stage(expression)[1].append(Store(row, self.run, combined(reader, name, total, expression)))
        self.write.append(Store(buffer, there, total))

    def _keep_what_is_dear(self):
        """Keep what is dear and used by several loops over a row in a row of scratch.

            before   for j: s += exp(a[j] - m)                   for j: y[j] = exp(a[j] - m) / s
            after    for j: s += e[j] = exp(a[j] - m)            for j: y[j] = e[j] / s

        Ends: each expression is looked at once in each loop.
        """
        walked, kept = {axis for axis, _ in self.run.terms}, {}
        uses = {}  # expression -> the stages whose loops compute it
        for number in sorted(self.stages):
            accumulates, maps, _ = self.stages[number]
            for e in expressions_of([*accumulates, *maps]):
                uses.setdefault(e, []).append(number)
        for number in sorted(self.stages):
            accumulates, maps, _ = self.stages[number]
            now = {e: self.reader.make("load", (), e.dtype, (row, self.run)) for e, row in kept.items()}
            stack, first, met = [s.expression for s in (*accumulates, *maps)], {}, set()
            while stack:
                e = stack.pop()
                if e in now or e in met:
                    continue
                met.add(e)
                if len(uses[e]) > 1 and e.op not in ("load", "index") and _cost(e, walked) >= _DEAR:
                    first.setdefault(e)
                else:
                    stack.extend(e.args)
            for s in (*accumulates, *maps):
                s.expression = rebuilt(s.expression, now, self.reader)
            for e in first:
                kept[e] = Buffer("scratch", len(self.scratch), e.dtype, (self.length,))
                self.scratch.append(kept[e])
                maps.append(Store(kept[e], self.run, now[e]))

    def body(self, inner):
        """The loops of the stages, one after the other, over the axes `inner`."""
        body = []
        for number in sorted(self.stages):
            accumulates, maps, rows = self.stages[number]
            body += rows
            if accumulates or maps:
                body += [Open(s.accumulator) for s in accumulates]
                body += _over(inner, [*accumulates, *maps])
                body += [Close(s.accumulator) for s in accumulates]
        return body


def _over(axes, body):
    """The body in loops over some axes, as a body of its own."""
    for axis in reversed(axes):
        body = [Loop(axis, body)]
    return body


def _cost(e, walked):
    """About how many instructions it takes to compute an expression in a loop over these axes."""
    total, seen, stack = 0, set(), [e]
    while stack:
        e = stack.pop()
        if e not in seen and not walked.isdisjoint(e.axes):
            seen.add(e)
            total += price(e.op)
            stack.extend(inputs_of(e))
    return total


def _merge_run(nest, space, inner, places, blame):
    """The trailing reduced dimensions have to become one loop, or lanes would not follow from the shape alone."""
    run = []
    for axis in reversed(space.axes):
        if not axis.reduced:
            break
        run.insert(0, axis)
    left = merge_axes(nest, run, places)
    if len(left) > 1 and not all(isinstance(a.extent, int) and a.extent % LANES == 0 for a in left[-1:]):
        raise MustStore(blame[0], "its rows cannot be walked in one run")
    nest.vector = left[-1] if left else inner[-1]
    nest.body = _without_merged(nest.body, nest.merged)


def _without_merged(body, merged):
    result = []
    for s in body:
        if isinstance(s, Loop):
            inner = _without_merged(s.body, merged)
            result += inner if s.axis in merged else [Loop(s.axis, inner)]
        else:
            result.append(s)
    return result
