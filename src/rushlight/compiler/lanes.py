"""Arithmetic on all lanes of a vector, written as Python writes it.

    x = Lanes(f, value)
    y = where(x < 0, -x, x) * 2 + 1          fcmp, fneg, select, fmul, fadd: one instruction each, whatever the lane count

`Lanes` pairs a `Value` with the Function that it belongs to.  Operators append an instruction and give the result as Lanes;
numbers of Python become constants of the other operand's type.  Floats get float instructions, without any licence to
reorder or contract; integers get signed ones (`>>` is arithmetic, `shifted_right` logical).  Vector math is written in this
notation because there one reads formulas; loops and addresses are written in llvmir's.
"""
from .llvmir import constant, element_type, lanes_of, vector_type

FLOATS = {"float": 32, "double": 64}


class Lanes:
    """A value in all its lanes, within the function that computes it."""

    __slots__ = ("f", "value")

    def __init__(self, f, value):
        self.f, self.value = f, value

    @property
    def type(self):
        return self.value.type

    @property
    def element(self):
        return element_type(self.value.type)

    @property
    def count(self):
        return lanes_of(self.value.type)

    def operand(self, x):
        """`x` as a Value of this one's type."""
        if isinstance(x, Lanes):
            return x.value
        return self.f.everywhere(self.type, x) if self.element in FLOATS else constant(self.type, x)

    def like(self, number):
        """A constant of this one's type."""
        return Lanes(self.f, self.operand(number))

    def apply(self, op, other, swapped=False):
        """One of llvmir's binary operations."""
        a, b = self.value, self.operand(other)
        return Lanes(self.f, self.f.binary(op, b, a) if swapped else self.f.binary(op, a, b))

    def _arithmetic(self, op, other, swapped=False):
        return self.apply("f" + op if self.element in FLOATS else op, other, swapped)

    def __add__(self, other):
        return self._arithmetic("add", other)

    def __radd__(self, other):
        return self._arithmetic("add", other, True)

    def __sub__(self, other):
        return self._arithmetic("sub", other)

    def __rsub__(self, other):
        return self._arithmetic("sub", other, True)

    def __mul__(self, other):
        return self._arithmetic("mul", other)

    def __rmul__(self, other):
        return self._arithmetic("mul", other, True)

    def __truediv__(self, other):
        return self.apply("fdiv", other)

    def __rtruediv__(self, other):
        return self.apply("fdiv", other, True)

    def __and__(self, other):
        return self.apply("and", other)

    def __or__(self, other):
        return self.apply("or", other)

    def __xor__(self, other):
        return self.apply("xor", other)

    def __lshift__(self, other):
        return self.apply("shl", other)

    def __rshift__(self, other):
        return self.apply("ashr", other)

    def shifted_right(self, other):
        return self.apply("lshr", other)

    def __neg__(self):
        if self.element in FLOATS:
            return Lanes(self.f, self.f.value(self.type, f"fneg {self.value!r}"))
        return self.apply("sub", 0, True)

    def __invert__(self):
        return self ^ -1 if self.element != "i1" else self ^ True

    def compare(self, predicate, other):
        """A truth in each lane: `olt`, `une`, ... for floats, `slt`, `ult`, ... for integers."""
        return Lanes(self.f, self.f.compare(predicate, self.value, self.operand(other)))

    def _ordered(self, predicate, other):
        return self.compare(("o" if self.element in FLOATS else "s") + predicate, other)

    def __lt__(self, other):
        return self._ordered("lt", other)

    def __le__(self, other):
        return self._ordered("le", other)

    def __gt__(self, other):
        return self._ordered("gt", other)

    def __ge__(self, other):
        return self._ordered("ge", other)

    def equals(self, other):
        return self.compare("oeq" if self.element in FLOATS else "eq", other)

    def differs(self, other):
        return self.compare("une" if self.element in FLOATS else "ne", other)

    def is_number(self):
        """Whether it is known to be no NaN: a constant."""
        text = self.value.text
        return text in self.f.numbers or (text[0] != "%" and "0x7FF8" not in text)

    def is_nan(self):
        return self.compare("uno", self)

    def converted(self, op, element):
        """One of llvmir's conversions, lane by lane."""
        return Lanes(self.f, self.f.convert(op, self.value, vector_type(element, self.count)))

    def bits(self):
        """The bits of floats as integers."""
        return self.converted("bitcast", f"i{FLOATS[self.element]}")

    def real(self):
        """Integers read as the bits of floats."""
        return self.converted("bitcast", {"i32": "float", "i64": "double"}[self.element])

    def call(self, intrinsic, *others):
        return Lanes(self.f, self.f.overloaded(intrinsic, self.value, *(self.operand(o) for o in others)))

    def absolute(self):
        return self.call("llvm.fabs")

    def root(self):
        return self.call("llvm.sqrt")

    def with_sign_of(self, other):
        return self.call("llvm.copysign", other)

    def at_most(self, limit):
        """The lesser; NaN stays NaN.  (Written so, it is one instruction on x86.)"""
        return where(self > limit, limit, self)

    def at_least(self, limit):
        return where(self < limit, limit, self)


def fma(a, b, c):
    """a b + c, rounded once."""
    like = next(x for x in (a, b, c) if isinstance(x, Lanes))
    return Lanes(like.f, like.f.overloaded("llvm.fma", *(like.operand(x) for x in (a, b, c))))


def where(condition, a, b):
    """`a` in the lanes where the condition holds, else `b`; one of the two may be a number."""
    like = a if isinstance(a, Lanes) else b
    return Lanes(condition.f, condition.f.select(condition.value, like.operand(a), like.operand(b)))


def polynomial(x, coefficients):
    """c0 + c1 x + c2 x^2 + ..., by Horner's rule: of x, or, if it is long, of x^2 for c0 + c1 x, c2 + c3 x, ..., which are there sooner."""
    if len(coefficients) > 4:
        pairs = [fma(x, *reversed(pair)) if len(pair) == 2 else pair[0] for pair in
                 (coefficients[i:i + 2] for i in range(0, len(coefficients), 2))]
        x, coefficients = x * x, pairs
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = fma(total, x, c)
    return total


def any_lane(condition):
    """Whether a condition holds in some lane, as one i1."""
    if condition.count == 1:
        return condition.value
    bits = condition.f.convert("bitcast", condition.value, f"i{condition.count}")
    return condition.f.compare("ne", bits, 0)


def seldom(condition, values, otherwise):
    """`values`, but in the lanes where `condition` holds those that `otherwise()` computes, which runs only if some lane needs it."""
    f = condition.f
    before, rare, done = f.block, f.label("rare"), f.label("usual")
    f.branch_if(any_lane(condition), rare, done)
    f.start(rare)
    replaced = [where(condition, new, old) for new, old in zip(otherwise(), values)]
    after = f.block
    f.branch(done)
    f.start(done)
    results = []
    for new, old in zip(replaced, values):
        phi = f.phi(old.type)
        f.incoming(phi, old.value, before)
        f.incoming(phi, new.value, after)
        results.append(Lanes(f, phi))
    return results


def lane_by_lane(function, inputs, elements):
    """A scalar function (Lanes of one lane -> a list of them, of types `elements`), applied to one lane after the other."""
    f, count = inputs[0].f, inputs[0].count
    if count == 1:
        return function(*inputs)
    with f.loop(0, count, carried=[constant(vector_type(e, count), 0) for e in elements]) as (lane, vectors):
        scalars = function(*(Lanes(f, f.extract(x.value, lane.text)) for x in inputs))
        vectors.next = [f.insert(v, s.value, lane.text) for v, s in zip(vectors, scalars)]
    return [Lanes(f, v) for v in vectors.final]
