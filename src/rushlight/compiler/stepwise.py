"""Cold code: a graph that is seen for the first time runs node by node, through programs of one node that are there already.

    (a * b + c).exp()     ->     mul(leaf, leaf)   add(leaf, leaf)   exp(leaf)        three programs, used before by others

Compiling what may never come again costs a thousand times what running it costs; a program of one node is shared by every graph
in which such a node occurs.  What the node reads (movement, constants, scalars) belongs to its program; run-time integers are
numbered anew in the order in which it meets them, so that where it stood does not matter.  Each node is computed as it would be
with fuse=False, so the bits are those of the fused program.

Start with `Stepwise`; it is made within the Assumptions of the graph, and run once.
"""
import threading

import numpy as np

from ..ir.extents import Assumptions, Extent, current, product
from ..ir.graph import Node, leaf, row_major, scalar, topological
from .expressions import is_movement, key
from .memory_plan import ALIGNMENT
from .numbering import Known, Numbering
from .steps import Output

LARGEST = 64            # nodes, and bytes that they fill: beyond, calls cost more than they save
LARGEST_BYTES = 32 << 20
MOST_MADE = 8           # programs of one node: to make more takes longer than to fuse
_PROGRAMS = 4096        # of one node, kept for graphs to come
_INLINE = frozenset(["constant", "scalar", "extent", "iota"])


def _is_computed(node):
    return not (node.primitive == "leaf" or node.primitive in _INLINE or is_movement(node))


def attempt(outputs, order, integers, compile):
    """A Stepwise, or None where it does not pay: a large graph, or one most of whose programs nobody has asked for before."""
    if sum(map(_is_computed, order)) > LARGEST or any(n.primitive in ("library", "part") for n in order):
        return None
    if any(o.storage is not None for o in outputs) and any(o.node.primitive == "leaf" for o in outputs):
        return None  # memory may trade places, which needs a plan
    graph = Stepwise(outputs, order, integers, compile)
    small = sum(product(graph.shape_of(c.node)) * c.node.dtype.itemsize for c in graph.calls) <= LARGEST_BYTES
    if not small:
        return None
    missing = graph.missing()
    if len(missing) <= MOST_MADE and len(missing - graph.programs.missed) <= max(2, len(graph.calls) // 2):
        return graph
    graph.programs.note_missed(missing)
    return None


class Programs(Known):
    """A thread's programs of one node, by what they compute.  `missed` are keys that were looked for in vain when it did not pay to make
    them: the next time it does."""

    def __init__(self):
        super().__init__(_PROGRAMS)
        self.missed = set()

    def note_missed(self, names):
        if len(self.missed) > _PROGRAMS:
            self.missed.clear()
        self.missed |= names


class _Here(threading.local):
    """A graph is run by one thread at a time, but maybe by another than the one that recorded it, whose programs it uses."""

    def __init__(self):
        self.programs = Programs()


_here = _Here()


class Stepwise:
    """A graph as a list of calls.  `missing` says which of their programs have to be made; `run` does all, as Program.run."""

    host_steps = 0

    def __init__(self, outputs, order, integers, compile):
        self.outputs, self.compile, self.programs = outputs, compile, _here.programs
        self._assumptions, self._simple, self.integers = current(), {}, integers
        self._row_major = {}
        self.leaves_read = sorted({n.attributes[0] for n in order if n.primitive == "leaf"})
        self.direct, self.calls, self.copies = {}, [], []
        for number, o in enumerate(outputs):
            node = o.node
            plain = o.strides is None or self._now(o.strides) == list(row_major(self.shape_of(node)))
            if node.primitive != "leaf" and o.storage is None and plain and node not in self.direct:
                self.direct[node] = number
            else:
                self.copies.append((_Call(self, node, o), number))
        wanted = {o.node for o in outputs}
        for node in order:
            if node.primitive == "leaf" or (node not in wanted and (node.primitive in _INLINE or is_movement(node))):
                continue
            self.calls.append(_Call(self, node))

    def missing(self):
        """The keys of programs that have to be made."""
        return {c.name for c in (*self.calls, *(c for c, _ in self.copies)) if c.program is None}

    def shape_of(self, node):
        """The extents of the moment."""
        return self._now(node.shape)

    def _now(self, extents):
        return [n.evaluate(self.integers) if isinstance(n, Extent) else n for n in extents]

    def simplified(self, extent):
        """What is known to be equal replaced by one symbol."""
        found = self._simple.get(id(extent))
        if found is None:
            found = extent if self._assumptions is None else self._assumptions.simplify(extent)
            self._simple[id(extent)] = found, extent  # held, so that no other gets its id
            return found
        return found[0]

    def is_row_major(self, node):
        """Whether a node that is an operand lies row by row: computed ones do."""
        if node not in self._row_major:
            self._row_major[node] = node.primitive != "leaf" or all(
                key(a) == key(b) for a, b in zip(node.attributes[1], row_major(node.shape)))
        return self._row_major[node]

    def run(self, pointers, targets, scalars, integers):
        """Read the leaves at `pointers`, write the outputs to `targets`."""
        addresses, memory, uses = {}, {}, {}
        for call in (*self.calls, *(c for c, _ in self.copies)):
            for n in call.operands:
                uses[n] = uses.get(n, 0) + 1
                if n.primitive == "leaf":
                    addresses[n] = pointers[n.attributes[0]]
        for call in self.calls:
            node = call.node
            if node in self.direct:
                addresses[node] = targets[self.direct[node]]
            else:
                memory[node] = block = np.empty(product(self.shape_of(node)) * node.dtype.itemsize + ALIGNMENT, np.uint8)
                addresses[node] = -(-block.__array_interface__["data"][0] // ALIGNMENT) * ALIGNMENT
            call.run([addresses[n] for n in call.operands], addresses[node], scalars)
            for n in call.operands:
                uses[n] -= 1
                if not uses[n]:
                    memory.pop(n, None)
        for call, number in self.copies:
            call.run([addresses[n] for n in call.operands], targets[number], scalars)
        self.calls = self.copies = ()  # it may be kept for long, but is not run again


class _Call:
    """One node, with the movement around it, over operands in memory; or a copy of a node in memory to an output."""

    def __init__(self, graph, node, copy_to=None):
        self.graph, self.node, self.copy_to = graph, node, copy_to
        self._numbering = Numbering(graph.simplified)
        self.operands, self._operand_numbers, self._names = [], {}, {}
        if copy_to is None:
            self.name = self._described(node, True)
        else:
            self.name = "copy", self._operand(node), None if copy_to.strides is None else self._numbering.extents(tuple(copy_to.strides))
        self.now = tuple([graph.integers[i] for i in self._numbering.integers])
        self.program = graph.programs.get(self.name, self.now)

    # The key: what the node is, with numbers of its own for operands, run-time integers and scalars

    def _described(self, node, is_root=False):
        if node in self._names:
            return self._names[node]
        kind = node.primitive
        if not is_root and kind not in _INLINE and not is_movement(node):
            name = self._operand(node)
        elif kind == "scalar":
            name = "scalar", self._numbering.scalar(node.attributes[0]), node.dtype.name
        elif kind == "constant":
            name = "constant", repr(node.attributes[0]), node.dtype.name
        else:
            inputs = tuple([self._described(i) for i in node.inputs])
            name = kind, node.dtype.name, self._numbering.extents(node.attributes), self._numbering.extents(node.shape), inputs
        self._names[node] = name if is_root else ("again", len(self._names))
        return name

    def _operand(self, node):
        number = self._operand_numbers.get(node)
        if number is not None:
            return "operand", number
        number = self._operand_numbers[node] = len(self.operands)
        self.operands.append(node)
        strides = None if self.graph.is_row_major(node) else self._numbering.extents(node.attributes[1])
        return "operand", number, node.dtype.name, self._numbering.extents(node.shape), strides

    # The program

    def run(self, pointers, target, scalars):
        program = self.program or self.graph.programs.get(self.name, self.now) or self._make()
        program.run(pointers, [target], [scalars[i] for i in self._numbering.scalars], self.now)

    def _make(self):
        assumptions = Assumptions((), self.now)
        own, made = self._numbering.own(self.now), {}

        def compiled():
            for number, node in enumerate(self.operands):
                strides = None if self.graph.is_row_major(node) else own(node.attributes[1])
                made[node] = leaf(number, own(tuple(node.shape)), node.dtype, strides)
            if self.copy_to is None:
                for node in topological([self.node], self.operands):
                    if node.primitive == "scalar":
                        made[node] = scalar(self._numbering.scalar(node.attributes[0]), node.dtype)
                    else:
                        inputs = tuple(made[i] for i in node.inputs)
                        made[node] = Node(node.primitive, inputs, own(node.attributes), own(tuple(node.shape)), node.dtype)
            strides = own(tuple(self.copy_to.strides)) if self.copy_to is not None and self.copy_to.strides is not None else None
            return self.graph.compile([Output(made[self.node], strides)], fuse=False)

        program = assumptions.run(compiled)
        self.graph.programs.add(self.name, assumptions.guards, program)
        return program
