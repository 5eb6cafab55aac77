"""LLVM IR as text, written by hand-sized pieces: the thin last step of the compiler.

    f = Function("double_all", [("ptr", "x"), ("i64", "n")])
    x, n = f.parameters
    with f.loop(0, n) as i:
        v = f.load("float", f.element(x, "float", i))
        f.store(f.binary("fadd", v, v), f.element(x, "float", i))
    f.ret()
    module_text([f])

A `Value` is the text of an operand and its LLVM type; every method appends one instruction and returns its Value.  Numbers of
Python stand for constants of the other operand's type.  No optimisation passes are run on what is written here, so it is
written as it shall be executed.
"""
import functools
import math
import struct
from contextlib import contextmanager


class Value:
    """An SSA value or a constant: `text` is how IR names it, `type` its LLVM type ('float', '<16 x i32>', 'ptr', ...)."""

    __slots__ = ("text", "type")

    def __init__(self, text, type):
        self.text, self.type = text, type

    def __repr__(self):
        return f"{self.type} {self.text}"


@functools.cache
def vector_type(element, lanes):
    """The vector of `lanes` elements, or the element type itself for one lane."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


@functools.cache
def element_type(type):
    return type.split(" x ")[1][:-1] if type.startswith("<") else type


def short_name(element):
    """What the names of intrinsics call an element type."""
    return {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16"}.get(element, element)


@functools.cache
def lanes_of(type):
    return int(type[1:].split(" ", 1)[0]) if type.startswith("<") else 1


def constant(type, number):
    """A constant of a scalar type, or the same constant in every lane of a vector type."""
    return _constant(type, number, math.copysign(1, number))


@functools.lru_cache(4096)
def _constant(type, number, sign):
    """`sign` is there to keep 0.0 and -0.0 apart in the cache."""
    element = element_type(type)
    if element in ("float", "double", "half", "bfloat"):
        text = _float_text(element, float(number))
    elif element == "i1":
        text = "true" if number else "false"
    else:
        text = str(int(number))
    lanes = lanes_of(type)
    if lanes > 1:
        text = f"splat ({element} {text})"
    return Value(text, type)


def _float_text(element, number):
    if element == "float":
        try:
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        except OverflowError:
            number = math.copysign(math.inf, number)
    if element == "half":
        try:
            return f"0xH{struct.unpack('<H', struct.pack('<e', number))[0]:04X}"
        except OverflowError:
            return "0xH7C00" if number > 0 else "0xHFC00"
    if element == "bfloat":
        bits = struct.unpack("<I", struct.pack("<f", number))[0]
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 if number == number else (bits >> 16) | 0x40
        return f"0xR{rounded & 0xFFFF:04X}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


class Function:
    """A function under construction.  Instructions go to the end of the current block."""

    def __init__(self, name, parameters, result="void", attributes="nounwind"):
        self.name, self.result, self.attributes = name, result, attributes
        self.parameters = [Value("%" + n, t) for t, n in parameters]
        self.declarations = {}
        self._lines = ["entry:"]
        self._entry_end = 1  # where allocas go
        self._phis = {}  # name -> its edges
        self.numbers = set()  # names of values that are no NaN
        self._spread = {}  # (block, type, number) -> the constant in every lane
        self._count = 0
        self.block = "entry"

    def _name(self):
        self._count += 1
        return f"%v{self._count}"

    def label(self, hint="b"):
        self._count += 1
        return f"{hint}{self._count}"

    def start(self, label):
        """Begin a block."""
        self._lines.append(label + ":")
        self.block = label

    def do(self, text):
        self._lines.append("  " + text)

    def value(self, type, text):
        name = self._name()
        self._lines.append(f"  {name} = {text}")
        return Value(name, type)

    def alloca(self, type, count=1):
        """Memory on the stack, taken once on entry."""
        name = self._name()
        self._lines.insert(self._entry_end, f"  {name} = alloca {type}, i64 {count}, align 64")
        self._entry_end += 1
        return Value(name, "ptr")

    def of(self, x, type):
        """A Value as it is; a Python number as a constant of `type`."""
        return x if isinstance(x, Value) else constant(type, x)

    # Arithmetic
    def binary(self, op, a, b):
        """fadd, fsub, fmul, fdiv, frem, add, sub, mul, sdiv, udiv, srem, urem, and, or, xor, shl, ashr, lshr."""
        type = a.type if isinstance(a, Value) else b.type
        a, b = self.of(a, type), self.of(b, type)
        return self.value(type, f"{op} {type} {a.text}, {b.text}")

    def add(self, a, b):
        """Integer addition that folds Python ints and zero."""
        if not isinstance(a, Value) and not isinstance(b, Value):
            return a + b
        if not isinstance(b, Value) and b == 0:
            return a
        if not isinstance(a, Value) and a == 0:
            return b
        return self.binary("add", a, b)

    def mul(self, a, b):
        """Integer product that folds Python ints, zero and one."""
        if not isinstance(a, Value) and not isinstance(b, Value):
            return a * b
        for x, y in ((a, b), (b, a)):
            if not isinstance(x, Value) and x in (0, 1):
                return y if x else 0
        return self.binary("mul", a, b)

    def compare(self, predicate, a, b):
        """icmp (eq ne slt sle sgt sge ult ...) on integers and pointers, fcmp (oeq une olt ...) on floats."""
        type = a.type if isinstance(a, Value) else b.type
        op = "fcmp" if element_type(type) in ("float", "double", "half", "bfloat") else "icmp"
        a, b = self.of(a, type), self.of(b, type)
        return self.value(vector_type("i1", lanes_of(type)), f"{op} {predicate} {type} {a.text}, {b.text}")

    def select(self, condition, a, b):
        type = a.type if isinstance(a, Value) else b.type
        a, b = self.of(a, type), self.of(b, type)
        return self.value(type, f"select {condition.type} {condition.text}, {type} {a.text}, {type} {b.text}")

    def convert(self, op, x, type):
        """sext, zext, trunc, fpext, fptrunc, sitofp, uitofp, fptosi, fptoui, bitcast, ptrtoint, inttoptr."""
        return x if x.type == type else self.value(type, f"{op} {x.type} {x.text} to {type}")

    def intrinsic(self, name, result, *arguments):
        """Call and declare an LLVM intrinsic or an external function: intrinsic("llvm.fma.v16f32", "<16 x float>", a, b, c)."""
        self.declarations[name] = f"declare {result} @{name}({', '.join(a.type for a in arguments)})"
        call = f"call {result} @{name}({', '.join(map(repr, arguments))})"
        if result == "void":
            self.do(call)
            return None
        return self.value(result, call)

    def overloaded(self, name, *arguments):
        """An intrinsic whose result has the type of its first argument: overloaded("llvm.fma", a, b, c)."""
        type = arguments[0].type
        lanes = lanes_of(type)
        return self.intrinsic(f"{name}.{f'v{lanes}' if lanes > 1 else ''}{short_name(element_type(type))}", type, *arguments)

    # Memory
    def element(self, pointer, type, index):
        """The address of element `index` of an array of `type`."""
        if not isinstance(index, Value) and index == 0:
            return pointer
        index = self.of(index, "i64")
        return self.value("ptr", f"getelementptr {type}, ptr {pointer.text}, {index!r}")

    def load(self, type, pointer, align=None):
        return self.value(type, f"load {type}, ptr {pointer.text}, align {align or _size(element_type(type))}")

    def store(self, x, pointer, align=None, past_caches=False):
        """`past_caches`: the memory is not read first, and nothing of it stays in a cache; it has to be aligned to whole vectors."""
        hint = ""
        if past_caches:
            self.declarations["!0"], hint = "!0 = !{i32 1}", ", !nontemporal !0"
        self.do(f"store {x!r}, ptr {pointer.text}, align {align or _size(element_type(x.type))}{hint}")

    def load_where(self, mask, type, pointer):
        """The lanes of a mask, from neighbouring places; the others are 0."""
        return self._masked("load", type, type, pointer, mask, self.of(0, type))

    def store_where(self, mask, x, pointer):
        """The lanes of a mask, to neighbouring places."""
        self._masked("store", "void", x.type, x, pointer, mask)

    def gather(self, mask, type, pointers):
        """The lanes of a mask, each from its own place; the others are 0."""
        return self._masked("gather", type, type, pointers, mask, self.of(0, type))

    def scatter(self, mask, x, pointers):
        """The lanes of a mask, each to its own place."""
        self._masked("scatter", "void", x.type, x, pointers, mask)

    def _masked(self, what, result, type, *arguments):
        """One of the four; the alignment, that of an element, comes after the pointer, which is a vector of them in the last two."""
        lanes, element = lanes_of(type), element_type(type)
        at = next(i for i, a in enumerate(arguments) if element_type(a.type) == "ptr") + 1
        places = f"v{lanes}p0" if lanes_of(arguments[at - 1].type) > 1 else "p0"
        return self.intrinsic(f"llvm.masked.{what}.v{lanes}{short_name(element)}.{places}", result,
                              *arguments[:at], Value(str(_size(element)), "i32"), *arguments[at:])

    # Lanes
    def splat(self, x, lanes):
        """The scalar in every lane."""
        if lanes == 1:
            return x
        type = vector_type(x.type, lanes)
        one = self.value(type, f"insertelement {type} poison, {x!r}, i64 0")
        return self.value(type, f"shufflevector {type} {one.text}, {type} poison, <{lanes} x i32> zeroinitializer")

    def everywhere(self, type, number):
        """A constant in every lane.  Floats are read from memory by one instruction: LLVM makes better code of it than of a constant
        vector, of which it keeps a copy for each place where it is used."""
        element = element_type(type)
        if number == 0 or element == type or element not in ("float", "double"):
            return constant(type, number)
        one = constant(element, number)
        if (self.block, type, one.text) in self._spread:
            return self._spread[self.block, type, one.text]
        name = f"every.{element}.{one.text}"
        self.declarations[name] = f"@{name} = internal constant {one!r}"
        everywhere = self.splat(self.load(element, Value("@" + name, "ptr")), lanes_of(type))
        self._spread[self.block, type, one.text] = everywhere
        if number == number:
            self.numbers.add(everywhere.text)
        return everywhere

    def extract(self, x, lane):
        return self.value(element_type(x.type), f"extractelement {x!r}, i64 {lane}")

    def insert(self, x, element, lane):
        return self.value(x.type, f"insertelement {x!r}, {element!r}, i64 {lane}")

    def shuffle(self, a, b, mask):
        """Lanes of a (and b, numbered on) in the order of `mask`."""
        type = vector_type(element_type(a.type), len(mask))
        lanes = ", ".join(f"i32 {m}" for m in mask)
        return self.value(type, f"shufflevector {a!r}, {b!r}, <{len(mask)} x i32> <{lanes}>")

    # Control
    def branch(self, label):
        self.do(f"br label %{label}")

    def branch_if(self, condition, yes, no):
        self.do(f"br {condition!r}, label %{yes}, label %{no}")

    def ret(self, x=None):
        self.do("ret void" if x is None else f"ret {x!r}")

    def phi(self, type):
        """A phi at the start of the current block; give its edges with `incoming`."""
        name = self._name()
        self._phis[name] = edges = []
        self._lines.append([name, type, edges])
        phi = Value(name, type)
        return phi

    def incoming(self, phi, x, label):
        self._phis[phi.text].append(f"[ {self.of(x, phi.type).text}, %{label} ]")

    @contextmanager
    def loop(self, start, end, step=1, carried=()):
        """A counted loop over i64.  With `carried` initial values, yields (i, current) and expects the next values in
        `current.next`; after the loop `current.final` holds what came out (also when it never ran)."""
        head, body, done = self.label("loop"), self.label("body"), self.label("done")
        before = self.block
        self.branch(head)
        self.start(head)
        i = self.phi("i64")
        self.incoming(i, start, before)
        values = Carried([self.phi(c.type) for c in carried])
        for phi, c in zip(values, carried):
            self.incoming(phi, c, before)
        self.branch_if(self.compare("slt", i, end), body, done)
        self.start(body)
        yield (i, values) if carried else i
        after = self.binary("add", i, step)
        self.incoming(i, after, self.block)
        for phi, c in zip(values, values.next if carried else ()):
            self.incoming(phi, c, self.block)
        self.branch(head)
        self.start(done)
        values.final = list(values)

    @contextmanager
    def when(self, condition):
        """The instructions inside run only where `condition` (an i1) holds."""
        yes, done = self.label("then"), self.label("end")
        self.branch_if(condition, yes, done)
        self.start(yes)
        yield
        self.branch(done)
        self.start(done)

    def text(self):
        body = "\n".join(li if isinstance(li, str) else f"  {li[0]} = phi {li[1]} {', '.join(li[2])}" for li in self._lines)
        parameters = ", ".join(map(repr, self.parameters))
        return f"define {self.result} @{self.name}({parameters}) {self.attributes} {{\n{body}\n}}\n"


class Carried(list):
    """The values that a loop hands from one turn to the next."""
    next = ()
    final = ()


def _size(element):
    return {"float": 4, "double": 8, "half": 2, "bfloat": 2, "ptr": 8, "i1": 1}.get(element) or max(1, int(element[1:]) // 8)


def module_text(functions):
    """A whole module: the functions and the declarations they need."""
    defined = {f.name for f in functions}
    declarations = {n: d for f in functions for n, d in f.declarations.items() if n not in defined}
    return "\n".join(declarations.values()) + "\n\n" + "\n".join(f.text() for f in functions)
