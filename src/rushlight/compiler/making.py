"""How a group of nodes becomes steps: which kind of kernel makes it, from which memory to which.

    Work("rows", [sum, div], ...)       ->   a NestStep
    Work("contraction", [mm, relu])     ->   a ContractionStep with its epilogue
    Work("assign", [assign])            ->   the old content, then the region

What comes in is one group of a schedule, with the memory of what it reads and writes, and nothing else of the graph; it may turn out that
a node has to be stored, or cannot be written where it should be, which is raised.  Start with `steps_of`.
"""
from dataclasses import dataclass

from .expressions import Buffer, MustStore, is_int, key, one_memory
from .loops import Store, below
from .lowering import assign_stores, column_nest, map_nest
from .rows import row_nest
from .steps import ContractionStep, NestStep
from .storing import CONVOLUTIONS, is_inner

MOST_PARTS = 16         # of a cat that one kernel writes


class MustCopy(Exception):
    """An output cannot be written straight over the memory that it replaces."""

    def __init__(self, output):
        super().__init__(output)
        self.output = output


@dataclass
class Work:
    """What a group asks for.

    `nodes` are made by it, the first of them decides how; `wanted` are those of them that are written, each to its buffer in `targets`;
    `memory` has the buffer of every node that is read from memory; `direct` are the targets that lie over memory of leaves; `computed` are
    the operands of a product that are computed as they are read.
    """
    kind: str
    nodes: list
    wanted: list
    targets: dict
    memory: dict
    direct: dict
    computed: set


def steps_of(work):
    """(the steps, [(leaf, target) numbers of what is taken for one memory]).  Raises MustStore, MustBeApart or MustCopy."""
    maker = _Maker(work)
    return maker.steps(), sorted(maker.same)


class _Maker:
    def __init__(self, work):
        self.work, self.direct, self.targets = work, work.direct, work.targets
        self.buffer_of = work.memory.get
        self.same = set()
        self.whole = {(b.kind, b.number): b for b in (*work.memory.values(), *work.targets.values())}

    def steps(self):
        work = self.work
        node = work.nodes[0]
        if work.kind == "contraction":
            return [self._contraction_step()]
        if work.kind == "copy":
            return [self._nest_step(map_nest([(node, self.targets[node], 0)], self.buffer_of), "copy")]
        if work.kind == "pieces":
            self._check_reads()
            stores = self._stores_of(node)
            together = parts_together([part for part, _, _ in stores])
            return [self._nest_step(map_nest(stores[i:i + together], self.buffer_of), "cat") for i in range(0, len(stores), together)]
        if work.kind == "assign":
            return self._assign_steps(node)
        if work.kind == "scatter":
            return self._scatter_steps(node)
        if work.kind in ("scan", "best"):
            from .ordered import column_argument_nest, scan_nest
            nest = (scan_nest if work.kind == "scan" else column_argument_nest)(node, self.targets[node], self.buffer_of)
            self._check_in_place(nest, [node])
            return [self._nest_step(nest, node.primitive)]
        stores = self._stores()
        reductions = [n for n in work.nodes if n.primitive.startswith(("reduce.", "partial."))]
        if work.kind == "map":
            nest = map_nest(stores, self.buffer_of)
        elif work.kind == "rows":
            down = [n for n in reductions if n.primitive.startswith("partial.")]
            nest = row_nest([n for n in reductions if n not in down], stores, self.buffer_of, down)
        else:
            nest = (row_nest if work.kind.startswith("rows") else column_nest)(reductions, stores, self.buffer_of)
        self._check_in_place(nest, work.nodes)
        return [self._nest_step(nest, "+".join(dict.fromkeys(n.primitive for n in work.nodes)))]

    # What is written

    def _stores(self):
        """What the group writes as (node, buffer, offset)."""
        return [s for n in self.work.wanted for s in self._stores_of(n)]

    def _stores_of(self, node):
        """How a node is written: as one map, or a cat as one for each part of it.

            cat(exp(a), b)      ->      y[i] = exp(a[i]); y[n + i] = b[i]
        """
        return self._regions(node, self.targets[node], 0) if node.primitive == "cat" else [(node, self.targets[node], 0)]

    def _regions(self, cat, buffer, offset):
        """The parts of a cat, and of the cats that it is made of, each as (node, its region of a buffer, where that begins)."""
        regions, start, (axis,) = [], 0, cat.attributes
        for part in cat.inputs:
            region = Buffer(buffer.kind, buffer.number, buffer.dtype, part.shape, buffer.strides, buffer.storage)
            at = offset + start * buffer.strides[axis]
            regions += self._regions(part, region, at) if is_inner(part, self._is_stored) else [(part, region, at)]
            start = part.shape[axis] + start
        return regions

    def _is_stored(self, node):
        return node in self.targets or self.buffer_of(node) is not None

    # Steps of each kind

    def _contraction_step(self):
        from .products import Prologue, epilogue, operand
        node = self.work.nodes[0]
        windowed = node.primitive in CONVOLUTIONS
        if windowed:
            from .convolution import convolution_epilogue as epilogue
            from .convolution import operands
        a, b = operands(node, self.buffer_of) if windowed else (
            operand(i, self.buffer_of, i in self.work.computed) for i in node.inputs)
        reads = [n for x in (a, b) for n in (self._nest_step(x.nest, "").reads if isinstance(x, Prologue) else [self._whole(x[0])])]
        for target in map(self.direct.get, self.work.nodes):
            if target is not None and any(x.storage == target.storage for x in reads if x.kind == "leaf"):
                raise MustCopy(target.number)
        nest, plain = epilogue(node, self._stores(), self.buffer_of)
        self._check_in_place(nest, self.work.nodes)
        read = [e for x in (a, b) if isinstance(x, Prologue) for e in x.nest.expressions()]
        computed = "+".join({e.op: None for e in read if e.args and e.op != "load"})
        name = "+".join(dict.fromkeys(n.primitive for n in self.work.nodes)) + (f" of {computed}" if computed else "")
        also = self._nest_step(nest, name)
        return ContractionStep(node, a, b, nest, plain, [*reads, *also.reads], also.writes, also.name)

    def _assign_steps(self, node):
        first, then = assign_stores(node, self.targets[node])
        steps = self._content_steps(node, first)
        nest = map_nest(then, self.buffer_of)
        try:
            self._check_in_place(nest, [node])
        except MustCopy:
            raise MustStore(node.inputs[1], "it is written over memory that it is read from") from None
        return [*steps, self._nest_step(nest, "assign")]

    def _content_steps(self, node, stores):
        """Bring the old content to where a node will be written, unless it lies there."""
        nest = map_nest(stores, self.buffer_of)
        self._check_in_place(nest, [node])
        store = next(s for s, _ in nest.statements() if isinstance(s, Store))  # there may be tiles that are transposed before it
        there = store.expression
        if (there.op == "load" and not there.args and there.data[1].key == store.place.key
                and (one_memory(there.data[0], store.buffer)
                     or (node in self.direct and there.data[0].storage == self.direct[node].storage))):
            return []
        return [self._nest_step(nest, "copy")]

    def _scatter_steps(self, node):
        target = self.targets[node]
        steps = self._content_steps(node, [(node.inputs[0], target, 0)])
        if any(is_int(n, 0) for n in node.inputs[1].shape):
            return steps
        from .ordered import scatter_nest
        nest = scatter_nest(node, target, self.buffer_of)
        self._check_in_place(nest, [node])
        return [*steps, self._nest_step(nest, node.primitive)]

    def _nest_step(self, nest, name):
        reads = dict.fromkeys(self._whole(e.data[0]) for e in nest.expressions() if e.op == "load" and e.data[0].kind != "scratch")
        writes = [self._whole(s.buffer) for s, _ in nest.statements() if isinstance(s, Store) and s.buffer.kind != "scratch"]
        return NestStep(nest, list(reads), writes, name)

    def _whole(self, buffer):
        return self.whole[buffer.kind, buffer.number]

    # Memory that is written over

    def _check_reads(self):
        """What is written in several steps must not lie over memory that is read."""
        for target in self.direct.values():
            if any(b.kind == "leaf" and b.storage == target.storage for b in self.work.memory.values()):
                raise MustCopy(target.number)

    def _check_in_place(self, nest, nodes):
        """Memory that is written over may be read at the very place that is written, and no more after it."""
        for target in {self.direct[n] for n in nodes if n in self.direct}:
            written = None
            for statement, loop in nest.loops_of_statements():
                for e in below(statement.expressions):
                    if e.op == "load" and (e.data[0].storage == target.storage and e.data[0].kind == "leaf"
                                           or one_memory(e.data[0], target)):
                        store = next(s for s, _ in nest.statements() if isinstance(s, Store) and one_memory(s.buffer, target))
                        if e.data[1].key != store.place.key or (written is not None and written is not loop):
                            raise MustCopy(target.number)
                        if e.data[0].kind == "leaf":
                            self.same.add((e.data[0].number, target.number))
                if isinstance(statement, Store) and one_memory(statement.buffer, target):
                    written = loop


def parts_together(parts):
    """How many parts of a cat are written by one kernel: parts of one shape, and not too many."""
    shapes = {tuple(map(key, part.shape)) for part in parts}
    return min(len(parts), MOST_PARTS) if len(shapes) == 1 else 1
