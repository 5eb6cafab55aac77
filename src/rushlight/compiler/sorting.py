"""A stable sort of rows as a kernel: the places of the elements in ascending or descending order, of all or of the first ones.

    3.0 -1.0 nan     ->     keys that order as unsigned integers, each with its place     ->     1 0 2

A float's bits, turned so that they order like the numbers, with -0 as 0 and NaN above all; descending order takes their complement, so
that equal elements stay in order.  Rows up to SHORT are sorted by insertion, longer ones byte by byte from the lowest (radix
sort), where a byte that is the same in the whole row costs nothing.  A key of up to 32 bits shares one word with its place.

Where the first `count` are wanted, what cannot be among them is passed over, many elements at a time:

    limit = none
    for 16 elements x:  if some x < limit:  keep those;  if there are 2 count of them: sort them, drop the last, limit = the last left

One task takes some rows; what it sorts lies in its thread's scratch memory, twice.  Start with `Sort`.
"""
from ..ir.extents import maximum, product
from .expressions import is_int, same
from .lanes import Lanes, any_lane
from .llvmir import Function, constant, lanes_of, module_text, vector_type
from .loops import LANES, TASK_ELEMENTS, Slots
from .native.target import host

SHORT = 64


def _words(dtype):
    return 1 if dtype.itemsize <= 4 else 2


class Sort:
    """One argsort over buffers: `canonical()` gives text and slots, `emit()` the module."""

    def __init__(self, node, x, result):
        axis, self.descending = node.attributes
        self.dtype, self.x, self.result = x.dtype, x, result
        self.axis, self.count, self.length = axis % node.ndim, node.shape[axis], node.inputs[0].shape[axis]
        self.all = same(self.count, self.length)
        self.room = self.length if self.all else 2 * self.count + LANES  # records that are held
        self.scratch_bytes = 16 * _words(x.dtype) * self.room
        self.outer = []  # (extent, stride of x, stride of the result), neighbours without a gap as one
        for d, n in enumerate(node.shape):
            if d == self.axis or is_int(n, 1):
                continue
            strides = x.strides[d], result.strides[d]
            if self.outer and all(same(old, n * new) for old, new in zip(self.outer[-1][1:], strides)):
                self.outer[-1] = self.outer[-1][0] * n, *strides
            else:
                self.outer.append((n, *strides))
        self.rows = product(n for n, *_ in self.outer)
        self.group = maximum(1, TASK_ELEMENTS // self.length) if not is_int(self.length, 0) else 1
        self.tasks = (self.rows + (self.group - 1)) // self.group

    def canonical(self):
        slots = Slots()
        for name, buffer in (("x", self.x), ("result", self.result)):
            slots.once(name, "pointer", buffer, 0)
        for name in ("length", "count", "room"):
            slots.number(name, getattr(self, name))
        slots.number("rows", self.rows)
        slots.number("group", self.group)
        slots.number("x stride", self.x.strides[self.axis])
        slots.number("result stride", self.result.strides[self.axis])
        for i, numbers in enumerate(self.outer):
            for what, number in zip(("extent", "x", "result"), numbers):
                slots.number((what, i), number)
        order = "descending" if self.descending else "ascending"
        return f"sort {self.dtype.name} {order} {'all' if self.all else 'the first'} outer {len(self.outer)}", slots

    def emit(self, slots, name="kernel"):
        return module_text([_Writer(self, slots, name).function()])


class _Writer:
    """The function.  A record is a word, key above place, or two words, key and place."""

    def __init__(self, sort, slots, name):
        self.sort, self.slots = sort, slots
        self.f = Function(name, [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")],
                          attributes=host().function_attributes)
        self.words, self.bits = _words(sort.dtype), 8 * sort.dtype.itemsize
        self.digits, self.low = sort.dtype.itemsize, 32 if self.words == 1 else 0
        # of those who choose the first: how many records are held, the key that comes too late (and whether there is one), where they
        # are held, and where there is room to sort them
        self._variables = [self.f.alloca(type) for type in ("i64", "i64", "i64", "ptr", "ptr")]

    def argument(self, name, type="i64"):
        return self.f.load(type, self.f.element(self.f.parameters[0], "i64", self.slots.once(name, None)))

    def function(self):
        f = self.f
        _, begin, end, here = f.parameters
        x, result = (self.argument(name, "ptr") for name in ("x", "result"))
        self.length, self.count, self.room = (self.argument(name) for name in ("length", "count", "room"))
        rows, group = self.argument("rows"), self.argument("group")
        x_stride, result_stride = self.argument("x stride"), self.argument("result stride")
        outer = [[self.argument((what, i)) for what in ("extent", "x", "result")] for i in range(len(self.sort.outer))]
        self.counts = f.alloca("i64", 256 * self.digits)
        there = f.element(here, "i64", f.mul(self.room, self.words))
        choose = self._all_in_order if self.sort.all else self._first_in_order
        first, last = f.binary("mul", begin, group), f.binary("mul", end, group)
        last = f.select(f.compare("slt", last, rows), last, rows)
        with f.loop(first, last) as row:
            x_at, result_at, rest = 0, 0, row
            for i, (extent, x_step, result_step) in reversed(list(enumerate(outer))):
                index = f.binary("urem", rest, extent) if i else rest
                rest = f.binary("udiv", rest, extent) if i else rest
                x_at, result_at = f.add(x_at, f.mul(index, x_step)), f.add(result_at, f.mul(index, result_step))
            in_order = choose(f.element(x, f"i{self.bits}", x_at), x_stride, here, there)
            with f.loop(0, self.count) as i:
                f.store(self._place(in_order, i), f.element(result, "i64", f.add(result_at, f.mul(i, result_stride))))
        f.ret()
        return f

    def _all_in_order(self, x, stride, here, there):
        """The pointer to the records of a row in order."""
        f = self.f
        with f.loop(0, self.length) as i:
            self._store(here, i, self._key(self._element(x, stride, i)), i)
        return self._sorted(here, there, self.length)

    def _first_in_order(self, x, stride, here, there):
        """The pointer to those of the first `count`."""
        f, (held, limit, limited, at, free) = self.f, self._variables
        for variable, value in ((held, 0), (limit, 0), (limited, 0)):
            f.store(constant("i64", value), variable)
        f.store(here, at)
        f.store(there, free)
        neighbours = f.compare("eq", stride, 1)
        with f.loop(0, self.length, LANES) as start:
            end = f.add(start, LANES)
            end = f.select(f.compare("slt", end, self.length), end, self.length)
            with f.when(self._promises(x, stride, neighbours, start)):
                with f.loop(start, end) as i:
                    key = self._key(self._element(x, stride, i))
                    with f.when(self._is_before(key)):
                        n = f.load("i64", held)
                        self._store(f.load("ptr", at), n, key, i)
                        f.store(f.add(n, 1), held)
                with f.when(f.compare("sgt", f.add(f.load("i64", held), LANES), self.room)):
                    self._put_in_order()
                    last = self._record(f.load("ptr", at), f.binary("sub", self.count, 1))[0]
                    f.store(f.binary("lshr", last, 32) if self.words == 1 else last, limit)
                    f.store(self.count, held)
                    f.store(constant("i64", 1), limited)
        self._put_in_order()
        return f.load("ptr", at)

    def _put_in_order(self):
        """Sort the records that are held."""
        f, (held, _, _, at, free) = self.f, self._variables
        here, there = f.load("ptr", at), f.load("ptr", free)
        in_order = self._sorted(here, there, f.load("i64", held))
        f.store(in_order, at)
        f.store(f.select(f.compare("eq", in_order, here), there, here), free)

    def _is_before(self, key):
        """Whether an element, or one of several, comes before the limit, if there is one yet."""
        f, (_, limit, limited, *_) = self.f, self._variables
        latest = f.load("i64", limit)
        if lanes_of(key.type) > 1:
            latest = f.splat(latest if self.bits == 64 else f.convert("trunc", latest, f"i{self.bits}"), LANES)
        before = any_lane(Lanes(f, f.compare("ult", key, latest)))
        return f.binary("or", before, f.compare("eq", f.load("i64", limited), 0))

    def _promises(self, x, stride, neighbours, start):
        """Whether the elements from `start` on have to be looked at one by one: where they lie side by side, they are asked all at once."""
        f = self.f
        before, ask, done = f.block, f.label("ask"), f.label("asked")
        whole = f.compare("sle", f.add(start, LANES), self.length)
        f.branch_if(f.binary("and", neighbours, whole), ask, done)
        f.start(ask)
        some = self._is_before(self._turned(f.load(vector_type(f"i{self.bits}", LANES), self._element(x, 1, start), self.bits // 8)))
        after = f.block
        f.branch(done)
        f.start(done)
        result = f.phi("i1")
        f.incoming(result, f.of(True, "i1"), before)
        f.incoming(result, some, after)
        return result

    def _element(self, x, stride, i):
        return self.f.element(x, f"i{self.bits}", self.f.mul(i, stride))

    def _key(self, address):
        """An element as a 64-bit integer that orders without sign."""
        return self.f.convert("zext", self._turned(self.f.load(f"i{self.bits}", address)), "i64")

    def _turned(self, x):
        """The bits of an element, or of several, as integers that order without sign."""
        f, dtype, type, sign = self.f, self.sort.dtype, x.type, 1 << (self.bits - 1)
        if dtype.kind == "f":
            magnitude = f.binary("and", x, sign - 1)
            infinity = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52}[dtype.name]
            x = f.select(f.compare("eq", magnitude, 0), magnitude, x)
            turned = f.select(f.compare("slt", x, 0), f.binary("xor", x, -1), f.binary("or", x, sign))
            x = f.select(f.compare("ugt", magnitude, infinity), constant(type, -1), turned)
        elif dtype.kind == "i":
            x = f.binary("xor", x, sign)
        return f.binary("xor", x, -1) if self.sort.descending else x

    # Records

    def _at(self, base, i):
        return self.f.element(base, "i64", self.f.mul(i, self.words))

    def _store(self, base, i, key, place):
        f, address = self.f, self._at(base, i)
        if self.words == 1:
            f.store(f.binary("or", f.binary("shl", key, 32), place), address)
        else:
            f.store(key, address)
            f.store(place, f.element(address, "i64", 1))

    def _record(self, base, i):
        address = self._at(base, i)
        return [self.f.load("i64", self.f.element(address, "i64", w)) for w in range(self.words)]

    def _put(self, base, i, record):
        address = self._at(base, i)
        for w, word in enumerate(record):
            self.f.store(word, self.f.element(address, "i64", w))

    def _place(self, base, i):
        record = self._record(base, i)
        return self.f.binary("and", record[0], 0xFFFFFFFF) if self.words == 1 else record[1]

    # Sorting

    def _sorted(self, here, there, length):
        """Sort so many records; the pointer to where they are then."""
        f = self.f
        short, long, done = f.label("short"), f.label("long"), f.label("sorted")
        f.branch_if(f.compare("sle", length, SHORT), short, long)
        f.start(short)
        self._insert(here, length)
        after_short = f.block
        f.branch(done)
        f.start(long)
        final = self._radix(here, there, length)
        after_long = f.block
        f.branch(done)
        f.start(done)
        result = f.phi("ptr")
        f.incoming(result, here, after_short)
        f.incoming(result, final, after_long)
        return result

    def _insert(self, base, length):
        f = self.f
        with f.loop(1, length) as i:
            record = self._record(base, i)
            look, move, rest, before = f.label("look"), f.label("move"), f.label("rest"), f.block
            compare = f.label("compare")
            f.branch(look)
            f.start(look)
            hole = f.phi("i64")
            f.incoming(hole, i, before)
            f.branch_if(f.compare("sgt", hole, 0), compare, rest)
            f.start(compare)
            left = f.binary("sub", hole, 1)
            other = self._record(base, left)
            f.branch_if(f.compare("ugt", other[0], record[0]), move, rest)
            f.start(move)
            self._put(base, hole, other)
            f.incoming(hole, left, f.block)
            f.branch(look)
            f.start(rest)
            self._put(base, hole, record)

    def _digit(self, word, shift):
        return self.f.binary("and", self.f.binary("lshr", word, shift), 255)

    def _radix(self, here, there, length):
        f, counts = self.f, self.counts
        with f.loop(0, 256 * self.digits) as i:
            f.store(constant("i64", 0), f.element(counts, "i64", i))
        with f.loop(0, length) as i:
            word = self._record(here, i)[0]
            for d in range(self.digits):
                count = f.element(counts, "i64", f.add(self._digit(word, self.low + 8 * d), 256 * d))
                f.store(f.binary("add", f.load("i64", count), 1), count)
        with f.loop(0, self.digits, carried=[here, there]) as (d, pointers):
            source, target = pointers
            shift, starts = f.add(f.binary("mul", d, 8), self.low), f.element(counts, "i64", f.binary("mul", d, 256))
            byte = self._digit(self._record(source, constant("i64", 0))[0], shift)
            constant_byte = f.compare("eq", f.load("i64", f.element(starts, "i64", byte)), length)
            with f.when(f.binary("xor", constant_byte, True)):
                with f.loop(0, 256, carried=[constant("i64", 0)]) as (b, totals):
                    start = f.element(starts, "i64", b)
                    count = f.load("i64", start)
                    f.store(totals[0], start)
                    totals.next = [f.binary("add", totals[0], count)]
                with f.loop(0, length) as i:
                    record = self._record(source, i)
                    start = f.element(starts, "i64", self._digit(record[0], shift))
                    to = f.load("i64", start)
                    self._put(target, to, record)
                    f.store(f.binary("add", to, 1), start)
            pointers.next = [f.select(constant_byte, source, target), f.select(constant_byte, target, source)]
        return pointers.final[0]
