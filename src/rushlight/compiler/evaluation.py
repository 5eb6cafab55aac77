"""The value of an expression as LLVM IR, wherever the loops around it are and however many neighbours are computed at once.

    b[3 i + j] * 2 + m      b: a vector of `lanes` neighbours along j    loads, conversions
                            2: a constant in every lane                  spread once in its scope
                            m: one number, as it does not vary along j   spread where it meets b

Who derives from it says where we are: a nest that walks its own loops (emit.py), or the tile loops of a product (tiles.py).
Each expression is computed once in each scope, inputs first, so what stands in an outer scope is not computed again in an inner one.
Lanes that do not exist compute what nobody sees; where they would compute an address, they take one that can be read.
Start with `Evaluation.value`.
"""
from ..ir import dtypes
from . import vectormath
from .expressions import is_int, key
from .llvmir import Value, element_type, vector_type
from .loops import expressions_of, inputs_of
from .native.target import host
from .reducing import steps


class Evaluation:
    """Writes expressions of a nest into function `f`.  `slots` are those of the nest's canonical form, `args` the pointer to their values.

    places    axis -> its index, or that of the first lane
    vector    the axis along which lanes are neighbours, while there are any
    lanes     how many
    values    a stack of scopes, expression -> Value; a scalar spread over all lanes is kept under (expression, 'lanes')
    """

    def __init__(self, f, nest, slots, args, scratch=None):
        self.f, self.nest, self.slots = f, nest, slots
        self.args, self.scratch = args, scratch
        self.arguments = [self._argument(i, entry) for i, entry in enumerate(slots.entries)]
        self.places, self.vector, self.lanes, self.values = {}, None, 1, [{}]

    def _argument(self, i, entry):
        f = self.f
        address = f.element(self.args, "i64", i)
        if entry[0] == "pointer":
            scratch = getattr(entry[1], "kind", None) == "scratch"
            return f.element(self.scratch, "i8", f.load("i64", address)) if scratch else f.load("ptr", address)
        if entry[0] == "scalar" and entry[2] == "f":
            return f.load("double", address)
        x = f.load("i64", address)
        return f.compare("ne", x, 0) if entry[0] == "scalar" and entry[2] == "b" else x

    def integer(self, name):
        """The argument of this name."""
        return self.arguments[self.slots.number(name, None)]

    def split(self, axes, number):
        """The index of each axis, given their number in row-major order."""
        f, rest, places = self.f, number, {}
        for n, axis in reversed(list(enumerate(axes))):
            extent = self.arguments[self.slots.extent(axis)]
            places[axis] = f.binary("urem", rest, extent) if n else rest
            rest = f.binary("udiv", rest, extent) if n else rest
        return places

    # What those who derive from it say

    def varies(self, e):
        """Whether an expression differs from lane to lane."""
        raise NotImplementedError

    def result(self, accumulator):
        """The Value of a reduction, or of an accumulator that goes from turn to turn."""
        raise NotImplementedError

    def existing(self, buffer):
        """Which lanes exist, as far as reading this buffer asks for it: a vector of i1, or None for all."""
        raise NotImplementedError

    # Values

    def known(self, e):
        """The Value of an expression that some scope has, else None."""
        for scope in reversed(self.values):
            if e in scope:
                return scope[e]
        return None

    def value(self, e):
        """The Value of an expression: one in each lane where it varies among them, else a single one."""
        stack = [e]
        while stack:
            top = stack[-1]
            if self.known(top) is not None:
                stack.pop()
                continue
            waiting = [a for a in inputs_of(top) if self.known(a) is None]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            self.values[-1][top] = self._compute(top)
        return self.known(e)

    def read_before(self, store, later):
        """Read what later statements need of memory that this one writes over."""
        for s in later if store.buffer.storage is not None else ():
            for e in expressions_of([s]):
                if e.op == "load" and e.data[0].storage == store.buffer.storage:
                    self.value(e)

    def in_lanes(self, e):
        """The Value of an expression in every lane."""
        if self.varies(e):
            return self.value(e)
        spread = self.known((e, "lanes"))
        if spread is None:
            if e.op == "constant":
                spread = self.f.everywhere(vector_type(vectormath.register_type(e.dtype), self.lanes), _number(e))
            else:
                spread = self.f.splat(self.value(e), self.lanes)
            self.values[-1][e, "lanes"] = spread
        return spread

    def _compute(self, e):
        f = self.f
        if e.op == "load":
            return vectormath.load_convert(f, self.load(e), e.data[0].dtype)
        if e.op == "constant":
            return f.of(_number(e), vectormath.register_type(e.dtype))
        if e.op == "scalar":
            return self.arguments[self.slots.scalar(e.data, e.dtype)]
        if e.op == "extent":
            return self.integer(("extent", key(e.data)))
        if e.op == "index":
            first = self.first_index(e)
            return self.lane_offsets(first, e.data) if self.varies(e) else first
        if e.op in ("result", "running"):
            return self.result(e.data)
        inputs = [self.in_lanes(a) if self.varies(e) else self.value(a) for a in e.args]
        if e.op == "cast":
            return vectormath.cast(f, inputs[0], e.args[0].dtype, e.dtype)
        if e.op == "bitcast":
            return vectormath.bitcast(f, inputs[0], e.args[0].dtype, e.dtype)
        return vectormath.elementwise(f, e.op, inputs, e.args[-1].dtype)

    # Places

    def factor(self, place, what, c):
        """The coefficient of an axis or a computed integer in a place: 1, or a Value."""
        return 1 if is_int(c, 1) else self.arguments[self.slots.coefficient(place, what, c)]

    def offset(self, place):
        """(elements from the pointer to the first lane, the stride along the lanes: 0, 1, or a Value; None where it is computed)."""
        f, offset, stride = self.f, 0, 0
        for axis, c in self.nest.terms(place):
            factor = self.factor(place, axis, c)
            offset = f.add(offset, f.mul(self.places[axis], factor))
            if axis is self.vector:
                stride = factor
        for e, c in place.dynamic:
            if self.varies(e):
                stride = None
            else:
                offset = f.add(offset, f.mul(self.value(e), self.factor(place, e, c)))
        return offset, stride

    def pointer(self, buffer, place):
        """The pointer that the offsets of a place count from."""
        return self.arguments[self.slots.pointer(buffer, place)]

    def address(self, buffer, place):
        """(address of the first lane, stride), as `offset` gives it."""
        f, element, start = self.f, vectormath.memory_type(buffer.dtype), self.known((buffer, place))
        if start is not None:
            along = self.nest.vector
            stride = self.factor(place, along, place.coefficient(along))
            return f.element(start, element, f.mul(self.places[along], stride)), stride
        offset, stride = self.offset(place)
        return f.element(self.pointer(buffer, place), element, offset), stride

    def note_start(self, buffer, place):
        """Compute where a place lies at index 0 of the vector axis, in front of the loop over it: `address` counts from there then."""
        along = self.nest.vector
        if not place.dynamic and not is_int(place.coefficient(along), 0) and self.known((buffer, place)) is None:
            self.places[along] = 0
            self.values[-1][buffer, place] = self.address(buffer, place)[0]

    def first_index(self, e):
        """The index of the first lane, of an int64 expression that counts places."""
        if e.op != "index":
            return self.value(e)
        return self.f.add(self.arguments[self.slots.constant(e.data)], self.offset(e.data)[0])

    def lane_offsets(self, first, place):
        """An offset for every lane, given that of the first one without what is computed for each."""
        f = self.f
        offsets = f.splat(f.of(first, "i64"), self.lanes)
        c = place.coefficient(self.vector)
        if not is_int(c, 0):
            offsets = f.binary("add", offsets, self._times(steps("i64", self.lanes), place, self.vector, c))
        for e, c in place.dynamic:
            if self.varies(e):
                offsets = f.binary("add", offsets, self._times(self.value(e), place, e, c))
        return offsets

    def _times(self, x, place, what, c):
        return x if is_int(c, 1) else self.f.binary("mul", x, self.f.splat(self.factor(place, what, c), self.lanes))

    def addresses(self, buffer, place):
        """The address of every lane."""
        offsets = self.lane_offsets(self.offset(place)[0], place)
        text = f"getelementptr {vectormath.memory_type(buffer.dtype)}, ptr {self.pointer(buffer, place).text}, {offsets!r}"
        return self.f.value(f"<{self.lanes} x ptr>", text)

    # Loads

    def load(self, e):
        """What lies at the place of a load, as it lies in memory."""
        f, (buffer, place) = self.f, e.data
        condition = e.args[0] if e.args else None
        element = vectormath.memory_type(buffer.dtype)
        if self.varies(e):
            return self._load_lanes(buffer, place, element, condition)
        address, _ = self.address(buffer, place)
        if condition is not None:  # where the place does not exist, anything that can be read will do
            address = f.select(self.value(condition), address, self.args)
        return f.load(element, address)

    def _load_lanes(self, buffer, place, element, condition):
        f, type = self.f, vector_type(element, self.lanes)
        address, stride = self.address(buffer, place)
        mask = self.existing(buffer)
        if condition is not None:
            mask = self.in_lanes(condition) if mask is None else f.binary("and", mask, self.in_lanes(condition))
        if _is_number(stride, 0) and mask is not None:  # only the condition varies
            some = f.intrinsic(f"llvm.vector.reduce.or.v{self.lanes}i1", "i1", mask)
            return f.splat(f.load(element, f.select(some, address, self.args)), self.lanes)
        if is_one(stride) and mask is None:
            return self.load_neighbours(type, address, element, place)
        if is_one(stride) and host().loads_under_mask(buffer.dtype.itemsize):
            return f.load_where(mask, type, address)
        return self._gather(mask, type, self.addresses(buffer, place))

    def load_neighbours(self, type, address, element, place):
        """All lanes, from neighbouring places."""
        return self.f.load(type, address)

    def _gather(self, mask, type, addresses):
        f = self.f
        if host().level == "avx512":
            return f.gather(f.splat(f.of(True, "i1"), self.lanes) if mask is None else mask, type, addresses)
        if mask is not None:
            addresses = f.select(mask, addresses, f.splat(self.args, self.lanes))
        x = f.of(0, type)
        for lane in range(self.lanes):
            x = f.insert(x, f.load(element_type(type), f.extract(addresses, lane)), lane)
        return x


def is_one(stride):
    """Whether lanes are neighbours in memory."""
    return _is_number(stride, 1)


def _is_number(stride, number):
    return not isinstance(stride, Value) and stride == number


def _number(e):
    if e.dtype.kind == "f":
        return float(e.data)
    return bool(e.data) if e.dtype is dtypes.bool_ else int(e.data)
