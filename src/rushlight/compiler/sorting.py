"""A stable sort of rows as a kernel: the places of the elements in ascending or descending order.

    3.0 -1.0 nan     ->     keys that order as unsigned integers, each with its place     ->     1 0 2

A float's bits, turned so that they order like the numbers, with -0 as 0 and NaN above all; descending order takes their complement, so
that equal elements stay in order.  Rows up to SHORT are sorted by insertion, longer ones byte by byte from the lowest (radix
sort), where a byte that is the same in the whole row costs nothing.  A key of up to 32 bits shares one word with its place.
One task takes some rows.  Start with `Sort`.
"""
from ..ir.extents import maximum, product
from .expressions import is_int, same
from .llvmir import Function, constant, module_text
from .loops import TASK_ELEMENTS, Slots
from .native.target import host

SHORT = 64


def work_slots(node):
    """How many 64-bit words of memory a sort needs: every row twice, as words or pairs of words."""
    return 2 * _words(node.inputs[0].dtype) * product(node.shape)


def _words(dtype):
    return 1 if dtype.itemsize <= 4 else 2


class Sort:
    """One argsort over buffers: `canonical()` gives text and slots, `emit()` the module."""

    scratch_bytes = 0

    def __init__(self, node, x, result, work):
        axis, self.descending = node.attributes
        self.dtype, self.x, self.result, self.work = x.dtype, x, result, work
        self.axis, self.length = axis % node.ndim, node.shape[axis]
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
        for name, buffer in (("x", self.x), ("result", self.result), ("work", self.work)):
            slots.once(name, "pointer", buffer, 0)
        slots.number("length", self.length)
        slots.number("rows", self.rows)
        slots.number("group", self.group)
        slots.number("x stride", self.x.strides[self.axis])
        slots.number("result stride", self.result.strides[self.axis])
        for i, numbers in enumerate(self.outer):
            for what, number in zip(("extent", "x", "result"), numbers):
                slots.number((what, i), number)
        order = "descending" if self.descending else "ascending"
        return f"sort {self.dtype.name} {order} outer {len(self.outer)}", slots

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

    def argument(self, name, type="i64"):
        return self.f.load(type, self.f.element(self.f.parameters[0], "i64", self.slots.once(name, None)))

    def function(self):
        f = self.f
        _, begin, end, _ = f.parameters
        x, result, work = (self.argument(name, "ptr") for name in ("x", "result", "work"))
        self.length, rows, group = self.argument("length"), self.argument("rows"), self.argument("group")
        x_stride, result_stride = self.argument("x stride"), self.argument("result stride")
        outer = [[self.argument((what, i)) for what in ("extent", "x", "result")] for i in range(len(self.sort.outer))]
        counts = f.alloca("i64", 256 * self.digits)
        first, last = f.binary("mul", begin, group), f.binary("mul", end, group)
        last = f.select(f.compare("slt", last, rows), last, rows)
        with f.loop(first, last) as row:
            x_at, result_at, rest = 0, 0, row
            for i, (extent, x_step, result_step) in reversed(list(enumerate(outer))):
                index = f.binary("urem", rest, extent) if i else rest
                rest = f.binary("udiv", rest, extent) if i else rest
                x_at, result_at = f.add(x_at, f.mul(index, x_step)), f.add(result_at, f.mul(index, result_step))
            here = f.element(work, "i64", f.mul(f.binary("mul", row, self.length), 2 * self.words))
            there = f.element(here, "i64", f.mul(self.length, self.words))
            with f.loop(0, self.length) as i:
                self._store(here, i, self._key(f.element(x, f"i{self.bits}", f.add(x_at, f.mul(i, x_stride)))), i)
            sorted_at = self._sorted(here, there, counts)
            with f.loop(0, self.length) as i:
                f.store(self._place(sorted_at, i), f.element(result, "i64", f.add(result_at, f.mul(i, result_stride))))
        f.ret()
        return f

    def _key(self, address):
        """An element as an integer that orders without sign."""
        f, dtype, type = self.f, self.sort.dtype, f"i{self.bits}"
        x, sign = f.load(type, address), 1 << (self.bits - 1)
        if dtype.kind == "f":
            magnitude = f.binary("and", x, sign - 1)
            infinity = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF << 52}[dtype.name]
            x = f.select(f.compare("eq", magnitude, 0), magnitude, x)
            turned = f.select(f.compare("slt", x, 0), f.binary("xor", x, -1), f.binary("or", x, sign))
            x = f.select(f.compare("ugt", magnitude, infinity), constant(type, -1), turned)
        elif dtype.kind == "i":
            x = f.binary("xor", x, sign)
        if self.sort.descending:
            x = f.binary("xor", x, -1)
        return f.convert("zext", x, "i64")

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

    def _sorted(self, here, there, counts):
        """Sort the records; the pointer to where they are then."""
        f = self.f
        short, long, done = f.label("short"), f.label("long"), f.label("sorted")
        f.branch_if(f.compare("sle", self.length, SHORT), short, long)
        f.start(short)
        self._insert(here)
        after_short = f.block
        f.branch(done)
        f.start(long)
        final = self._radix(here, there, counts)
        after_long = f.block
        f.branch(done)
        f.start(done)
        result = f.phi("ptr")
        f.incoming(result, here, after_short)
        f.incoming(result, final, after_long)
        return result

    def _insert(self, base):
        f = self.f
        with f.loop(1, self.length) as i:
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

    def _radix(self, here, there, counts):
        f = self.f
        with f.loop(0, 256 * self.digits) as i:
            f.store(constant("i64", 0), f.element(counts, "i64", i))
        with f.loop(0, self.length) as i:
            word = self._record(here, i)[0]
            for d in range(self.digits):
                count = f.element(counts, "i64", f.add(self._digit(word, self.low + 8 * d), 256 * d))
                f.store(f.binary("add", f.load("i64", count), 1), count)
        with f.loop(0, self.digits, carried=[here, there]) as (d, pointers):
            source, target = pointers
            shift, starts = f.add(f.binary("mul", d, 8), self.low), f.element(counts, "i64", f.binary("mul", d, 256))
            byte = self._digit(self._record(source, constant("i64", 0))[0], shift)
            constant_byte = f.compare("eq", f.load("i64", f.element(starts, "i64", byte)), self.length)
            with f.when(f.binary("xor", constant_byte, True)):
                with f.loop(0, 256, carried=[constant("i64", 0)]) as (b, totals):
                    start = f.element(starts, "i64", b)
                    count = f.load("i64", start)
                    f.store(totals[0], start)
                    totals.next = [f.binary("add", totals[0], count)]
                with f.loop(0, self.length) as i:
                    record = self._record(source, i)
                    start = f.element(starts, "i64", self._digit(record[0], shift))
                    to = f.load("i64", start)
                    self._put(target, to, record)
                    f.store(f.binary("add", to, 1), start)
            pointers.next = [f.select(constant_byte, source, target), f.select(constant_byte, target, source)]
        return pointers.final[0]
