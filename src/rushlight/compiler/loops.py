"""The loop nest of one kernel, and what is decided about it: which loops merge, what a task is.

    for i < 4096, a task each 16:             units: one index of all `outer` axes
        m = -inf                              Open
        for j < 1024 by 16:                   Loop over the vector axis
            m = maximum(m, a[1024 i + j])     Accumulate
        fold m                                Close
        for j < 1024 by 16:
            y[1024 i + j] = exp(a[1024 i + j] - m)          Store

A nest says nothing of registers or processors.  Extents and strides are numbered run-time arguments, so two nests of the same
`canonical` text are the same machine code.

**The order of summation** follows from the operator and the logical shape.  Elements of the trailing reduced dimensions count as
one run; lane l of LANES adds up the elements l, l + LANES, ... of it (and of each further run, if outer dimensions are reduced as
well); the lanes are folded in halves.  Where the last dimension is kept, each of its columns is added up row after row.  Long
reductions are cut into blocks first (rewrites.py), and their sums are reduced by the same rule.

Read `Nest`, then `merge_axes`, `divide_into_tasks`, `canonical`.
"""
import functools

from ..ir.extents import bounds, extent_value, maximum, product
from .expressions import Axis, is_int, key, price, same
from .native.target import host

LANES = 16              # of every reduction, whatever the dtype and the target; vector loops go by so many, twice or half as many
TASK_ELEMENTS = 16384   # about what one task should touch, where its time is not known
MANY = 8192             # elements that are worth longer code
LONG_CHAIN = 16         # instructions of one vector
TILE = 64               # rows and columns of a tile that is transposed, or half as many of 8 bytes
LEAST_TRANSPOSED = 8    # the least extents for which that is worth while
SHORT_END = 4           # the greatest extent of an axis that another one takes the place of, where it is the innermost
LEAST_STORED = 4096     # the least elements for which a kernel of its own is
COLUMNS = 2048          # the widest row of accumulators that is kept in scratch


class Accumulator:
    """A reduction under way: one register of LANES partial results.  `axes` are those for which its result is known.

    With one lane it is a number that goes from turn to turn (`Carry`), and `axes` are those along which it changes."""

    __slots__ = ("axes", "dtype", "lanes", "level", "name")

    def __init__(self, name, dtype, axes, level, lanes=LANES):
        self.name, self.dtype, self.axes, self.level, self.lanes = name, dtype, frozenset(axes), level, lanes


class Open:
    """An accumulator gets the neutral element."""

    def __init__(self, accumulator):
        self.accumulator = accumulator


class Close:
    """The lanes of an accumulator are folded into one number."""

    def __init__(self, accumulator):
        self.accumulator = accumulator


class Accumulate:
    """An expression is combined into an accumulator; `position` is given where the place of an element matters (argmax)."""

    def __init__(self, accumulator, expression, position=None):
        self.accumulator, self.expression, self.position = accumulator, expression, position

    @property
    def expressions(self):
        return (self.expression,) if self.position is None else (self.expression, self.position)


class Carry:
    """An accumulator of one lane is what an expression of its last value ('running') gives, from here on."""

    def __init__(self, accumulator, expression):
        self.accumulator, self.expression = accumulator, expression

    @property
    def expressions(self):
        return (self.expression,)


class Store:
    """An element of a buffer gets its value."""

    def __init__(self, buffer, place, expression):
        self.buffer, self.place, self.expression = buffer, place, expression

    @property
    def expressions(self):
        return (self.expression,)


class Transpose:
    """A tile of an operand is copied to scratch with its rows and columns exchanged: the load's neighbours lie along `row` (where
    `is_mirrored`, in the other direction), those of the tile along `column`.  Both axes have windows of the tile's size."""

    def __init__(self, tile, load, row, column):
        self.tile, self.load, self.row, self.column = tile, load, row, column

    @property
    def expressions(self):
        return (self.load,)

    @property
    def is_mirrored(self):
        return is_int(self.load.data[1].coefficient(self.row), -1)


class Loop:
    """A loop over one axis.  The vector axis goes by the `lanes` of its nest."""

    def __init__(self, axis, body):
        self.axis, self.body = axis, body


class Nest:
    """What one kernel does.  `outer` axes are split among tasks; `vector` is the axis that goes by `lanes`; `merged` are axes that
    run inside another one now: whatever has a stride along them needs no attention any more."""

    def __init__(self, outer, body, vector=None):
        self.outer, self.body, self.vector = list(outer), body, vector
        self.merged = set()
        self.group = 1   # units in a task
        self.notes = []
        self.scratch = []  # scratch buffers
        self._lanes = self._streams = None

    def statements(self):
        """Every statement that has expressions, with the loops around it."""
        def walk(body, around):
            for s in body:
                if isinstance(s, Loop):
                    yield from walk(s.body, (*around, s.axis))
                elif isinstance(s, (Store, Accumulate, Carry, Transpose)):
                    yield s, around
        return walk(self.body, ())

    def loops_of_statements(self):
        """Every statement that has expressions, with the innermost Loop around it (None at the top)."""
        def walk(body, loop):
            for s in body:
                if isinstance(s, Loop):
                    yield from walk(s.body, s)
                elif isinstance(s, (Store, Accumulate, Carry, Transpose)):
                    yield s, loop
        return walk(self.body, None)

    def expressions(self):
        """Every expression once, arguments first."""
        done, order = set(), []
        for s, _ in self.statements():
            stack = list(s.expressions)
            if isinstance(s, Store):
                stack += [e for e, _ in s.place.dynamic]
            while stack:
                e = stack[-1]
                if e in done:
                    stack.pop()
                    continue
                waiting = [a for a in inputs_of(e) if a not in done]
                if waiting:
                    stack.extend(waiting)
                else:
                    stack.pop()
                    done.add(e)
                    order.append(e)
        return order

    @functools.cached_property
    def settled(self):
        """`expressions` of a nest that is changed no more."""
        return self.expressions()

    def places(self):
        """The places of all loads, stores and indices."""
        for e in self.expressions():
            if e.op == "load":
                yield e.data[1]
            elif e.op == "index":
                yield e.data
        for s, _ in self.statements():
            if isinstance(s, Store):
                yield s.place

    @property
    def lanes(self):
        """How many elements a turn of the vector loop takes.  The sizes when the code is made decide; the bits are the same.

        Twice LANES where a long chain of arithmetic takes longer from end to end than its instructions take to start (more would not find
        registers), and where elements are small.  It makes the code half as dear again, so there have to be many elements.  Half of LANES
        where elements are so large, and the arithmetic so long, that most values would go to memory and back; sums have LANES."""
        if self._lanes is None:
            varying = [e for e in self.settled if self.vector in e.axes]
            size, cost = max((e.dtype.itemsize for e in varying), default=8), sum(price(e.op) for e in varying)
            bits, self._lanes = host().vector_bits, LANES
            if bits >= 256 and (size <= 2 or size <= 4 and cost >= LONG_CHAIN):
                large = any(extent_value(b.elements) >= MANY for b in self.memory().values())
                if extent_value(self.vector.extent) > LANES and large:
                    self._lanes = 2 * LANES
            elif LANES * size * 8 > 2 * bits and cost >= LONG_CHAIN and not any(isinstance(s, Accumulate) for s, _ in self.statements()):
                self._lanes = LANES // 2
        return self._lanes

    @property
    def streams(self):
        """The stores whose whole vectors may be written past the caches, which they are if at the run so many bytes are moved that
        nothing of them would stay there: vectors that fill cache lines, to memory that is not read here.  It takes longer code, so there
        have to be many bytes when it is made, and what is a small part of them stays out of it."""
        if self._streams is None:
            moved, found = extent_value(self.bytes), []
            read = {(e.data[0].kind, e.data[0].number) for e in self.settled if e.op == "load"}
            for s, _ in self.statements() if self.vector is not None and 4 * moved >= host().streamed_bytes else ():
                if (isinstance(s, Store) and s.buffer.kind in ("target", "arena") and s.buffer.storage is None
                        and (s.buffer.kind, s.buffer.number) not in read and is_int(s.place.coefficient(self.vector), 1)
                        and not s.place.dynamic
                        and s.buffer.dtype.itemsize >= 4 and 8 * extent_value(_bytes_of(s.buffer)) >= moved):
                    found.append(s)
            self._streams = frozenset(found)
        return self._streams

    def memory(self):
        """The memory that it reads and writes: (kind, number) -> Buffer."""
        buffers = [e.data[0] for e in self.settled if e.op == "load"] + [s.buffer for s, _ in self.statements() if isinstance(s, Store)]
        return {(b.kind, b.number): b for b in buffers if b.kind != "scratch"}

    @property
    def bytes(self):
        """How many it reads and writes."""
        return sum(map(_bytes_of, self.memory().values()))

    @property
    def units(self):
        return product(a.extent for a in self.outer)

    @property
    def tasks(self):
        return (self.units + (self.group - 1)) // self.group

    def terms(self, place):
        """The terms of a place along axes that are still there."""
        return [(a, c) for a, c in place.terms if a not in self.merged]


def _bytes_of(buffer):
    return product(n for n, stride in zip(buffer.shape, buffer.strides) if not is_int(stride, 0)) * buffer.dtype.itemsize


def inputs_of(e):
    """The expressions that one is made of, computed places included."""
    if e.op == "load":
        return (*e.args, *(d for d, _ in e.data[1].dynamic))
    if e.op == "index":
        return tuple(d for d, _ in e.data.dynamic)
    return e.args


def expressions_of(body):
    """The expressions of some statements, each once, computed places included."""
    stack = []
    for s in reversed(body):
        stack += [*(e for e, _ in s.place.dynamic)] if isinstance(s, Store) else []
        stack += s.expressions
    return below(stack)


def below(expressions):
    """Some expressions and all that they are made of, each once, the last of them and what is under it first."""
    found, stack = {}, list(expressions)
    while stack:
        e = stack.pop()
        if e not in found:
            found[e] = None
            stack.extend(inputs_of(e))
    return list(found)


# ---------------------------------------------------------------------------------------------------------------------
# Passes

def merge_axes(nest, axes, places):
    """Make two neighbouring axes one where no operand has a gap between its rows.

        before   for i < 4: for j < 8: y[8 i + j] = exp(a[8 i + j])
        after    for k < 32: y[k] = exp(a[k])

    The inner axis stays, with the extent of both.  Ends: each step leaves one axis fewer.  Returns the axes that are left.
    """
    axes = list(axes)
    i = len(axes) - 2
    while i >= 0:
        outer, inner = axes[i], axes[i + 1]
        gap = next((p for p in places if not same(p.coefficient(outer), inner.extent * p.coefficient(inner))), None)
        if gap is None:
            inner.extent = outer.extent * inner.extent
            nest.merged.add(outer)
            del axes[i]
        else:
            nest.notes.append("two loops stay two: an operand has a gap between its rows")
        i -= 1
    return axes


def task_elements(nest):
    """About how many elements take 20 microseconds, as a power of two: for less, no other thread is worth waking."""
    time = 0  # of an element, in units of 20 picoseconds: what was measured is about a unit for each byte and each instruction
    for s, _ in nest.statements():
        time += s.buffer.dtype.itemsize if isinstance(s, Store) else 0
    for e in nest.expressions():
        if e.axes:
            time += e.dtype.itemsize if e.op == "load" else price(e.op) * max(1, e.dtype.itemsize // 4)
    return 1 << min(17, max(12, (1_000_000 // max(1, time)).bit_length() - 1))


def has_turns(axis):
    """Whether a loop over an axis has any turns: True, False, or None where that is known only when it runs."""
    if is_int(axis.extent, 0):
        return False
    least, _ = bounds(axis.extent)
    return True if axis.window or (least is not None and least > 0) else None


def divide_into_tasks(nest):
    """Decide how many units make a task, by the shape alone."""
    inner = 1
    seen = set()
    for _, around in nest.statements():
        for axis in around:
            if axis not in seen:
                seen.add(axis)
                inner = inner * (axis.window[1] if axis.window else axis.extent)
    if isinstance(inner, int):
        nest.group = max(1, task_elements(nest) // max(1, inner))
    else:
        nest.group = maximum(1, task_elements(nest) // inner)
    return nest


def window(nest, axis, size, blocks=None):
    """Cut an axis into blocks that become units.

        before   for j < 1000000: ...
        after    for b < 62: for 16384 b <= j < min(16384 b + 16384, 1000000): ...
    """
    blocks = blocks or Axis(1)
    blocks.extent = (axis.extent + (size - 1)) // size
    axis.window = (blocks, size)
    nest.outer.append(blocks)
    return blocks


# ---------------------------------------------------------------------------------------------------------------------
# The canonical form

class Slots:
    """The run-time arguments of a kernel, in order: ('pointer', buffer, offset), ('integer', extent), ('scalar', number, kind)."""

    def __init__(self):
        self.entries, self._places, self._known = [], {}, {}

    def add(self, *entry):
        self.entries.append(entry)
        return len(self.entries) - 1

    def once(self, name, *entry):
        if name not in self._known:
            self._known[name] = self.add(*entry)
        return self._known[name]

    def pointer(self, buffer, place):
        return self.once((buffer, key(place.constant)), "pointer", buffer, place.constant)

    def coefficient(self, place, what, c):
        """The slot of a stride: each operand has its own, whether or not two happen to be equal."""
        return self.once((id(place), id(what)), "integer", c)

    def constant(self, place):
        return self.once((id(place), "constant"), "integer", place.constant)

    def extent(self, axis):
        return self.once((axis, "extent"), "integer", axis.extent)

    def size(self, axis):
        return self.once((axis, "size"), "integer", axis.window[1])

    def scalar(self, number, dtype):
        return self.once(("scalar", number), "scalar", number, dtype.kind)

    def number(self, name, value):
        return self.once(name, "integer", value)


def canonical(nest, slots=None):
    """(text, slots): two nests of the same text differ in their arguments only.  `slots` are those there are already, of a kernel that
    the nest is a part of; how wide its turns are and where it writes are that kernel's affair then."""
    alone, slots, names, lines = slots is None, slots or Slots(), {}, []
    axes = {}

    def axis_name(axis):
        if axis not in axes:
            axes[axis] = f"x{len(axes)}"
        return axes[axis]

    def place_text(place):
        parts = [axis_name(a) + ("" if is_int(c, 1) else f"*s{slots.coefficient(place, a, c)}") for a, c in nest.terms(place)]
        parts += [names[e] + ("" if is_int(c, 1) else f"*s{slots.coefficient(place, e, c)}") for e, c in place.dynamic]
        return "+".join(parts)

    def expression_text(e):
        if e.op == "load":
            buffer, place = e.data
            return f"load p{slots.pointer(buffer, place)}[{place_text(place)}] {','.join(names[a] for a in e.args)}"
        if e.op == "index":
            return f"index {place_text(e.data)}+s{slots.constant(e.data)}"
        if e.op == "constant":
            return f"constant {e.data!r}"
        if e.op == "extent":
            return f"s{slots.number(('extent', key(e.data)), e.data)}"
        if e.op == "scalar":
            return f"scalar s{slots.scalar(e.data, e.dtype)}"
        if e.op in ("result", "running"):
            return f"{e.op} {names[e.data]}"
        return f"{e.op}({','.join(names[a] for a in e.args)})"

    def body_text(body, indent):
        for s in body:
            if isinstance(s, Loop):
                line = f"{indent}for {axis_name(s.axis)}{' vector' if s.axis is nest.vector else ''} s{slots.extent(s.axis)}"
                line += {True: "", False: " never", None: " perhaps never"}[has_turns(s.axis)]
                if s.axis.window:
                    line += f" window {axis_name(s.axis.window[0])} s{slots.size(s.axis)}"
                lines.append(line)
                body_text(s.body, indent + " ")
            elif isinstance(s, Open):
                names[s.accumulator] = f"a{len(names)}"
                lines.append(f"{indent}open {names[s.accumulator]} {s.accumulator.name} {s.accumulator.dtype.name}")
            elif isinstance(s, Close):
                lines.append(f"{indent}close {names[s.accumulator]}")
            elif isinstance(s, Transpose):
                tile = f"{s.tile.dtype.name} {s.tile.shape[0]} s{slots.size(s.row)} s{slots.size(s.column)}"
                lines.append(f"{indent}transpose {names[s.load]} {tile} {axis_name(s.row)} {axis_name(s.column)}"
                             + " mirrored" * s.is_mirrored)
            elif isinstance(s, (Accumulate, Carry)):
                arrow = "<-" if isinstance(s, Accumulate) else "="
                lines.append(f"{indent}{names[s.accumulator]} {arrow} {','.join(names[e] for e in s.expressions)}")
            else:
                place = place_text(s.place)
                lines.append(f"{indent}p{slots.pointer(s.buffer, s.place)} {s.buffer.dtype.name} [{place}] = {names[s.expression]}")

    def open_names(body):
        for s in body:
            if isinstance(s, Open):
                names[s.accumulator] = f"a{len(names)}"
            elif isinstance(s, Loop):
                open_names(s.body)

    slots.number("group", nest.group)
    slots.number("units", nest.units)
    for a in nest.outer:
        lines.append(f"unit {axis_name(a)} s{slots.extent(a)}")
    if alone and nest.lanes != LANES:
        lines.append(f"lanes {nest.lanes}")
    if alone and nest.streams:
        lines.append(f"streams s{slots.number('streams', nest.bytes // host().streamed_bytes)}")
    open_names(nest.body)
    for e in nest.settled:
        text = expression_text(e)
        names[e] = f"e{len(names)}"
        lines.append(f"{names[e]} {e.dtype.name} {text}")
    body_text(nest.body, "")
    return "\n".join(lines), slots
