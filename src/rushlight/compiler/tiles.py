"""Expressions in the middle of a matrix product: evaluated for a few neighbours of one row, wherever the tile loops are.

    for each row of a finished tile:
        for each vector of it:             ->   Tiles.run: y[row, column ...] = relu(sums + b[column ...])

Unlike a nest (emit.py), the loops are those of contraction.py, which says where it is, how many lanes there are, and, at a ragged edge,
which of them exist.  What depends on no place is computed once, in front of the loops.  Start with `Tiles.run`.
"""
from ..ir import dtypes
from . import vectormath
from .expressions import is_int, key
from .llvmir import Value, element_type, short_name, vector_type
from .loops import inputs_of

_ROWS_AHEAD = 8


class Tiles:
    """Writes the statements of a nest into the tile loops of function `f`, whose current block is in front of them.

    `slots` are those of the nest's canonical form, `args` the pointer to their values."""

    def __init__(self, f, nest, slots, args):
        self.f, self.nest, self.slots = f, nest, slots
        self.dummy = args
        self.row = None  # the axis of rows, which come one after the other
        self.arguments = {i: self._argument(args, i, entry) for i, entry in enumerate(slots.entries)}
        self.fixed = {}
        self.places, self.vector, self.lanes, self.mask, self.results = {}, None, 1, None, {}
        self.values = self.fixed
        for e in nest.expressions():
            if not e.axes and not e.results:
                self.value(e)

    def _argument(self, args, i, entry):
        address = self.f.element(args, "i64", i)
        if entry[0] == "pointer":
            return self.f.load("ptr", address)
        if entry[0] == "scalar" and entry[2] == "f":
            return self.f.load("double", address)
        x = self.f.load("i64", address)
        return self.f.compare("ne", x, 0) if entry[0] == "scalar" and entry[2] == "b" else x

    def split(self, axes, number):
        """The index of each axis, given their number in row-major order."""
        f, rest, places = self.f, number, {}
        for n, axis in reversed(list(enumerate(axes))):
            extent = self.arguments[self.slots.extent(axis)]
            places[axis] = f.binary("urem", rest, extent) if n else rest
            rest = f.binary("udiv", rest, extent) if n else rest
        return places

    def run(self, statements, places, vector, lanes, mask, results):
        """Do the statements at `places` (axis -> index) and the `lanes` - 1 places after it along the axis `vector`; where there
        is a `mask`, only those it names.  `results` gives the Values of accumulators."""
        self.begin(places, vector, lanes, mask, results)
        for s in statements:
            self._store(s)

    def begin(self, places, vector, lanes, mask=None, results=()):
        self.places, self.vector, self.lanes, self.mask, self.results = places, vector, lanes, mask, dict(results)
        self.values = {}

    def value(self, e):
        """The Value of an expression: one in each lane where it varies among them, else a single one."""
        stack = [e]
        while stack:
            top = stack[-1]
            if top in self.values or top in self.fixed:
                stack.pop()
                continue
            waiting = [a for a in inputs_of(top) if a not in self.values and a not in self.fixed]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            self.values[top] = self._compute(top)
        return self.values[e] if e in self.values else self.fixed[e]

    def in_lanes(self, e):
        """The Value of an expression in every lane."""
        x = self.value(e)
        return x if self._varies(e) else self.f.splat(x, self.lanes)

    def _varies(self, e):
        return self.lanes > 1 and (self.vector in e.axes or not e.results.isdisjoint(self.results))  # results come by lanes, be it of one column

    def _compute(self, e):
        f = self.f
        if e.op == "load":
            return self._load(e)
        if e.op == "constant":
            number = float(e.data) if e.dtype.kind == "f" else bool(e.data) if e.dtype is dtypes.bool_ else int(e.data)
            return f.of(number, vectormath.register_type(e.dtype))
        if e.op == "scalar":
            return self.arguments[self.slots.scalar(e.data, e.dtype)]
        if e.op == "extent":
            return self.arguments[self.slots.number(("extent", key(e.data)), None)]
        if e.op == "index":
            offset, stride = self._offset(e.data)
            offset = f.add(self.arguments[self.slots.constant(e.data)], offset)
            return self._lane_offsets(offset, e.data) if self._varies(e) else offset
        if e.op == "result":
            return self.results[e.data]
        inputs = [self.in_lanes(a) if self._varies(e) else self.value(a) for a in e.args]
        if e.op in ("cast", "bitcast"):
            return getattr(vectormath, e.op)(f, inputs[0], e.args[0].dtype, e.dtype)
        return vectormath.elementwise(f, e.op, inputs, e.args[-1].dtype)

    def _factor(self, place, what, c):
        return 1 if is_int(c, 1) else self.arguments[self.slots.coefficient(place, what, c)]

    def _offset(self, place):
        """(elements from the pointer to the first lane, the stride from lane to lane: 0, 1, a Value, or None where it is computed)."""
        f, offset, stride = self.f, 0, 0
        for axis, c in self.nest.terms(place):
            factor = self._factor(place, axis, c)
            offset = f.add(offset, f.mul(self.places[axis], factor))
            if axis is self.vector and self.lanes > 1:
                stride = factor
        for e, c in place.dynamic:
            if self._varies(e):
                stride = None
            else:
                offset = f.add(offset, f.mul(self.value(e), self._factor(place, e, c)))
        return offset, stride

    def _lane_offsets(self, offset, place):
        f = self.f
        offsets = f.splat(f.of(offset, "i64"), self.lanes)
        steps = Value("<" + ", ".join(f"i64 {i}" for i in range(self.lanes)) + ">", vector_type("i64", self.lanes))
        c = place.coefficient(self.vector)
        if not is_int(c, 0):
            offsets = f.binary("add", offsets, steps if is_int(c, 1) else f.binary(
                "mul", steps, f.splat(self._factor(place, self.vector, c), self.lanes)))
        for e, c in place.dynamic:
            if self._varies(e):
                x = self.value(e)
                step = x if is_int(c, 1) else f.binary("mul", x, f.splat(self._factor(place, e, c), self.lanes))
                offsets = f.binary("add", offsets, step)
        return offsets

    def _there(self, condition=None):
        """The lanes that exist and fulfil a condition: a vector of i1, or None for all."""
        masks = [m for m in (self.mask, None if condition is None else self.in_lanes(condition)) if m is not None]
        return masks[0] if len(masks) == 1 else self.f.binary("and", *masks) if masks else None

    def _load(self, e):
        f, (buffer, place) = self.f, e.data
        element, size = vectormath.memory_type(buffer.dtype), Value(str(buffer.dtype.itemsize), "i32")
        pointer, condition = self.arguments[self.slots.pointer(buffer, place)], e.args[0] if e.args else None
        offset, stride = self._offset(place)
        address = f.element(pointer, element, offset)
        if not self._varies(e):
            if condition is not None:  # where the place does not exist, anything that can be read will do
                address = f.select(self.value(condition), address, self.dummy)
            return vectormath.load_convert(f, f.load(element, address), buffer.dtype)
        type, mask = vector_type(element, self.lanes), self._there(condition)
        neighbours, one_place = (not isinstance(stride, Value) and stride == n for n in (1, 0))
        if neighbours and mask is None:
            x = f.load(type, address)
            self._fetch(address, element, place)
        elif neighbours:
            x = f.intrinsic(f"llvm.masked.load.v{self.lanes}{short_name(element)}.p0", type, address, size, mask, f.of(0, type))
        elif one_place:  # only the condition varies
            some = f.intrinsic(f"llvm.vector.reduce.or.v{self.lanes}i1", "i1", mask)
            x = f.splat(f.load(element, f.select(some, address, self.dummy)), self.lanes)
        else:
            addresses = self._addresses(pointer, element, offset, place)
            x = f.intrinsic(f"llvm.masked.gather.v{self.lanes}{short_name(element)}.v{self.lanes}p0", type, addresses, size,
                            self._all() if mask is None else mask, f.of(0, type))
        return vectormath.load_convert(f, x, buffer.dtype)

    def _fetch(self, address, element, place):
        """Begin to fetch what a row some turns later will read: rows lie too far apart for the processor to guess it."""
        c = 0 if self.row is None else place.coefficient(self.row)
        if not is_int(c, 0):
            ahead = self.f.element(address, element, self.f.mul(self._factor(place, self.row, c), _ROWS_AHEAD))
            self.f.intrinsic("llvm.prefetch.p0", "void", ahead, *(Value(x, "i32") for x in "031"))

    def _all(self):
        return self.f.splat(self.f.of(True, "i1"), self.lanes)

    def _addresses(self, pointer, element, offset, place):
        offsets = self._lane_offsets(offset, place)
        return self.f.value(f"<{self.lanes} x ptr>", f"getelementptr {element}, ptr {pointer.text}, {offsets!r}")

    def _store(self, s):
        f, buffer = self.f, s.buffer
        x = vectormath.store_convert(f, self.in_lanes(s.expression), buffer.dtype)
        element, size = element_type(x.type), Value(str(buffer.dtype.itemsize), "i32")
        pointer = self.arguments[self.slots.pointer(buffer, s.place)]
        offset, stride = self._offset(s.place)
        if self.lanes == 1:
            f.store(x, f.element(pointer, element, offset))
        elif not isinstance(stride, Value) and stride == 1:
            address = f.element(pointer, element, offset)
            if self.mask is None:
                f.store(x, address)
            else:
                f.intrinsic(f"llvm.masked.store.v{self.lanes}{short_name(element)}.p0", "void", x, address, size, self.mask)
        else:
            addresses = self._addresses(pointer, element, offset, s.place)
            f.intrinsic(f"llvm.masked.scatter.v{self.lanes}{short_name(element)}.v{self.lanes}p0", "void", x, addresses, size,
                        self._all() if self.mask is None else self.mask)
