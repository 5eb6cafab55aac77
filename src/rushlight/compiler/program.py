"""The whole way from a graph to a call: schedule, plan memory, find or make machine code, launch.

    program = compile_program([Output(y)])        once for a structure
    program.run(pointers, targets, scalars, integers)

A program holds no size.  For each tuple of run-time integers it computes, once, all arguments of its kernels (an `_Instance`,
kept in a small least-recently-used store), so a size that was seen before costs nothing.  Start with `compile_program`, then
`Program.__init__`, then `Program._instance`.
"""
import ctypes
import os
import threading
from collections import OrderedDict

import numpy as np

from ..ir import reference
from ..ir.extents import Extent
from ..ir.graph import row_major, topological
from . import explain
from .emit import emit
from .expressions import key
from .loops import canonical
from .memory_plan import ALIGNMENT, share_slots
from .native import jit
from .native.launch import Launcher
from .products import Product
from .schedule import ContractionStep, HostStep, NestStep, Output, SortStep, schedule
from .sorting import Sort

__all__ = ["Output", "Program", "ReferenceProgram", "compile_program"]

_INSTANCES = 16      # sizes that a program remembers
_KERNELS = 4096      # kernels kept in memory for programs to come


def compile_program(outputs, fuse=True):
    """The program that computes `outputs`: a Program, or a ReferenceProgram where a dtype is complex."""
    nodes = topological([o.node for o in outputs])
    if any(n.dtype.kind == "c" for n in nodes):
        return ReferenceProgram(outputs)
    return Program(outputs, fuse)


# ---------------------------------------------------------------------------------------------------------------------
# Machine code, by the text it comes from

class _Kernels:
    """Compiled kernels by canonical text, least recently used out; programs keep what they use alive."""

    def __init__(self):
        self._code, self._lock = OrderedDict(), threading.Lock()

    def get(self, text, make):
        with self._lock:
            code = self._code.get(text)
            if code is not None:
                self._code.move_to_end(text)
                return code
        code = jit.compile(make())
        with self._lock:
            self._code[text] = code
            while len(self._code) > _KERNELS:
                self._code.popitem(last=False)
        return code


_kernels = _Kernels()


class _Numbers:
    """The distinct ints and Extents that a program needs; `evaluate` gives all of them for one tuple of run-time integers."""

    def __init__(self):
        self.values, self._index = [], {}

    def index(self, x):
        name = key(x)
        if name not in self._index:
            self._index[name] = len(self.values)
            self.values.append(x)
        return self._index[name]

    def function(self):
        """A function of the integers that returns an array."""
        fixed = np.array([0 if isinstance(x, Extent) else x for x in self.values], np.int64)
        moving = [i for i, x in enumerate(self.values) if isinstance(x, Extent)]
        if not moving:
            return lambda v: fixed
        formulas = eval("lambda v: (" + "".join(self.values[i].source() + "," for i in moving) + ")")  # noqa: S307

        def evaluate(v):
            values = fixed.copy()
            values[moving] = formulas(v)
            return values
        return evaluate


# ---------------------------------------------------------------------------------------------------------------------

class _Segment:
    """Kernels between two host steps: for each, its code, its slots and the index of its number of tasks."""

    def __init__(self):
        self.kernels = []


class Program:
    """A compiled graph.  `leaves_read` are the numbers of the leaves that it reads, `host_steps` how many nodes NumPy runs."""

    def __init__(self, outputs, fuse=True, in_place=True):
        self.outputs, self.fuse = outputs, fuse
        plan = self.plan = schedule(outputs, fuse, in_place)
        self._same, self._careful = plan.same, None
        self.leaves_read = plan.leaves
        self.host_steps = sum(isinstance(s, HostStep) for s in plan.steps)
        self._scalars = {n.attributes[0]: n.dtype.kind for n in topological([o.node for o in outputs]) if n.primitive == "scalar"}
        self._slot_of, sizes = share_slots(plan.steps, plan.arena)
        self._numbers = _Numbers()
        self._slot_sizes = [self._numbers.index(s) for s in sizes]
        self._parts = []   # segments and host steps in running order
        for step in plan.steps:
            if isinstance(step, HostStep):
                self._parts.append(self._host_part(step))
                continue
            if not self._parts or not isinstance(self._parts[-1], _Segment):
                self._parts.append(_Segment())
            self._parts[-1].kernels.append(self._kernel(step))
        self._evaluate = self._numbers.function()
        self._instances = OrderedDict()

    def _kernel(self, step):
        source = step.nest if isinstance(step, NestStep) else Product(step.node, step.a, step.b, step.nest, step.plain) if isinstance(
            step, ContractionStep) else Sort(step.node, step.x, step.result, step.work)
        if isinstance(step, NestStep):
            text, slots = canonical(step.nest)
            code = _kernels.get(text, lambda: emit(step.nest, slots))
            scratch = sum(COLUMN_BYTES for _ in step.nest.scratch)
        else:
            text, slots = source.canonical()
            code = _kernels.get(text, lambda: source.emit(slots))
            scratch = source.scratch_bytes
        entries = []
        scratch_at = 0
        for entry in slots.entries:
            if entry[0] == "integer":
                entries.append(("n", self._numbers.index(entry[1])))
            elif entry[0] == "scalar":
                entries.append(("s", entry[1]))
            elif entry[1].kind == "scratch":
                entries.append(("n", self._numbers.index(entry[1].number * COLUMN_BYTES)))
            else:
                entries.append(("p", entry[1], self._numbers.index(entry[2] * entry[1].dtype.itemsize)))
        del scratch_at
        return code, entries, self._numbers.index(source.tasks), scratch

    def _host_part(self, step):
        return step

    def run(self, pointers, targets, scalars, integers):
        """Read the leaves at `pointers`, write the outputs to `targets`."""
        for leaf, output in self._same:
            if pointers[leaf] != targets[output]:
                self._run_carefully(pointers, targets, scalars, integers)
                return
        instance = self._instances.get(integers)
        if instance is None:
            instance = self._instance(len(pointers), scalars, integers)
        instance.run(pointers, targets, scalars, integers)

    def _run_carefully(self, pointers, targets, scalars, integers):
        """The memory of an output is not quite that of the leaf it was taken for: write nothing before all is read."""
        if self._careful is None:
            self._careful = Program(self.outputs, self.fuse, in_place=False)
        self._careful.run(pointers, targets, scalars, integers)

    def _instance(self, leaves, scalars, integers):
        instance = _Instance(self, leaves, scalars, self._evaluate(integers))
        self._instances[integers] = instance
        while len(self._instances) > _INSTANCES:
            self._instances.popitem(last=False)
        return instance

    def explain(self, integers):
        """The kernels in order as pseudo-code, with the bytes they move; host steps by name."""
        return explain.program(self.plan, integers)


COLUMN_BYTES = 2048 * 8


class _Instance:
    """A program for one tuple of run-time integers: launchers with every argument filled in."""

    def __init__(self, program, leaves, scalars, values):
        self.program, self.values, self.leaves = program, values, leaves
        sizes = values[program._slot_sizes] if program._slot_sizes else np.zeros(0, np.int64)
        ends = np.cumsum(sizes)
        self.starts, self.arena_bytes = (ends - sizes).tolist(), int(ends[-1]) if len(ends) else 0
        letters = "q" * (leaves + len(program.outputs) + 1)
        letters += "".join("d" if program._scalars.get(i, "f" if isinstance(s, float) else "i") == "f" else "q" for i, s in enumerate(scalars))
        self.parts = [self._launcher(p, letters) if isinstance(p, _Segment) else p for p in program._parts]

    def _launcher(self, segment, letters):
        steps, frame, patches, keep, scratch_bytes = [], [], [], [], 0
        values, program = self.values.tolist(), self.program
        scalars_at = self.leaves + len(program.outputs) + 1
        for code, entries, tasks, scratch in segment.kernels:
            steps.append((code.address("kernel"), len(frame), values[tasks]))
            keep.append(code)
            scratch_bytes = max(scratch_bytes, scratch)
            for entry in entries:
                if entry[0] == "n":
                    frame.append(values[entry[1]])
                    continue
                if entry[0] == "p":
                    base, offset = self._base(entry[1], values[entry[2]])
                else:
                    base, offset = scalars_at + entry[1], 0
                patches.append((len(frame), base, offset))
                frame.append(0)
        return Launcher(steps, frame, letters, patches, scratch_bytes, keep)

    def _base(self, buffer, offset):
        """(number of the base, bytes from it) of an element of a buffer."""
        if buffer.kind == "leaf":
            return buffer.number, offset
        if buffer.kind == "target":
            return self.leaves + buffer.number, offset
        return self.leaves + len(self.program.outputs), self.starts[self.program._slot_of[buffer.number]] + offset

    def run(self, pointers, targets, scalars, integers):
        bases = (*pointers, *targets, _arena(self.arena_bytes), *scalars)
        for part in self.parts:
            if isinstance(part, HostStep):
                self._run_on_host(part, bases, scalars, integers)
            else:
                part.run(bases)

    def _run_on_host(self, step, bases, scalars, integers):
        now = reference._Now(integers)

        def array(node, buffer):
            base, offset = self._base(buffer, 0)
            return array_at(bases[base] + offset, now(node.shape), now(buffer.strides), buffer.dtype)
        values = {node: array(node, buffer) for node, buffer in step.inputs}
        with np.errstate(all="ignore"):
            for node in step.nodes:
                values[node] = reference._apply(node, [values[i] for i in node.inputs], (), scalars, integers)
        for node, buffer in step.results:
            array(node, buffer)[...] = values[node]


_here = threading.local()


def _arena(size):
    """The address of this thread's memory for intermediate values; what lies in it does not outlive a run."""
    arena = getattr(_here, "arena", None)
    if arena is None or arena.nbytes < size + ALIGNMENT:
        arena = _here.arena = np.empty(size + size // 4 + 4096, np.uint8)
        _here.address = -(-arena.ctypes.data // ALIGNMENT) * ALIGNMENT
    return _here.address


# ---------------------------------------------------------------------------------------------------------------------
# The reference interpreter behind the same interface

class ReferenceProgram:
    """The graph run node by node in NumPy."""

    def __init__(self, outputs):
        self.outputs = outputs
        self._nodes = topological([o.node for o in outputs])
        self._leaves = {n.attributes[0]: n for n in self._nodes if n.primitive == "leaf"}
        self.leaves_read = sorted(self._leaves)
        self.host_steps = sum(n.primitive != "leaf" for n in self._nodes)

    def run(self, pointers, targets, scalars, integers):
        now = reference._Now(integers)
        leaves = {number: array_at(pointers[number], now(n.shape), now(n.attributes[1]), n.dtype).copy()
                  for number, n in self._leaves.items()}
        results = reference.evaluate([o.node for o in self.outputs], leaves, scalars, integers)
        for o, result, target in zip(self.outputs, results, targets):
            shape = now(o.node.shape)
            array_at(target, shape, row_major(shape) if o.strides is None else now(tuple(o.strides)), o.node.dtype)[...] = result

    def explain(self, integers):
        return "\n".join(f"host {n.primitive} {tuple(n.shape)} {n.dtype.name}" for n in self._nodes if n.primitive != "leaf")


def array_at(address, shape, strides, dtype):
    """The memory at an address as an array; `strides` in elements."""
    if 0 in shape:
        return np.empty(shape, dtype.numpy)
    size = 1 + sum((n - 1) * s for n, s in zip(shape, strides))
    raw = (ctypes.c_uint8 * (size * dtype.itemsize)).from_address(address)
    return np.ndarray(shape, dtype.numpy, raw, 0, [s * dtype.itemsize for s in strides])
