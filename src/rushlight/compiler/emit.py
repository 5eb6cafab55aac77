"""A loop nest as LLVM IR: the walk over its statements that writes what shall be executed.

    for j < n by 16: y[j] = exp(a[j])

    turn:   full = 16 <= n - j           the last turn may be a partial one: it works on a copy of its rows on the stack
            from, to = (a + j, y + j) if full else (copy of a[j:n], room)
            to[0:16] = exp(from[0:16])   one block of straight code for full and partial vectors
            if not full: y[j:n] = room   accumulators likewise: lanes that do not exist leave them as they were

The arithmetic is written once, as it is what takes LLVM time, and without a branch in it.  Lanes that do not exist compute what
nobody sees; where they would compute an address, they take that of the first lane.

A turn of the vector loop is as wide as `Nest.lanes` says; sums are still added up LANES at a time.  Results that no cache
would keep are written past the caches (`Nest.streams`): else the memory that they go to would be read first.

No pass runs after this, so what does not change in a loop is computed in front of it here (`_hoist`), and each expression
once in each scope.  A kernel is `void kernel(ptr args, i64 begin, i64 end, ptr scratch)`: tasks begin <= t < end.
Start with `emit`, then `_vector_loop`.
"""
import functools
from contextlib import contextmanager

from . import reducing, vectormath
from .evaluation import Evaluation, is_one
from .expressions import Affine, is_int, price
from .llvmir import Function, Value, module_text, vector_type
from .loops import LANES, Accumulate, Carry, Close, Loop, Open, Store, Transpose, expressions_of, has_turns, inputs_of
from .native.target import host
from .transposing import transpose

_BRIEF = 8  # instructions of a turn that is little more than reading and writing
_LINE = 64  # bytes of a cache line; every target's whole vectors of four bytes or more fill such


def emit(nest, slots, name="kernel"):
    """The module text of a nest; `slots` are those of its canonical form."""
    return module_text([_Emitter(nest, slots, name).function()])


class _Emitter(Evaluation):
    """What a nest says, statement by statement."""

    def __init__(self, nest, slots, name):
        f = Function(name, [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")])
        args, self.begin, self.end, scratch = f.parameters
        super().__init__(f, nest, slots, args, scratch)
        self.registers = {}    # accumulator -> Values (one, or value and position)
        self.done = set()      # accumulators that are closed
        self.lanes = nest.lanes
        self.left = self.full = None  # in a vector loop: how many elements there are to come, and whether they fill a vector
        self.staged = {}       # in a vector loop: load or Store -> where its lanes lie, be it on the stack; strided load -> its lanes
        self.slots_of = {}     # the same -> its room on the stack
        self.streaming = {}    # in a vector loop: Store -> whether it goes past the caches
        self.partial = []      # in a vector loop: functions that finish a partial turn
        self.edges = {}        # windowed axis -> (start, end)

    def function(self):
        f = self.f
        group, units = self.integer("group"), self.integer("units")
        first, last = f.binary("mul", self.begin, group), f.binary("mul", self.end, group)
        last = f.select(f.compare("slt", last, units), last, units)
        with f.loop(first, last) as unit:
            self.values.append({})
            self.places |= self.split(self.nest.outer, unit)
            self._windows()
            self._body(self.nest.body)
            self.values.pop()
        if self.nest.streams and host().triple.startswith("x86_64"):
            f.intrinsic("llvm.x86.sse.sfence", "void")  # such stores are seen late by others, unless told
        f.ret()
        return f

    def _windows(self):
        f = self.f
        for axis in {axis: None for _, around in self.nest.statements() for axis in around}:
            extent = self.arguments[self.slots.extent(axis)]
            if axis.window:
                size = self.arguments[self.slots.size(axis)]
                start = f.binary("mul", self.places[axis.window[0]], size)
                end = f.binary("add", start, size)
                self.edges[axis] = start, f.select(f.compare("slt", end, extent), end, extent)
            else:
                self.edges[axis] = Value("0", "i64"), extent

    # Statements

    def _body(self, body):
        for n, s in enumerate(body):
            if isinstance(s, Loop):
                self._loop(s)
            elif isinstance(s, Open):
                self._open(s.accumulator)
            elif isinstance(s, Close):
                self._close(s.accumulator)
            elif isinstance(s, Accumulate):
                self._accumulate(s)
            elif isinstance(s, Transpose):
                self._transpose(s)
            elif isinstance(s, Carry):
                self.registers[s.accumulator] = [self.value(s.expression)]
            else:
                self.read_before(s, [later for later in body[n + 1:] if isinstance(later, (Store, Accumulate, Carry))])
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
            self.places[loop.axis], registers = index if carried else (index, [])
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
        self.values.append({})
        for what in [*expressions_of(loop.body), *loop.body]:
            if isinstance(what, Store) or getattr(what, "op", None) == "load":
                self.note_start(*((what.buffer, what.place) if isinstance(what, Store) else what.data))
        streaming = self._streaming(loop, start)
        if self._is_brief(loop.body):
            start = self._whole_turns(loop, start, end, streaming)
        with self._turns(loop, start, end, self.lanes):
            self.vector, self.staged, self.partial = loop.axis, {}, []
            self.left = f.binary("sub", end, self.places[loop.axis])
            self.full = f.compare("sge", self.left, self.lanes)
            self.streaming = streaming
            self._stage(loop.body)
            self._do(loop.body)
            self._finish_partial(_accumulators(loop.body))
            self.vector = None
        self.values.pop()

    def _do(self, body):
        for n, s in enumerate(body):
            if isinstance(s, Accumulate):
                self._accumulate(s)
            else:
                self.read_before(s, body[n + 1:])
                self._store(s)

    def _is_brief(self, body):
        """Whether a turn takes so few instructions that to ask whether it is a full one takes about as many: all memory that it reads and
        writes lies side by side, and there is little arithmetic."""
        varying = [e for e in expressions_of(body) if self.nest.vector in e.axes]
        places = [(e.data[0], e.data[1], e.args) for e in varying if e.op == "load"]
        places += [(s.buffer, s.place, ()) for s in body if isinstance(s, Store)]
        return sum(price(e.op) for e in varying) <= _BRIEF and all(
            is_int(place.coefficient(self.nest.vector), 1) and not place.dynamic and not condition for _, place, condition in places)

    def _whole_turns(self, loop, start, end, streaming):
        """The full turns of a loop, without a question in them; where the others begin."""
        f = self.f
        count = f.binary("sub", end, start)
        whole = f.binary("and", f.select(f.compare("sgt", count, 0), count, 0), -self.lanes)
        rest = f.add(start, whole)
        with self._turns(loop, start, rest, self.lanes):
            self.vector, self.full, self.streaming, self.staged = loop.axis, f.of(True, "i1"), streaming, {}
            for what in [*expressions_of(loop.body), *loop.body]:
                buffer, place = self._memory_of(what)
                if buffer is not None:
                    self.staged[what] = self.address(buffer, place)[0]
            self._do(loop.body)
            self.vector = None
        return rest

    def _streaming(self, loop, start):
        """Store -> whether its vectors go past the caches: many bytes are moved, and they begin where cache lines do."""
        f, streaming = self.f, {}
        if self.nest.streams:
            self.places[loop.axis], many = start, f.compare("sgt", self.integer("streams"), 0)
            for s in filter(self.nest.streams.__contains__, loop.body):
                first = f.convert("ptrtoint", self.address(s.buffer, s.place)[0], "i64")
                streaming[s] = f.binary("and", many, f.compare("eq", f.binary("and", first, _LINE - 1), 0))
        return streaming

    def _stage(self, body):
        """Find out where each load and store of whole vectors takes place: in memory, or on the stack if the turn is partial.

        Loads with a stride are done here altogether: lane by lane in a full turn, by a loop in a partial one.
        """
        f, reads, strided, writes = self.f, [], [], []
        for what in [*expressions_of(body), *(s for s in body if isinstance(s, Store))]:
            buffer, place = self._memory_of(what)
            if buffer is not None and buffer.kind != "scratch":
                address, stride = self.address(buffer, place)
                if stride is not None and is_one(stride):
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
        return what.data if getattr(what, "op", None) == "load" and self.varies(what) and not what.args else (None, None)

    def _either(self, x, before, y, after):
        """x where the current block was reached from the block `before`, y where from `after`."""
        phi = self.f.phi(x.type)
        self.f.incoming(phi, x, before)
        self.f.incoming(phi, y, after)
        return phi

    def _slot(self, what, buffer):
        """Room on the stack for the lanes of a load or store."""
        if what not in self.slots_of:
            self.slots_of[what] = self.f.alloca(vector_type(vectormath.memory_type(buffer.dtype), self.lanes), 1)
        return self.slots_of[what]

    def _copy(self, buffer, source, target, stride=1, inwards=True):
        """Copy the elements that there are, fewer than `width`, from every `stride`-th place to neighbours: to the stack if `inwards`."""
        f, element = self.f, vectormath.memory_type(buffer.dtype)
        type = vector_type(element, self.lanes)
        if inwards and is_one(stride) and host().loads_under_mask(buffer.dtype.itemsize):
            f.store(f.load_where(self._mask(), type, source), target)
            return
        if not inwards and host().stores_under_mask:
            f.store_where(self._mask(), f.load(type, source), target)
            return
        with f.loop(0, self.left) as k:
            x = f.load(element, f.element(source, element, f.mul(k, stride)))
            f.store(x, f.element(target, element, k))

    def _strided_lanes(self, buffer, address, stride):
        f, element = self.f, vectormath.memory_type(buffer.dtype)
        x = f.of(0, vector_type(element, self.lanes))
        for lane in range(self.lanes):
            x = f.insert(x, f.load(element, address), lane)
            address = f.element(address, element, stride)
        return x

    def _mask(self, first=0, lanes=None):
        """Which lanes there are in a partial vector: of so many from the `first` on, or of all."""
        f, lanes = self.f, lanes or self.lanes
        name = "mask", f.block, first, lanes
        if name not in self.values[-1]:
            left = f.splat(f.convert("trunc", self.left, "i32"), lanes)
            self.values[-1][name] = f.compare("slt", reducing.steps("i32", lanes, first), left)
        return self.values[-1][name]

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
                    self.in_lanes(e) if spread and (user is None or user.op not in ("load", "index")) else self.value(e)
            else:
                pending.extend((a, e, unsure) for a in inputs_of(e))

    def _reads(self, e):
        """Whether an expression reads memory, when no value of it is at hand."""
        return self.known(e) is None and (e.op == "load" or any(self._reads(a) for a in inputs_of(e)))

    def _in_scratch(self, e):
        return e.op == "load" and e.data[0].kind == "scratch"

    def _open(self, a):
        self.registers[a] = reducing.begun(self.f, a.name, a.dtype, a.lanes)
        self.done.discard(a)

    def _accumulate(self, s):
        """Combine a vector into an accumulator, LANES at a time."""
        f, a, x = self.f, s.accumulator, self.in_lanes(s.expression)
        first = None if s.position is None else self.first_index(s.position)
        parts = []
        for lane in range(0, self.lanes, LANES):
            part = [x if self.lanes == LANES else f.shuffle(x, x, range(lane, lane + LANES))]
            if first is not None:
                part.append(f.splat(f.of(f.add(first, lane), "i64"), LANES))
            parts.append(part)
        before = self.registers[a]
        after = [before]
        for part in parts:
            after.append(reducing.combine(f, a.name, a.dtype, after[-1], part))
        self.registers[a] = after[-1]

        def finish():
            registers = before
            for n, part in enumerate(parts):
                mask = self._mask(n * LANES, LANES)
                new = after[1] if n == 0 else reducing.combine(f, a.name, a.dtype, registers, part)
                registers = [f.select(mask, x, y) for x, y in zip(new, registers)]
            self.registers[a] = registers
        self.partial.append(finish)

    def _close(self, a):
        self.registers[a] = reducing.folded(self.f, a.name, a.dtype, self.registers[a], LANES)
        self.done.add(a)

    def _store(self, s):
        f, dtype = self.f, s.buffer.dtype
        x = self.in_lanes(s.expression) if self.vector is not None else self.value(s.expression)
        x = vectormath.store_convert(f, x, dtype)
        if s in self.streaming:
            past, through, done = f.label("past"), f.label("through"), f.label("stored")
            f.branch_if(f.binary("and", self.streaming[s], self.full), past, through)
            f.start(past)
            f.store(x, self.staged[s], _LINE, past_caches=True)
            f.branch(done)
            f.start(through)
            f.store(x, self.staged[s])
            f.branch(done)
            f.start(done)
            return
        if s in self.staged:
            f.store(x, self.staged[s])
            return
        address, stride = self.address(s.buffer, s.place)
        if self.vector is None or s.buffer.kind == "scratch":  # scratch has room for whole vectors
            f.store(x, address)
            return
        slot, element = self._slot(s, s.buffer), vectormath.memory_type(dtype)
        f.store(x, slot)
        count = f.select(self.full, self.lanes, self.left)
        if stride is None:
            offsets = f.alloca("i64", self.lanes)
            f.store(self.lane_offsets(self.offset(s.place)[0], s.place), offsets)
            address = self.pointer(s.buffer, s.place)
        with f.loop(0, count) as k:
            there = f.mul(k, stride) if stride is not None else f.load("i64", f.element(offsets, "i64", k))
            f.store(f.load(element, f.element(slot, element, k)), f.element(address, element, there))

    # Tiles

    def _transpose(self, s):
        buffer, place = s.load.data
        self.places[s.row], self.places[s.column] = starts = [self.edges[axis][0] for axis in (s.row, s.column)]
        address, _ = self.address(buffer, place)
        sizes = [self.f.binary("sub", self.edges[axis][1], start) for axis, start in zip((s.row, s.column), starts)]
        stride = self.factor(place, s.column, place.coefficient(s.column))
        transpose(self.f, buffer.dtype.itemsize, address, stride, self.pointer(s.tile, Affine()), s.tile.shape[1], *sizes, s.is_mirrored)

    # Expressions

    def varies(self, e):
        return self.vector is not None and self.vector in e.axes

    def result(self, accumulator):
        return self.registers[accumulator][-1]

    def existing(self, buffer):
        return None if buffer.kind == "scratch" else self._mask()  # scratch has room for whole vectors

    def load(self, e):
        if e not in self.staged:
            return super().load(e)
        x = self.staged[e]
        return self.f.load(vector_type(vectormath.memory_type(e.data[0].dtype), self.lanes), x) if x.type == "ptr" else x


def _accumulators(body):
    """The accumulators that a loop's body combines into, unless it opens them itself."""
    found, own = {}, {s.accumulator for s in body if isinstance(s, Open)}
    for s in body:
        if isinstance(s, (Accumulate, Carry)):
            found[s.accumulator] = None
        elif isinstance(s, Loop):
            found.update(dict.fromkeys(_accumulators(s.body)))
    return [a for a in found if a not in own]
