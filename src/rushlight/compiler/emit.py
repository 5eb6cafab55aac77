"""A loop nest as LLVM IR: the walk over its statements that writes what shall be executed.

    for j < n by 16: y[j] = exp(a[j])     ->     one loop of vectors; the last, partial one loads and stores under a mask

The arithmetic is written once for full and partial vectors, as it is what takes LLVM time; only loads, stores and accumulations
have two forms, with a branch that the processor predicts.

No pass runs after this, so what does not change in a loop is computed in front of it here (`_hoist`), and each expression
once in each scope.  A kernel is `void kernel(ptr args, i64 begin, i64 end, ptr scratch)`: tasks begin <= t < end.
Start with `emit`.
"""
from ..ir import dtypes
from . import vectormath
from .llvmir import Function, Value, module_text, vector_type
from .loops import LANES, Accumulate, Carry, Close, Loop, Open, Store, inputs_of

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
        self.vector = None     # the vector axis while we are in its loop
        self.left = self.full = None  # in a vector loop: how many elements there are to come, and whether they fill a vector
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
            elif isinstance(s, Carry):
                self.registers[s.accumulator] = [self.value(s.expression)]
            else:
                self._store(s)

    def _loop(self, loop):
        self._hoist(loop)
        start, end = self.edges[loop.axis]
        if loop.axis is not self.nest.vector:
            self._turns(loop, start, end, 1)
            return
        self.vector = loop.axis
        self._turns(loop, start, end, LANES)
        self.vector = None

    def _turns(self, loop, start, end, step):
        f = self.f
        carried = [(a, i) for a in _accumulators(loop.body) for i in range(len(self.registers[a]))]
        with f.loop(start, end, step, [self.registers[a][i] for a, i in carried]) as turn:
            index, registers = turn if carried else (turn, [])
            for (a, i), value in zip(carried, registers):
                self.registers[a][i] = value
            self.indices[loop.axis] = index
            self.values.append({})
            if step > 1:
                self.left = f.binary("sub", end, index)
                self.full = f.compare("sge", self.left, LANES)
            self._body(loop.body)
            self.values.pop()
            if carried:
                registers.next = [self.registers[a][i] for a, i in carried]
        if carried:
            for (a, i), value in zip(carried, registers.final):
                self.registers[a][i] = value

    def _mask(self):
        """The lanes that there are, in a partial vector."""
        f = self.f
        return f.compare("slt", _steps("i32"), f.splat(f.convert("trunc", self.left, "i32"), LANES))

    def _either(self, full, partial):
        """What `full()` gives in a full vector, and `partial(mask)` in a partial one: Values, or None."""
        f = self.f
        whole, part, done = f.label("full"), f.label("partial"), f.label("either")
        f.branch_if(self.full, whole, part)
        f.start(whole)
        a, after_a = full(), f.block
        f.branch(done)
        f.start(part)
        b, after_b = partial(self._mask()), f.block
        f.branch(done)
        f.start(done)
        if a is None:
            return None
        results = []
        for x, y in zip(a, b):
            phi = f.phi(x.type)
            f.incoming(phi, x, after_a)
            f.incoming(phi, y, after_b)
            results.append(phi)
        return results

    def _hoist(self, loop):
        """Compute what the loop needs but does not change, in front of it."""
        inside = {loop.axis}
        pending = []

        def walk(body):
            for s in body:
                if isinstance(s, Loop):
                    inside.add(s.axis)
                    walk(s.body)
                elif isinstance(s, (Store, Accumulate, Carry)):
                    pending.extend((e, None) for e in s.expressions)
                    if isinstance(s, Store):
                        pending.extend((e, None) for e, _ in s.place.dynamic)
        walk(loop.body)
        seen = set()
        while pending:
            e, user = pending.pop()
            if (e, user is not None and self.nest.vector in user.axes) in seen:
                continue
            seen.add((e, user is not None and self.nest.vector in user.axes))
            if e.axes.isdisjoint(inside):
                if e.results <= self.done and not self._in_scratch(e):
                    spread = self.nest.vector in inside and (user is None or self.nest.vector in user.axes)
                    self._lanes(e) if spread and (user is None or user.op not in ("load", "index")) else self.value(e)
            else:
                pending.extend((a, e) for a in inputs_of(e))

    def _in_scratch(self, e):
        return e.op == "load" and e.data[0].kind == "scratch"

    def _open(self, a):
        element = vectormath.register_type(a.dtype)
        self.registers[a] = [self.f.of(neutral(a.name, a.dtype), vector_type(element, a.lanes))]
        if a.name.startswith("arg"):
            self.registers[a].append(self.f.of(2 ** 63 - 1, vector_type("i64", LANES)))
        self.done.discard(a)

    def _accumulate(self, s):
        a = s.accumulator
        new = [self._lanes(e) for e in s.expressions]
        old, combined = self.registers[a], self._combine(a, self.registers[a], new)
        self.registers[a] = self._either(
            lambda: combined, lambda mask: [self.f.select(mask, new, before) for new, before in zip(combined, old)])

    def _combine(self, a, old, new):
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
        values, lanes = self.registers[a], LANES
        while lanes > 1:
            lanes //= 2
            low = [self.f.shuffle(v, v, range(lanes)) if lanes > 1 else self.f.extract(v, 0) for v in values]
            high = [self.f.shuffle(v, v, range(lanes, 2 * lanes)) if lanes > 1 else self.f.extract(v, 1) for v in values]
            values = self._combine(a, low, high)
        self.registers[a] = list(values)
        self.done.add(a)

    def _store(self, s):
        f, dtype = self.f, s.buffer.dtype
        varies = self.vector is not None
        x = self._lanes(s.expression) if varies else self.value(s.expression)
        x = vectormath.store_convert(f, x, dtype)
        element = vectormath.memory_type(dtype)
        pointer = self.arguments[self.slots.pointer(s.buffer, s.place)]
        offset, stride = self._offset(s.place)
        if not varies:
            f.store(x, f.element(pointer, element, offset))
        elif stride == 1 and not isinstance(stride, Value):
            address, size = f.element(pointer, element, offset), Value(str(dtype.itemsize), "i32")
            self._either(lambda: f.store(x, address), lambda mask: f.intrinsic(
                f"llvm.masked.store.v{LANES}{_short(element)}.p0", "void", x, address, size, mask))
        else:
            addresses = self._addresses(pointer, element, offset, stride, s.place)
            f.intrinsic(f"llvm.masked.scatter.v{LANES}{_short(element)}.v{LANES}p0", "void", x, addresses,
                        Value(str(dtype.itemsize), "i32"), self._mask())

    # Expressions

    def value(self, e):
        """The Value of an expression: LANES of them where it varies along the vector loop we are in, else one."""
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
        spread = self.values[-1][e, "lanes"] = self.f.splat(self.value(e), LANES)
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
            return self.integer(("extent", _extent_key(e.data)))
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
            factor = 1 if isinstance(c, int) and c == 1 else self.arguments[self.slots.coefficient(place, axis, c)]
            offset = f.add(offset, f.mul(self.indices[axis], factor))
            if axis is self.vector:
                stride = factor
        for e, c in place.dynamic:
            factor = 1 if isinstance(c, int) and c == 1 else self.arguments[self.slots.coefficient(place, e, c)]
            if self.varies(e):
                stride = None
            else:
                offset = f.add(offset, f.mul(self.value(e), factor))
        return offset, stride

    def _lane_offsets(self, offset, stride, place):
        """An offset for every lane, where they are not neighbours."""
        f = self.f
        offsets = f.splat(f.of(offset, "i64"), LANES)
        c = place.coefficient(self.vector)
        if not (isinstance(c, int) and c == 0):
            step = _steps("i64")
            if not (isinstance(c, int) and c == 1):
                step = f.binary("mul", step, f.splat(self.arguments[self.slots.coefficient(place, self.vector, c)], LANES))
            offsets = f.binary("add", offsets, step)
        for e, c in place.dynamic:
            if self.varies(e):
                x = self.value(e)
                if not (isinstance(c, int) and c == 1):
                    x = f.binary("mul", x, f.splat(self.arguments[self.slots.coefficient(place, e, c)], LANES))
                offsets = f.binary("add", offsets, x)
        return offsets

    def _addresses(self, pointer, element, offset, stride, place):
        offsets = self._lane_offsets(offset, stride, place)
        return self.f.value(f"<{LANES} x ptr>", f"getelementptr {element}, ptr {pointer.text}, {offsets!r}")

    def _index(self, e):
        offset, stride = self._offset(e.data)
        constant = self.arguments[self.slots.constant(e.data)]
        if not self.varies(e):
            return self.f.add(constant, offset)
        return self._lane_offsets(self.f.add(constant, offset), stride, e.data)

    def _load(self, e):
        f, (buffer, place) = self.f, e.data
        element = vectormath.memory_type(buffer.dtype)
        pointer = self.arguments[self.slots.pointer(buffer, place)]
        offset, stride = self._offset(place)
        condition = e.args[0] if e.args else None
        if not self.varies(e):
            address = f.element(pointer, element, offset)
            if condition is not None:  # where the place does not exist, anything that can be read will do
                address = f.select(self.value(condition), address, self.dummy)
            return vectormath.load_convert(f, f.load(element, address), buffer.dtype)
        type, size = vector_type(element, LANES), Value(str(buffer.dtype.itemsize), "i32")
        here = None if condition is None else self._lanes(condition)

        def mask_of(lanes):
            return lanes if here is None else f.binary("and", lanes, here)
        if not isinstance(stride, Value) and stride == 1:
            address = f.element(pointer, element, offset)

            def masked(mask):
                return [f.intrinsic(f"llvm.masked.load.v{LANES}{_short(element)}.p0", type, address, size, mask, f.of(0, type))]
            x, = self._either(lambda: [f.load(type, address)] if here is None else masked(here), lambda lanes: masked(mask_of(lanes)))
        elif not isinstance(stride, Value) and stride == 0:  # only the condition varies
            some = f.intrinsic(f"llvm.vector.reduce.or.v{LANES}i1", "i1", mask_of(self._mask()))
            x = f.splat(f.load(element, f.select(some, f.element(pointer, element, offset), self.dummy)), LANES)
        else:
            addresses = self._addresses(pointer, element, offset, stride, place)
            x = f.intrinsic(f"llvm.masked.gather.v{LANES}{_short(element)}.v{LANES}p0", type, addresses, size, mask_of(self._mask()),
                            f.of(0, type))
        return vectormath.load_convert(f, x, buffer.dtype)

def combine(f, name, dtype, a, b):
    """One step of a reduction."""
    if dtype is dtypes.bool_:
        return f.binary("or" if name in ("max", "sum") else "and", a, b)
    return vectormath.elementwise(f, _COMBINE[name], [a, b], dtype)


def _compare(f, predicate, dtype, a, b):
    return vectormath.elementwise(f, predicate, [a, b], dtype)


def _steps(element):
    """0, 1, 2 ... in the lanes."""
    return Value("<" + ", ".join(f"{element} {i}" for i in range(LANES)) + ">", vector_type(element, LANES))


def _short(element):
    return {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16"}.get(element, element)


def _accumulators(body):
    """The accumulators that a loop's body combines into."""
    found = {}
    for s in body:
        if isinstance(s, (Accumulate, Carry)):
            found[s.accumulator] = None
        elif isinstance(s, Loop):
            found.update(dict.fromkeys(_accumulators(s.body)))
    return list(found)


def _extent_key(x):
    from .expressions import key
    return ("extent", key(x))[1]
