"""The whole way from a graph to a call: schedule, plan memory, find or make machine code, launch.

    program = compile_program([Output(y)])        once for a structure
    program.run(pointers, targets, scalars, integers)

A program holds no size.  For each tuple of run-time integers it computes, once, all arguments of its kernels (an `_Instance`,
kept in a small least-recently-used store), so a size that was seen before costs nothing.  Start with `compile_program`, then
`Program.__init__`, then `Program._instance`.
"""
import copy
import ctypes
import gc
import operator
import re
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from ..ir import reference
from ..ir.extents import Extent
from ..ir.graph import row_major, topological
from . import explain, stepwise
from .expressions import is_complex, is_int, key
from .kernels import code_of, source_of
from .memory_plan import ALIGNMENT, share_slots
from .native.launch import Blueprint
from .schedule import schedule
from .steps import HostStep, LoopStep, Output
from .stepwise import Stepwise

__all__ = ["Output", "Program", "ReferenceProgram", "Stepwise", "compile_cold", "compile_program"]

_INSTANCES = 16      # sizes that a program remembers


def compile_program(outputs, fuse=True):
    """The program that computes `outputs`: a Program, or a ReferenceProgram where a loop computes with complex numbers."""
    if any(n.primitive == "loop" and is_complex(n) for n in topological([o.node for o in outputs])):
        return ReferenceProgram(outputs)
    return Program(outputs, fuse)


def compile_cold(outputs, integers):
    """What runs a graph that is seen for the first time, with the integers of the moment: call by call if that is quicker than
    compiling it (then it is to be run once), else the program."""
    order = topological([o.node for o in outputs])
    return stepwise.attempt(outputs, order, integers, compile_program) or compile_program(outputs)


# ---------------------------------------------------------------------------------------------------------------------

class _Numbers:
    """The distinct ints and Extents that a program needs; `evaluate` gives all of them for one tuple of run-time integers."""

    def __init__(self):
        self._texts, self._index = [], {}

    def index(self, x):
        """The place of an int or Extent among the numbers."""
        return self.text(key(x), lambda: x.source() if isinstance(x, Extent) else str(x))

    def text(self, name, make):
        """The place of what a Python expression gives, of the integers v and of numbers before it (`n3` is number 3)."""
        if name not in self._index:
            self._index[name] = len(self._texts)
            self._texts.append(make())
        return self._index[name]

    def total(self, a, b):
        """The place of the sum of two numbers, given by their places."""
        return self.text((a, "+", b), lambda: f"n{a} + n{b}")

    def largest(self, places):
        """The place of the greatest of some numbers."""
        place, *others = dict.fromkeys(places)
        for other in others:
            place = self.text((place, "max", other), lambda a=place, b=other: f"max(n{a}, n{b})")
        return place

    def starts(self, sizes):
        """The places of where parts begin that lie one behind the other, and of where the last one ends; `sizes` are the places of
        theirs.
        """
        starts = [self.index(0)]
        for size in sizes:
            starts.append(self.total(starts[-1], size))
        return starts

    def function(self):
        """A function of the integers that returns an array."""
        text = "".join(f" n{i} = {text}\n" for i, text in enumerate(self._texts))
        used = sorted({int(i) for i in re.findall(r"v\[(\d+)\]", text)})
        text = re.sub(r"v\[(\d+)\]", r"v\1", text)
        taken = "".join(f" v{i} = v[{i}]\n" for i in used)
        scope = {"array": np.array, "int64": np.int64}
        names = ", ".join(f"n{i}" for i in range(len(self._texts)))
        exec(f"def evaluate(v):\n{taken}{text} return array([{names}], int64)", scope)
        return scope["evaluate"]


# ---------------------------------------------------------------------------------------------------------------------

@dataclass
class _Kernel:
    """One launch: the code, its slots (see Program._slot), and the places of its number of tasks and of its bytes of scratch; in a loop
    also how its slots move (see Program._moves)."""
    code: object
    slots: list
    tasks: int
    scratch: int
    origin: str
    moves: list = field(default_factory=list)


@dataclass
class _Loop:
    """Kernels that are launched `turns` times (the place of that number); `written` are (slot, the place of the bytes that it moves by) of
    what the states follow, by number of the target."""
    turns: int
    kernels: list
    written: dict
    scratch: int

    @property
    def origin(self):
        return ", ".join(dict.fromkeys(k.origin for k in self.kernels))


@contextmanager
def _no_collection():
    """Nothing that is made in here is garbage before the end, so Python's collector would only search, again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Program:
    """A compiled graph.  `leaves_read` are the numbers of the leaves that it reads, `host_steps` how many nodes NumPy runs."""

    def __init__(self, outputs, fuse=True, in_place=True):
        self.outputs, self.fuse = outputs, fuse
        with _no_collection():
            self._compile(outputs, fuse, in_place)

    def _compile(self, outputs, fuse, in_place):
        plan = self.plan = schedule(outputs, fuse, in_place)
        self._same, self._careful = plan.same, None
        self.leaves_read = plan.leaves
        self.host_steps = sum(isinstance(s, HostStep) for s in plan.steps)
        self._scalars = {n.attributes[0]: n.dtype.kind for n in topological([o.node for o in outputs]) if n.primitive == "scalar"}
        self._numbers = _Numbers()
        slot_of, sizes = share_slots(plan.steps, plan.arena)
        starts = self._numbers.starts([self._numbers.largest(map(self._numbers.index, s)) for s in sizes])
        self._arena_bytes = starts.pop()
        self._starts = {number: starts[slot] for number, slot in slot_of.items()}
        self._numbers.index(0)  # what host steps ask for later is there
        self._parts = []   # host steps, and lists of the kernels between them, in running order
        for step in plan.steps:
            if isinstance(step, HostStep):
                self._parts.append(step)
                continue
            if not self._parts or isinstance(self._parts[-1], HostStep):
                self._parts.append([])
            self._parts[-1].append(self._loop(step) if isinstance(step, LoopStep) else self._kernel(step))
        self._scratch = [None if isinstance(part, HostStep) else self._numbers.largest(k.scratch for k in part) for part in self._parts]
        self._evaluate = self._numbers.function()
        self._blueprints = None  # of the parts; made at the first run, which tells how many leaves and scalars there are
        self._instances = OrderedDict()
        if explain.wanted():
            explain.debug_made(self, lambda step: source_of(step).write())
            if "time" in explain.wanted():
                self.run = self._run_and_tell
        self._read, self._written = (operator.itemgetter(*numbers) for numbers in zip(*plan.same)) if plan.same else (None, None)

    def _loop(self, step):
        kernels = [self._kernel(s, step.places) for s in step.steps]
        written = {}
        for place in step.places.values():
            if place.follows is not None:
                target = step.places["target", place.follows]
                written[place.follows] = self._address(target.buffer, target.first), self._bytes(target.buffer, target.stride)
        return _Loop(self._numbers.index(step.turns), kernels, written, self._numbers.largest(k.scratch for k in kernels))

    def _kernel(self, step, places=None):
        """The launch of a step; `places` are those of the loop that it is in."""
        source = source_of(step)
        code, origin = code_of(source)
        entries, tasks, rows = source.entries, source.tasks, source.scratch
        if getattr(step, "binding", None) is not None:
            entries, tasks, rows = step.binding.entries(entries), step.binding.extent(tasks), step.binding.extents(rows)
        *rows, scratch = self._numbers.starts(list(map(self._numbers.index, rows)))
        return _Kernel(code, [self._slot(rows, places, *entry) for entry in entries], self._numbers.index(tasks), scratch, origin,
                       self._moves(places, entries) if places else [])

    def _moves(self, places, entries):
        """[(slot, the number of a target or None, the place of bytes)]: how slots move after a turn, by so many bytes, or to that far
        behind where the target was."""
        moves = []
        for number, (kind, what, *more) in enumerate(entries):
            place = places.get((what.kind, what.number)) if kind == "pointer" else None
            if place is not None and place.follows is not None:
                moves.append((number, place.follows, self._bytes(what, more[0])))
            elif place is not None and not is_int(place.stride, 0):
                moves.append((number, None, self._bytes(what, place.stride)))
        return moves

    def _bytes(self, buffer, elements):
        """The place of the bytes of so many elements."""
        return self._numbers.index(elements * buffer.dtype.itemsize)

    def _slot(self, rows, places, kind, what, more=None):
        """(base or None, the place of a number): the number itself, or what is added to a base.  `rows` are the places of scratch, `places`
        those of the buffers of a loop."""
        if kind == "integer":
            return None, self._numbers.index(what)
        if kind == "scalar":
            return ("scalar", what), self._numbers.index(0)
        if what.kind == "scratch":
            return None, rows[what.number]
        if places:
            place = places[what.kind, what.number]
            return self._address(place.buffer, place.first + more)
        return self._address(what, more)

    def _address(self, buffer, offset=0):
        """(base, the place of the bytes from there) of an element of a buffer."""
        place = self._bytes(buffer, offset)
        if buffer.kind != "arena":
            return (buffer.kind, buffer.number), place
        return ("arena", 0), self._starts[buffer.number] if is_int(offset, 0) else self._numbers.total(self._starts[buffer.number], place)

    def native_call(self, pointers, targets, scalars, integers):
        """`run` as one call of machine code, (function, argument), or None where it takes more than that."""
        timed = "run" in self.__dict__  # RUSHLIGHT_DEBUG=time put its own there
        if timed or self.host_steps or self._same and self._read(pointers) != self._written(targets):
            return None
        instance = self._instances.get(integers)
        if instance is None:
            instance = self._instance(len(pointers), scalars, integers)
        return (instance.parts[0], (*pointers, *targets, _arena(instance.arena_bytes), *scalars)) if len(instance.parts) == 1 else None

    def run(self, pointers, targets, scalars, integers):
        """Read the leaves at `pointers`, write the outputs to `targets`."""
        if self._same and self._read(pointers) != self._written(targets):
            self._run_carefully(pointers, targets, scalars, integers)
            return
        instance = self._instances.get(integers)
        if instance is None:
            instance = self._instance(len(pointers), scalars, integers)
        bases = (*pointers, *targets, _arena(instance.arena_bytes), *scalars)
        for part in instance.parts:
            part(bases)

    def _run_carefully(self, pointers, targets, scalars, integers):
        """The memory of an output is not quite that of the leaf it was taken for: write nothing before all is read."""
        if self._careful is None:
            self._careful = Program(self.outputs, self.fuse, in_place=False)
        self._careful.run(pointers, targets, scalars, integers)

    def _instance(self, leaves, scalars, integers):
        if self._blueprints is None:
            with _no_collection():
                self._blueprints = self._all_blueprints(leaves, scalars)
        numbers = self._evaluate(integers)
        parts = [self._on_host(part, leaves, numbers, scalars, integers) if isinstance(part, HostStep) else blueprint.launcher(numbers)
                 for part, blueprint in zip(self._parts, self._blueprints)]
        instance = self._instances[integers] = _Instance(parts, int(numbers[self._arena_bytes]))
        while len(self._instances) > _INSTANCES:
            self._instances.popitem(last=False)
        return instance

    def _all_blueprints(self, leaves, scalars):
        """What the launchers of each part have in common."""
        letters = "q" * (leaves + len(self.outputs) + 1)
        letters += "".join({None: "-", "c": "-", "f": "d"}.get(self._scalars.get(i), "q") for i in range(len(scalars)))  # -: no kernel reads it
        result = []
        for kernels, scratch in zip(self._parts, self._scratch):
            if isinstance(kernels, HostStep):
                result.append(None)
                continue
            frame, patches, loops, codes = [], [], [], []

            def lay_out(slots, frame=frame, patches=patches):
                """Slots at the end of the frame; the number of the first."""
                for base, number in slots:
                    if base is not None:
                        patches.append((len(frame), self._base(base, leaves), number))
                    frame.append(number)
                return len(frame) - len(slots)

            def launch(kernel, codes=codes, lay_out=lay_out):
                codes.append(kernel.code)
                return kernel.code.address("kernel"), lay_out(kernel.slots), kernel.tasks

            steps = []
            for kernel in kernels:
                if isinstance(kernel, _Loop):
                    steps.append((0, len(loops), kernel.turns))
                    loops.append(_laid_out(kernel, launch, lay_out))
                else:
                    steps.append(launch(kernel))
            result.append(Blueprint(steps, frame, letters, patches, scratch, codes, loops))
        return result

    def _base(self, base, leaves):
        """The number of a base in a run: leaves, targets, the arena, scalars."""
        kind, number = base
        return number + {"leaf": 0, "target": leaves, "arena": leaves + len(self.outputs), "scalar": leaves + len(self.outputs) + 1}[kind]

    def _on_host(self, step, leaves, numbers, scalars, integers):
        """A function of the bases that runs a step in NumPy."""
        now, run = reference.Now(integers), reference.run_node

        def array(node, buffer):
            base, place = self._address(buffer)
            return self._base(base, leaves), int(numbers[place]), now(node.shape), now(buffer.strides), buffer.dtype
        inputs, results = ([(node, *array(node, buffer)) for node, buffer in which] for which in (step.inputs, step.results))
        count = len(scalars)

        def run_on_host(bases):
            values = {node: _by_rows(array_at(bases[base] + offset, *layout)) for node, base, offset, *layout in inputs}
            scalars = bases[len(bases) - count:]
            with np.errstate(all="ignore"):
                for node in step.nodes:
                    values[node] = run(node, [values[i] for i in node.inputs], (), scalars, integers)
            for node, base, offset, *layout in results:
                array_at(bases[base] + offset, *layout)[...] = values[node]
        return run_on_host

    def explain(self, integers, times=None):
        """Its graph and its kernels in order, as pseudo-code, with what they move and compute; `times` as `timed` gives them."""
        return explain.program(self, integers, times)

    @property
    def origins(self):
        """Where the code of each step comes from."""
        kernels = (k for part in self._parts if not isinstance(part, HostStep) for k in part)
        return ["no code" if isinstance(s, HostStep) else next(kernels).origin for s in self.plan.steps]

    def timed(self, pointers, targets, scalars, integers):
        """Run, one step after the other; the seconds that each took."""
        if self._same and self._read(pointers) != self._written(targets):
            self._careful = self._careful or Program(self.outputs, self.fuse, in_place=False)
            return self._careful.timed(pointers, targets, scalars, integers)
        apart = copy.copy(self)
        apart._parts = [p for part in self._parts for p in ([part] if isinstance(part, HostStep) else [[k] for k in part])]
        apart._scratch = [None if isinstance(p, HostStep) else p[0].scratch for p in apart._parts]
        apart._blueprints, apart._instances = None, OrderedDict()
        instance = apart._instance(len(pointers), scalars, integers)
        bases = (*pointers, *targets, _arena(instance.arena_bytes), *scalars)
        times = []
        for part in instance.parts:
            before = time.perf_counter()
            part(bases)
            times.append(time.perf_counter() - before)
        return times

    def _run_and_tell(self, pointers, targets, scalars, integers):
        explain.debug_run(self, integers, self.timed(pointers, targets, scalars, integers))


def _laid_out(loop, launch, lay_out):
    """(the launches of a loop, the moves after each turn): a slot that follows a target moves before that does."""
    at = {number: lay_out([slot]) for number, (slot, _) in loop.written.items()}
    steps, following, going_on = [], [], []
    for kernel in loop.kernels:
        steps.append(launch(kernel))
        first = steps[-1][1]
        for slot, target, number in kernel.moves:
            if target is None:
                going_on.append((first + slot, first + slot, number))
            else:
                following.append((first + slot, at[target], number))
    return steps, [*following, *going_on, *((at[number], at[number], by) for number, (_, by) in loop.written.items())]


@dataclass
class _Instance:
    """A program for one tuple of run-time integers: functions of the bases, and the size of the arena."""
    parts: list
    arena_bytes: int


class _Here(threading.local):
    """This thread's memory for intermediate values: so many bytes at an address that is aligned."""
    arena, room, address = None, 0, 0


_here = _Here()


def _arena(size):
    """The address of this thread's memory for intermediate values; what lies in it does not outlive a run."""
    if _here.room < size:
        _here.arena = np.empty(size + size // 4 + 4096, np.uint8)
        _here.address = -(-_here.arena.ctypes.data // ALIGNMENT) * ALIGNMENT
        _here.room = _here.arena.nbytes - ALIGNMENT
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
        now = reference.Now(integers)
        leaves = {number: array_at(pointers[number], now(n.shape), now(n.attributes[1]), n.dtype).copy()
                  for number, n in self._leaves.items()}
        results = reference.evaluate([o.node for o in self.outputs], leaves, scalars, integers)
        for o, result, target in zip(self.outputs, results, targets):
            shape = now(o.node.shape)
            array_at(target, shape, row_major(shape) if o.strides is None else now(tuple(o.strides)), o.node.dtype)[...] = result

    def explain(self, integers):
        return "\n".join(f"host {n.primitive} {tuple(n.shape)} {n.dtype.name}" for n in self._nodes if n.primitive != "leaf")


def _by_rows(array):
    """An array row by row: in which order NumPy adds up must not depend on where an operand happens to lie."""
    return array if array.flags.c_contiguous else array.copy()


def array_at(address, shape, strides, dtype):
    """The memory at an address as an array; `strides` in elements."""
    if 0 in shape:
        return np.empty(shape, dtype.numpy)
    size = 1 + sum((n - 1) * s for n, s in zip(shape, strides))
    raw = (ctypes.c_uint8 * (size * dtype.itemsize)).from_address(address)
    return np.ndarray(shape, dtype.numpy, raw, 0, [s * dtype.itemsize for s in strides])
