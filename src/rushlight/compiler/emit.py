"""A loop nest as LLVM IR: the walk over its statements that writes what shall be executed.

    for j < n by 16: y[j] = exp(a[j])

    turn:   full = 16 <= n - j           the last turn may be a partial one: it works on a copy of its rows on the stack
            from, to = (a + j, y + j) if full else (copy of a[j:n], room)
            to[0:16] = exp(from[0:16])   one block of straight code for full and partial vectors
            if not full: y[j:n] = room   accumulators likewise: lanes that do not exist leave them as they were

The arithmetic is written once, as it is what takes LLVM time, and without a branch in it.  Lanes that do not exist compute what
nobody sees; where they would compute an address, they take that of the first lane.

A turn of the vector loop is one or two times LANES wide (`Nest.wide`); sums are still added up LANES at a time.

No pass runs after this, so what does not change in a loop is computed in front of it here (`_hoist`), and each expression
once in each scope.  A kernel is `void kernel(ptr args, i64 begin, i64 end, ptr scratch)`: tasks begin <= t < end.
Start with `emit`, then `_vector_loop`.
"""
import functools
from contextlib import contextmanager

from ..ir import dtypes
from ..ir.extents import is_int
from . import vectormath
from .expressions import Affine, key
from .llvmir import Function, Value, module_text, short_name, vector_type
from .loops import LANES, Accumulate, Carry, Close, Loop, Open, Store, Turn, expressions_of, has_turns, inputs_of
from .native.target import host
from .turning import turn

_COMBINE = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


def emit(nest, slots, name="kernel"):
    """The module text of a nest; `slots` are those of its canonical form."""
    return module_text([_Emitter(nest, slots, name).function()])


def neutral(name, dtype):
    """The number that changes nothing when it is combined."""
    if name in ("sum", "prod"):
        return 0 if name == "sum" else 1
    greatest = name in ("min", "argmin")
    if dtype.kind == "f":
        return float("inf") if greatest else float("-inf")
    if dtype.kind == "b":
        return int(greatest)
    bits = 8 * dtype.itemsize
    if dtype.kind == "u":
        return 2 ** bits - 1 if greatest else 0
    return 2 ** (bits - 1) - 1 if greatest else -(2 ** (bits - 1))


class _Emitter:
    """`values` is a stack of scopes, expression -> Value; a scalar spread over all lanes is kept under (expression, 'lanes')."""

    def __init__(self, nest, slots, name):
        self.nest, self.slots = nest, slots
        self.f = Function(name, [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")])
        self.values = [{}]
        self.indices = {}      # axis -> Value, of the loops we are in
        self.registers = {}    # accumulator -> Values (one, or value and position)
        self.done = set()      # accumulators that are closed
        self.width = 2 * LANES if nest.wide and host().vector_bits >= 256 else LANES
        self.vector = None     # the vector axis while we are in its loop
        self.left = self.full = None  # in a vector loop: how many elements there are to come, and whether they fill a vector
        self.staged = {}       # in a vector loop: load or Store -> where its lanes lie, be it on the stack; strided load -> its lanes
        self.slots_of = {}     # the same -> its room on the stack
        self.partial = []      # in a vector loop: functions that finish a partial turn
        self.edges = {}        # windowed axis -> (start, end)

    def function(self):
        f = self.f
        args, begin, end, self.scratch = f.parameters
        self.dummy = args
        self.arguments = [self._argument(args, i, entry) for i, entry in enumerate(self.slots.entries)]
        group, units = self.integer("group"), self.integer("units")
        first, last = f.binary("mul", begin, group), f.binary("mul", end, group)
        last = f.select(f.compare("slt", last, units), last, units)
        with f.loop(first, last) as unit:
            self.values.append({})
            self._decompose(unit)
            self._windows()
            self._body(self.nest.body)
            self.values.pop()
        f.ret()
        return f

    def _argument(self, args, i, entry):
        address = self.f.element(args, "i64", i)
        if entry[0] == "pointer":
            if entry[1].kind == "scratch":
                return self.f.element(self.scratch, "i8", self.f.load("i64", address))
            return self.f.load("ptr", address)
        if entry[0] == "integer":
            return self.f.load("i64", address)
        if entry[2] == "f":
            return self.f.load("double", address)
        x = self.f.load("i64", address)
        return self.f.compare("ne", x, 0) if entry[2] == "b" else x

    def integer(self, name):
        return self.arguments[self.slots.number(name, None)]

    def _decompose(self, unit):
        """The unit's number as an index of every outer axis, the last one running fastest."""
        f, rest = self.f, unit
        for n, axis in reversed(list(enumerate(self.nest.outer))):
            extent = self.arguments[self.slots.extent(axis)]
            self.indices[axis] = f.binary("urem", rest, extent) if n else rest
            rest = f.binary("udiv", rest, extent) if n else rest

    def _windows(self):
        f = self.f
        for axis in {axis: None for _, around in self.nest.statements() for axis in around}:
            extent = self.arguments[self.slots.extent(axis)]
            if axis.window:
                size = self.arguments[self.slots.size(axis)]
                start = f.binary("mul", self.indices[axis.window[0]], size)
                end = f.binary("add", start, size)
                self.edges[axis] = start, f.select(f.compare("slt", end, extent), end, extent)
            else:
                self.edges[axis] = Value("0", "i64"), extent

    # Statements

    def _body(self, body):
        for s in body:
            if isinstance(s, Loop):
                self._loop(s)
            elif isinstance(s, Open):
                self._open(s.accumulator)
            elif isinstance(s, Close):
                self._close(s.accumulator)
            elif isinstance(s, Accumulate):
                self._accumulate(s)
            elif isinstance(s, Turn):
                self._turn(s)
            elif isinstance(s, Carry):
                self.registers[s.accumulator] = [self.value(s.expression)]
            else:
                self._store(s)

    def _loop(self, loop):
        if has_turns(loop.axis) is False:
            return
        self._hoist(loop)
        start, end = self.edges[loop.axis]
        if loop.axis is self.nest.vector:
            self._vector_loop(loop, start, end)
            return
        with self._turns(loop, start, end, 1):
            self._body(loop.body)

    @contextmanager
    def _turns(self, loop, start, end, step):
        """A loop that carries the registers of its accumulators from turn to turn."""
        f = self.f
        carried = [(a, i) for a in _accumulators(loop.body) for i in range(len(self.registers[a]))]
        with f.loop(start, end, step, [self.registers[a][i] for a, i in carried]) as index:
            self.indices[loop.axis], registers = index if carried else (index, [])
            for (a, i), value in zip(carried, registers):
                self.registers[a][i] = value
            self.values.append({})
            yield
            self.values.pop()
            if carried:
                registers.next = [self.registers[a][i] for a, i in carried]
        if carried:
            for (a, i), value in zip(carried, registers.final):
                self.registers[a][i] = value

    # Vector loops

    def _vector_loop(self, loop, start, end):
        f = self.f
        with self._turns(loop, start, end, self.width):
            self.vector, self.staged, self.partial = loop.axis, {}, []
            self.left = f.binary("sub", end, self.indices[loop.axis])
            self.full = f.compare("sge", self.left, self.width)
            self._stage(loop.body)
            for n, s in enumerate(loop.body):
                if isinstance(s, Accumulate):
                    self._accumulate(s)
                else:
                    self._read_before(s, loop.body[n + 1:])
                    self._store(s)
            self._finish_partial(_accumulators(loop.body))
            self.vector = None

    def _read_before(self, store, later):
        """Read what later statements need of memory that this one writes over."""
        for s in later if store.buffer.storage is not None else ():
            for e in expressions_of([s]):
                if e.op == "load" and e.data[0].storage == store.buffer.storage:
                    self.value(e)

    def _stage(self, body):
        """Find out where each load and store of whole vectors takes place: in memory, or on the stack if the turn is partial.

        Loads with a stride are done here altogether: lane by lane in a full turn, by a loop in a partial one.
        """
        f, reads, strided, writes = self.f, [], [], []
        for what in [*expressions_of(body), *(s for s in body if isinstance(s, Store))]:
            buffer, place = self._memory_of(what)
            if buffer is not None and buffer.kind != "scratch":
                address, stride = self._address(buffer, place)
                if stride is not None and _is_one(stride):
                    (writes if isinstance(what, Store) else reads).append((what, buffer, address, stride))
                elif stride is not None and not isinstance(what, Store):
                    strided.append((what, buffer, address, stride))
        if not (reads or strided or writes):
            return
        before, full, partial, whole = f.block, f.label("full"), f.label("partial"), f.label("whole")
        f.branch_if(self.full, full if strided else whole, partial)
        if strided:
            f.start(full)
            lanes = [self._strided_lanes(buffer, address, stride) for _, buffer, address, stride in strided]
            before = f.block
            f.branch(whole)
        f.start(partial)
        for what, buffer, address, stride in reads + strided:
            self._copy(buffer, address, self._slot(what, buffer), stride)
        copied = [f.load(x.type, self.slots_of[e]) for x, (e, *_) in zip(lanes, strided)] if strided else []
        after = f.block
        f.branch(whole)
        f.start(whole)
        for what, buffer, address, _ in reads + writes:
            slot = self._slot(what, buffer)
            self.staged[what] = self._either(address, before, slot, after)
            if isinstance(what, Store):
                self.partial.append(functools.partial(self._copy, buffer, slot, address, inwards=False))
        for n, (e, *_) in enumerate(strided):
            self.staged[e] = self._either(lanes[n], before, copied[n], after)

    def _memory_of(self, what):
        """(buffer, place) of a Store, or of a load that varies and takes place under no condition; else (None, None)."""
        if isinstance(what, Store):
            return what.buffer, what.place
        return what.data if what.op == "load" and self.varies(what) and not what.args else (None, None)

    def _either(self, x, before, y, after):
        """x where the current block was reached from the block `before`, y where from `after`."""
        phi = self.f.phi(x.type)
        self.f.incoming(phi, x, before)
        self.f.incoming(phi, y, after)
        return phi

    def _slot(self, what, buffer):
        """Room on the stack for the lanes of a load or store."""
        if what not in self.slots_of:
            self.slots_of[what] = self.f.alloca(vector_type(vectormath.memory_type(buffer.dtype), self.width), 1)
        return self.slots_of[what]

    def _copy(self, buffer, source, target, stride=1, inwards=True):
        """Copy the elements that there are, fewer than `width`, from every `stride`-th place to neighbours: to the stack if `inwards`."""
        f, element = self.f, vectormath.memory_type(buffer.dtype)
        type, size, name = vector_type(element, self.width), Value(str(buffer.dtype.itemsize), "i32"), f"v{self.width}{short_name(element)}.p0"
        if inwards and _is_one(stride) and host().loads_under_mask(buffer.dtype.itemsize):
            x = f.intrinsic("llvm.masked.load." + name, type, source, size, self._mask(), f.of(0, type))
            f.store(x, target)
            return
        if not inwards and host().stores_under_mask:
            f.intrinsic("llvm.masked.store." + name, "void", f.load(type, source), target, size, self._mask())
            return
        with f.loop(0, self.left) as k:
            x = f.load(element, f.element(source, element, f.mul(k, stride)))
            f.store(x, f.element(target, element, k))

    def _strided_lanes(self, buffer, address, stride):
        f, element = self.f, vectormath.memory_type(buffer.dtype)
        x = f.of(0, vector_type(element, self.width))
        for lane in range(self.width):
            x = f.insert(x, f.load(element, address), lane)
            address = f.element(address, element, stride)
        return x

    def _mask(self):
        """The lanes that there are, in a partial vector."""
        if ("mask", self.f.block) not in self.values[-1]:
            f = self.f
            left = f.splat(f.convert("trunc", self.left, "i32"), self.width)
            self.values[-1]["mask", f.block] = f.compare("slt", _steps("i32", self.width), left)
        return self.values[-1]["mask", self.f.block]

    def _finish_partial(self, accumulators):
        """In a partial turn, write what there is and leave accumulators as they were where nothing is."""
        if not self.partial:
            return
        f = self.f
        partial, done = f.label("partial"), f.label("turned")
        before = f.block
        f.branch_if(self.full, done, partial)
        f.start(partial)
        combined = {a: self.registers[a] for a in accumulators}
        for finish in self.partial:
            finish()
        after = f.block
        f.branch(done)
        f.start(done)
        for a, registers in combined.items():
            self.registers[a] = [self._either(x, before, y, after) for x, y in zip(registers, self.registers[a])]

    def _hoist(self, loop):
        """Compute what the loop needs but does not change, in front of it; but read nothing for a loop that may have no turns."""
        inside, empty = {loop.axis}, []
        pending = []

        def walk(loop):
            empty.append(not has_turns(loop.axis))
            for s in loop.body:
                if isinstance(s, Loop):
                    inside.add(s.axis)
                    if has_turns(s.axis) is not False:
                        walk(s)
                elif isinstance(s, (Store, Accumulate, Carry)):
                    needed = [*s.expressions, *(e for e, _ in s.place.dynamic)] if isinstance(s, Store) else s.expressions
                    pending.extend((e, None, any(empty)) for e in needed)
            empty.pop()
        walk(loop)
        seen = set()
        while pending:
            e, user, unsure = pending.pop()
            name = e, user is not None and self.nest.vector in user.axes, unsure
            if name in seen:
                continue
            seen.add(name)
            if e.axes.isdisjoint(inside) and not (unsure and self._reads(e)):
                if e.results <= self.done and not self._in_scratch(e):
                    spread = self.nest.vector in inside and (user is None or self.nest.vector in user.axes)
                    self._lanes(e) if spread and (user is None or user.op not in ("load", "index")) else self.value(e)
            else:
                pending.extend((a, e, unsure) for a in inputs_of(e))

    def _reads(self, e):
        """Whether an expression reads memory, when no value of it is at hand."""
        return not any(e in scope for scope in self.values) and (e.op == "load" or any(self._reads(a) for a in inputs_of(e)))

    def _in_scratch(self, e):
        return e.op == "load" and e.data[0].kind == "scratch"

    def _open(self, a):
        element = vectormath.register_type(a.dtype)
        self.registers[a] = [self.f.of(neutral(a.name, a.dtype), vector_type(element, a.lanes))]
        if a.name.startswith("arg"):  # where the vector began that each lane's best came from
            self.registers[a].append(self.f.of(0, vector_type("i64", LANES)))
        self.done.discard(a)

    def _accumulate(self, s):
        """Combine a vector into an accumulator, LANES at a time."""
        f, a, x = self.f, s.accumulator, self._lanes(s.expression)
        first = None if s.position is None else self._offset_of_index(s.position)
        parts = []
        for lane in range(0, self.width, LANES):
            part = [x if self.width == LANES else f.shuffle(x, x, range(lane, lane + LANES))]
            if first is not None:
                part.append(f.splat(f.of(f.add(first, lane), "i64"), LANES))
            parts.append(part)
        before = self.registers[a]
        after = [before]
        for part in parts:
            after.append(self._step(a, after[-1], part))
        self.registers[a] = after[-1]

        def finish():
            registers = before
            for n, part in enumerate(parts):
                mask = self._mask()
                if self.width > LANES:
                    mask = f.shuffle(mask, mask, range(n * LANES, n * LANES + LANES))
                new = after[1] if n == 0 else self._step(a, registers, part)
                registers = [f.select(mask, x, y) for x, y in zip(new, registers)]
            self.registers[a] = registers
        self.partial.append(finish)

    def _step(self, a, old, new):
        """Combine elements that come later into an accumulator."""
        if len(old) == 1:
            return [combine(self.f, a.name, a.dtype, old[0], new[0])]
        f, ((x, i), (y, j)) = self.f, (old, new)
        if a.dtype.kind == "f":  # NaN is better than all but NaN
            take = f.binary("and", f.compare("ugt" if a.name == "argmax" else "ult", y, x), f.compare("ord", x, x))
        else:
            take = _compare(f, "gt" if a.name == "argmax" else "lt", a.dtype, y, x)
        return [f.select(take, y, x), f.select(take, j, i)]

    def _combine(self, a, old, new):
        """Fold one half of the lanes into the other: unlike in `_step`, either may have come first."""
        if len(old) == 1:
            return [combine(self.f, a.name, a.dtype, old[0], new[0])]
        f = self.f
        (x, i), (y, j) = old, new
        better = _compare(f, "gt" if a.name == "argmax" else "lt", a.dtype, y, x)
        earlier = f.compare("slt", j, i)
        equal = _compare(f, "eq", a.dtype, x, y)
        if a.dtype.kind == "f":
            nan_x, nan_y = f.compare("uno", x, x), f.compare("uno", y, y)
            better = f.binary("or", better, f.binary("and", nan_y, f.binary("xor", nan_x, True)))
            equal = f.binary("or", equal, f.binary("and", nan_x, nan_y))
        take = f.binary("or", better, f.binary("and", equal, earlier))
        return [f.select(take, y, x), f.select(take, j, i)]

    def _close(self, a):
        """Fold the lanes in halves."""
        values, lanes = list(self.registers[a]), LANES
        if len(values) > 1:
            values[1] = self.f.binary("add", values[1], _steps("i64", LANES))
        while lanes > 1:
            lanes //= 2
            low = [self.f.shuffle(v, v, range(lanes)) if lanes > 1 else self.f.extract(v, 0) for v in values]
            high = [self.f.shuffle(v, v, range(lanes, 2 * lanes)) if lanes > 1 else self.f.extract(v, 1) for v in values]
            values = self._combine(a, low, high)
        self.registers[a] = list(values)
        self.done.add(a)

    def _store(self, s):
        f, dtype = self.f, s.buffer.dtype
        x = self._lanes(s.expression) if self.vector is not None else self.value(s.expression)
        x = vectormath.store_convert(f, x, dtype)
        if s in self.staged:
            f.store(x, self.staged[s])
            return
        address, stride = self._address(s.buffer, s.place)
        if self.vector is None or s.buffer.kind == "scratch":  # scratch has room for whole vectors
            f.store(x, address)
            return
        slot, element = self._slot(s, s.buffer), vectormath.memory_type(dtype)
        f.store(x, slot)
        count = f.select(self.full, self.width, self.left)
        if stride is None:
            pointer, offset, _ = self._place(s.buffer, s.place)
            offsets = f.alloca("i64", self.width)
            f.store(self._lane_offsets(offset, s.place), offsets)
        with f.loop(0, count) as k:
            there = f.mul(k, stride) if stride is not None else f.load("i64", f.element(offsets, "i64", k))
            f.store(f.load(element, f.element(slot, element, k)), f.element(address if stride is not None else pointer, element, there))

    # Tiles

    def _turn(self, s):
        buffer, place = s.load.data
        self.indices[s.row], self.indices[s.column] = starts = [self.edges[axis][0] for axis in (s.row, s.column)]
        address, _ = self._address(buffer, place)
        sizes = [self.f.binary("sub", self.edges[axis][1], start) for axis, start in zip((s.row, s.column), starts)]
        stride = self.arguments[self.slots.coefficient(place, s.column, place.coefficient(s.column))]
        turn(self.f, buffer.dtype.itemsize, address, stride, self.arguments[self.slots.pointer(s.tile, _ZERO)], s.tile.shape[1], *sizes)

    # Expressions

    def value(self, e):
        """The Value of an expression: `width` of them where it varies along the vector loop we are in, else one."""
        for scope in reversed(self.values):
            if e in scope:
                return scope[e]
        stack = [e]
        while stack:
            top = stack[-1]
            waiting = [a for a in inputs_of(top) if not any(a in scope for scope in self.values)]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if top not in self.values[-1]:
                self.values[-1][top] = self._compute(top)
        return self.values[-1][e]

    def varies(self, e):
        return self.vector is not None and self.vector in e.axes

    def _lanes(self, e):
        """The Value of an expression in every lane."""
        if self.varies(e):
            return self.value(e)
        for scope in reversed(self.values):
            if (e, "lanes") in scope:
                return scope[e, "lanes"]
        if e.op == "constant":
            spread = self.f.everywhere(vector_type(vectormath.register_type(e.dtype), self.width), self._number(e))
        else:
            spread = self.f.splat(self.value(e), self.width)
        self.values[-1][e, "lanes"] = spread
        return spread

    def _compute(self, e):
        f = self.f
        if e.op == "load":
            return self._load(e)
        if e.op == "constant":
            return f.of(self._number(e), vectormath.register_type(e.dtype))
        if e.op == "scalar":
            return self.arguments[self.slots.scalar(e.data, e.dtype)]
        if e.op == "extent":
            return self.integer(("extent", key(e.data)))
        if e.op == "index":
            return self._index(e)
        if e.op in ("result", "running"):
            return self.registers[e.data][-1]
        inputs = [self._lanes(a) if self.varies(e) else self.value(a) for a in e.args]
        if e.op == "cast":
            return vectormath.cast(f, inputs[0], e.args[0].dtype, e.dtype)
        if e.op == "bitcast":
            return vectormath.bitcast(f, inputs[0], e.args[0].dtype, e.dtype)
        return vectormath.elementwise(f, e.op, inputs, e.args[-1].dtype)

    @staticmethod
    def _number(e):
        if e.dtype.kind == "f":
            return float(e.data)
        if e.dtype is dtypes.bool_:
            return bool(e.data)
        return int(e.data)

    def _offset(self, place):
        """(elements from the pointer to the first lane, the stride along the lanes: 0, 1, or a Value; None where it is computed)."""
        f, offset, stride = self.f, 0, 0
        for axis, c in self.nest.terms(place):
            factor = 1 if is_int(c, 1) else self.arguments[self.slots.coefficient(place, axis, c)]
            offset = f.add(offset, f.mul(self.indices[axis], factor))
            if axis is self.vector:
                stride = factor
        for e, c in place.dynamic:
            factor = 1 if is_int(c, 1) else self.arguments[self.slots.coefficient(place, e, c)]
            if self.varies(e):
                stride = None
            else:
                offset = f.add(offset, f.mul(self.value(e), factor))
        return offset, stride

    def _place(self, buffer, place):
        """(pointer, offset of the first lane from it in elements, stride) of a place in a buffer."""
        return self.arguments[self.slots.pointer(buffer, place)], *self._offset(place)

    def _address(self, buffer, place):
        """(address of the first lane, stride), as `_offset` gives it."""
        pointer, offset, stride = self._place(buffer, place)
        return self.f.element(pointer, vectormath.memory_type(buffer.dtype), offset), stride

    def _lane_offsets(self, offset, place):
        """An offset for every lane, where they are not neighbours."""
        f = self.f
        offsets = f.splat(f.of(offset, "i64"), self.width)
        c = place.coefficient(self.vector)
        if not is_int(c, 0):
            step = _steps("i64", self.width)
            if not is_int(c, 1):
                step = f.binary("mul", step, f.splat(self.arguments[self.slots.coefficient(place, self.vector, c)], self.width))
            offsets = f.binary("add", offsets, step)
        for e, c in place.dynamic:
            if self.varies(e):
                x = self.value(e)
                if not is_int(c, 1):
                    x = f.binary("mul", x, f.splat(self.arguments[self.slots.coefficient(place, e, c)], self.width))
                offsets = f.binary("add", offsets, x)
        return offsets

    def _offset_of_index(self, e):
        """The position of the first lane."""
        if e.op != "index":
            return self.value(e)
        return self.f.add(self.arguments[self.slots.constant(e.data)], self._offset(e.data)[0])

    def _index(self, e):
        first = self._offset_of_index(e)
        return self._lane_offsets(first, e.data) if self.varies(e) else first

    def _load(self, e):
        f, (buffer, place) = self.f, e.data
        element = vectormath.memory_type(buffer.dtype)
        type = vector_type(element, self.width)
        condition = e.args[0] if e.args else None
        if e in self.staged:
            x = self.staged[e]
            x = f.load(type, x) if x.type == "ptr" else x
        elif self.varies(e):
            x = self._load_lanes(buffer, place, type, None if condition is None else self._lanes(condition))
        else:
            address, _ = self._address(buffer, place)
            if condition is not None:  # where the place does not exist, anything that can be read will do
                address = f.select(self.value(condition), address, self.dummy)
            x = f.load(element, address)
        return vectormath.load_convert(f, x, buffer.dtype)

    def _load_lanes(self, buffer, place, type, here):
        """A vector that is not staged: from scratch, from computed places, or under a condition (the places exist where it holds)."""
        f, element = self.f, vectormath.memory_type(buffer.dtype)
        pointer, offset, stride = self._place(buffer, place)
        address = f.element(pointer, element, offset)
        if here is None and stride is not None:
            return f.load(type, address)
        if stride is not None and not isinstance(stride, Value) and stride == 0:  # only the condition varies
            some = f.intrinsic(f"llvm.vector.reduce.or.v{self.width}i1", "i1", f.binary("and", self._mask(), here))
            return f.splat(f.load(element, f.select(some, address, self.dummy)), self.width)
        if stride is not None and _is_one(stride) and host().loads_under_mask(buffer.dtype.itemsize):
            return f.intrinsic(f"llvm.masked.load.v{self.width}{short_name(element)}.p0", type, address,
                               Value(str(buffer.dtype.itemsize), "i32"), f.binary("and", self._mask(), here), f.of(0, type))
        offsets = self._lane_offsets(offset, place)
        if here is None:  # lanes that do not exist read what the first one reads
            offsets = f.select(self._mask(), offsets, f.splat(f.extract(offsets, 0), self.width))
        addresses = f.value(f"<{self.width} x ptr>", f"getelementptr {element}, ptr {pointer.text}, {offsets!r}")
        if here is not None:
            addresses = f.select(f.binary("and", self._mask(), here), addresses, f.splat(self.dummy, self.width))
        x = f.of(0, type)
        for lane in range(self.width):
            x = f.insert(x, f.load(element, f.extract(addresses, lane)), lane)
        return x


_ZERO = Affine()


def combine(f, name, dtype, a, b):
    """One step of a reduction."""
    if dtype is dtypes.bool_:
        return f.binary("or" if name in ("max", "sum") else "and", a, b)
    return vectormath.elementwise(f, _COMBINE[name], [a, b], dtype)


def _compare(f, predicate, dtype, a, b):
    return vectormath.elementwise(f, predicate, [a, b], dtype)


def _is_one(stride):
    return not isinstance(stride, Value) and stride == 1


@functools.cache
def _steps(element, lanes):
    """0, 1, 2 ... in the lanes."""
    return Value("<" + ", ".join(f"{element} {i}" for i in range(lanes)) + ">", vector_type(element, lanes))


def _accumulators(body):
    """The accumulators that a loop's body combines into."""
    found = {}
    for s in body:
        if isinstance(s, (Accumulate, Carry)):
            found[s.accumulator] = None
        elif isinstance(s, Loop):
            found.update(dict.fromkeys(_accumulators(s.body)))
    return list(found)
