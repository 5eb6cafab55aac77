"""What many groups of nodes have in common is worked out once: a pattern, and what each of them puts in its places.

    h1 = tanh(a1 + b)       a pattern: p2 = tanh(p0 + p1), with sizes d0 and d1            leaf3, leaf0 -> t4
    h2 = tanh(a2 + b)       the same                                                       leaf5, leaf0 -> t6

The nodes of a group, down to those that lie in memory, are described in numbers of their own (`Request.name`): buffers, run-time integers
and scalars in the order in which they are met.  Groups of one description, of this program or of a later one, get the same kernels: the
loops, their canonical text and the machine code are there already, and a `Binding` says which buffers, integers and scalars stand for
those of the pattern.  So a network that is unrolled by hand costs little more than its first cell, and the second step of a
training, which is another program than the first, little more than what is new in it.

A pattern is made of a graph of its own under assumptions of its own; what it had to assume (its guards) has to hold for all that use it.
Roughly equal sizes are part of a description, for what is quickest depends on them.  Start with `Request.steps`.
"""
import dataclasses
import functools
import threading

from ..ir.extents import Assumptions, Extent, current, renamed
from ..ir.graph import ELEMENTWISE, Node, leaf, scalar
from .expressions import Buffer, MustStore
from .kernels import source_of
from .making import MustCopy, Work, steps_of
from .numbering import Known, Numbering
from .rows import MustBeApart
from .steps import ContractionStep

_PATTERNS = 1024     # that a thread remembers


class Pattern:
    """What was made of a request, in its own numbers: `steps`, or the `problem` that was raised; `guards` have to hold; `same` are
    (leaf, target) numbers of what is taken for one memory."""

    def __init__(self, request):
        self.assumptions = Assumptions((), request.integers)
        self.steps, self.same, self.problem = [], (), None
        self.assumptions.run(self._make, request)
        self.guards = self.assumptions.guards

    def _make(self, request):
        work, nodes = request.own_work()
        try:
            self.steps, self.same = steps_of(work)
        except (MustStore, MustBeApart, MustCopy) as problem:
            self.problem, self.nodes = problem.with_traceback(None), nodes
        for step in self.steps:
            step.source = self._source(step)
            if isinstance(step, ContractionStep):
                from .products import with_packed_operand
                step.when_packed = with_packed_operand(step)
                if step.when_packed is not None:
                    step.when_packed.step.source = self._source(step.when_packed.step)

    def _source(self, step):
        source = source_of(step)
        source.write = functools.partial(self.assumptions.run, source.write)  # whenever that is: only there its integers are known
        return source


class Binding:
    """What stands in a pattern's places: buffers by their (kind, number) in it, Extents by its symbols, numbers of scalars by its own."""

    def __init__(self, pattern, request):
        self.pattern, self.scalars = pattern, request.numbering.scalars
        self.buffers = {(b.kind, b.number): whole for b, whole in zip(request.own_buffers, request.buffers)}
        self._atoms = {name: atom for atom, name in request.numbering.atoms.items()}
        self._values = dict(zip(request.numbering.integers, request.integers))
        self._extents = {}

    def extent(self, x):
        """An int or Extent of the pattern in the program's run-time integers."""
        if x.__class__ is not Extent:
            return x
        found = self._extents.get(id(x))
        if found is None:
            found = self._extents[id(x)] = renamed(x, self._atoms, self._values), x  # held, so that no other gets its id
        return found[0]

    def extents(self, values):
        return tuple(map(self.extent, values))

    def buffer(self, own):
        """The memory that a buffer of the pattern stands for, as it is seen there; scratch is the kernel's own."""
        whole = self.buffers.get((own.kind, own.number))
        if whole is None:
            return own
        return Buffer(whole.kind, whole.number, own.dtype, self.extents(own.shape), self.extents(own.strides), whole.storage)

    def whole(self, own):
        return self.buffers[own.kind, own.number]

    def entries(self, entries):
        """The arguments of a kernel (see loops.Slots)."""
        found = []
        for kind, what, *more in entries:
            if kind == "pointer":
                found.append((kind, self.buffers.get((what.kind, what.number), what), self.extent(more[0])))
            elif kind == "integer":
                found.append((kind, self.extent(what)))
            else:
                found.append((kind, self.scalars[what], *more))
        return found

    def also(self, own, buffer):
        """The same, with one more buffer."""
        other = object.__new__(Binding)
        other.__dict__.update(self.__dict__, buffers={**self.buffers, (own.kind, own.number): buffer})
        return other


class Request:
    """One group of a schedule, described.

    `nodes` are all that it is computed from, down to those in memory, arguments first; `buffers` those that it reads and writes, as
    `own_buffers` in the pattern's numbers; `name` is the description."""

    def __init__(self, kind, nodes, wanted, targets, memory_of, direct=(), computed=(), simplified=None):
        self.kind, self.made, self.wanted, self.targets = kind, nodes, wanted, targets
        self.memory_of, self.direct, self.computed = memory_of, direct, computed
        self.numbering = Numbering(simplified)
        self.nodes, self.index = [], {}
        self.buffers, self._numbers, self._storages = [], {}, {}
        lines = self._described()
        written = tuple([(self.index[n], n in direct, n in wanted, self._buffer(targets[n])) for n in nodes])
        values = current().integers if current() is not None else None
        atoms = self.numbering.atoms
        self.integers = tuple([a.value if values is None else values[a[1]] for a in atoms])
        self.name = (kind, lines, written, tuple([self.index[n] for n in computed if n in self.index]),
                     tuple([n.bit_length() for a, n in zip(atoms, self.integers) if a[0] == "d"]))

    # The description

    def _described(self):
        """What each node is, in order."""
        lines, stack, index, extents = [], list(reversed(self.made)), self.index, self.numbering.extents
        while stack:
            node = stack[-1]
            if node in index:
                stack.pop()
                continue
            buffer = self.memory_of(node)
            if buffer is None:
                missing = [i for i in node.inputs if i not in index]
                if missing:
                    stack.extend(reversed(missing))
                    continue
            stack.pop()
            kind = node.primitive
            if buffer is not None:
                line = self._buffer(buffer), extents(node.shape)
            elif kind in ELEMENTWISE:
                line = kind, node.dtype.name, *[index[i] for i in node.inputs]
            elif kind == "scalar":
                line = kind, node.dtype.name, self.numbering.scalar(node.attributes[0])
            elif kind == "constant":
                line = kind, node.dtype.name, repr(node.attributes[0])
            else:
                line = kind, node.dtype.name, extents(node.attributes), extents(node.shape), *[index[i] for i in node.inputs]
            index[node] = len(self.nodes)
            self.nodes.append(node)
            lines.append(line)
        return tuple(lines)

    def _buffer(self, buffer):
        """A buffer by its kind and number; what it is like, when it is met for the first time."""
        name = buffer.kind, buffer.number
        number = self._numbers.get(name)
        if number is not None:
            return number
        number = self._numbers[name] = len(self.buffers)
        self.buffers.append(buffer)
        storage = None if buffer.storage is None else self._storages.setdefault(buffer.storage, len(self._storages))
        extents = self.numbering.extents
        return number, buffer.kind, storage, buffer.dtype.name, extents(buffer.shape), extents(buffer.strides)

    # The pattern's own graph

    def own_work(self):
        """(the Work in the pattern's own numbers, its nodes in the order of `nodes`)."""
        own = self.numbering.own(self.integers)
        made, memory = {}, {}
        for b in self.own_buffers:
            b.shape, b.strides = own(b.shape), own(b.strides)
        for number, node in enumerate(self.nodes):
            buffer = self.memory_of(node)
            if buffer is not None:
                made[node] = leaf(number, own(tuple(node.shape)), node.dtype)
                memory[made[node]] = self._own(buffer)
            elif node.primitive == "scalar":
                made[node] = scalar(self.numbering.scalar(node.attributes[0]), node.dtype)
            elif node.primitive in ELEMENTWISE:
                inputs = tuple([made[i] for i in node.inputs])
                made[node] = Node(node.primitive, inputs, node.attributes, inputs[0].shape, node.dtype)
            else:
                made[node] = Node(node.primitive, tuple([made[i] for i in node.inputs]), own(node.attributes), own(tuple(node.shape)),
                                  node.dtype)
        targets = {made[n]: self._own(self.targets[n]) for n in self.made}
        work = Work(self.kind, [made[n] for n in self.made], [made[n] for n in self.wanted], targets, memory,
                    {made[n]: targets[made[n]] for n in self.made if n in self.direct}, {made[n] for n in self.computed if n in made})
        return work, list(made.values())

    def _own(self, buffer):
        return self.own_buffers[self._numbers[buffer.kind, buffer.number]]

    @functools.cached_property
    def own_buffers(self):
        """The buffers by the pattern's numbers."""
        return [Buffer(b.kind, number, b.dtype, b.shape, b.strides, self._storages.get(b.storage)) for number, b in enumerate(self.buffers)]

    # What it gets

    def steps(self):
        """(its steps, [(leaf, target) numbers of what is taken for one memory]).  Raises MustStore, MustBeApart or MustCopy, with nodes and
        numbers of the program."""
        pattern = _here.patterns.get(self.name, self.integers)
        if pattern is None:
            pattern = Pattern(self)
            _here.patterns.add(self.name, pattern.guards, pattern)
        binding = Binding(pattern, self)
        if pattern.problem is not None:
            raise self._own_problem(pattern, binding)
        for relation, extent in pattern.guards:
            extent = binding.extent(extent)
            if current() is not None and isinstance(extent, Extent):
                current().add(relation, extent)
        same = [(binding.buffers["leaf", a].number, binding.buffers["target", b].number) for a, b in pattern.same]
        return [bound(step, binding, self.made[0]) for step in pattern.steps], same

    def _own_problem(self, pattern, binding):
        problem, ours = pattern.problem, dict(zip(pattern.nodes, self.nodes))
        if isinstance(problem, MustStore):
            return MustStore(ours[problem.node], problem.why)
        if isinstance(problem, MustBeApart):
            return MustBeApart([ours[n] for n in problem.nodes], *problem.args)
        return MustCopy(binding.buffers["target", problem.output].number)


def bound(step, binding, node):
    """A step of a pattern, which makes `node`, with what stands in its places: it reads and writes that, and its loops are the pattern's."""
    changes = {"reads": [binding.whole(b) for b in step.reads], "writes": [binding.whole(b) for b in step.writes], "binding": binding}
    if isinstance(step, ContractionStep):
        changes["node"] = node
        changes.update((name, (binding.buffer(x[0]), binding.extent(x[1]))) for name in "ab" for x in [getattr(step, name)]
                       if isinstance(x, tuple))
    return dataclasses.replace(step, **changes)


class _Here(threading.local):
    def __init__(self):
        self.patterns = Known(_PATTERNS)


_here = _Here()
