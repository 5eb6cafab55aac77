"""Integers known by name, so that one trace serves every batch size.

    B = symbol(0, 64)          run-time integer number 0; it is 64 at the moment
    B * 3 + B     ->  4*v[0]   arithmetic stays symbolic, in one normal form
    B == 64       ->  True     and the guard `v[0] - 64 == 0` is written down

An Extent computes like the int it stands for.  Whenever a *decision* hangs on it (a comparison, a truth value, a conversion
to a real int) the answer of the moment is given, and what was decided is added to the guards of the `Assumptions` in
force.  Whoever infers something under assumptions may reuse it for other integers as long as the guards hold.  So code
written for plain ints is right for Extents without a change; careful code only asks less, and is reused more.

Extents of 0 and of 1 are never symbols (they broadcast and vanish: another structure), so a dimension symbol is at least 2.
Start with `Extent`, then `Assumptions`.
"""
import threading

_here = threading.local()


class Assumptions:
    """What was decided about run-time integers: `guards`, and the equalities among them, used to simplify what comes later.

    `integers` are the run-time integers of the moment, by which decisions are taken (an Extent made in an earlier run has the value of
    that run).  The innermost one in force in this thread collects; `run` puts it in force, and so does `with`, which is for code
    that no signal handler interrupts: an exception that comes just as a block ends would leave it in force for good.
    """

    def __init__(self, known=(), integers=None):
        self.guards, self.integers, self.step = [], integers, None
        self.equal = {}  # atom -> what it is equal to
        self._noted = None, {}  # a list of guards, and its extents by relation and hash
        self._simple = {}       # extents by hash -> what they were simplified to, as long as nothing new is known to be equal
        self.learn(known)

    def learn(self, guards):
        """Take guards as given."""
        for guard in guards:
            self._learn(*guard)

    def branch(self):
        """The same knowledge, to be added to apart."""
        other = Assumptions((), self.integers)
        other.equal = dict(self.equal)
        return other

    def taken(self):
        """The guards collected since the last time; from now on they are given."""
        guards, self.guards = self.guards, []
        return guards

    def run(self, function, *arguments):
        """`function(*arguments)` with these in force."""
        outer = current()
        try:
            self.guards = []
            _here.assumptions = self
            return function(*arguments)
        finally:  # at once: no call stands between the end and this
            _here.assumptions = outer

    def __enter__(self):
        self.guards, self.outer = [], getattr(_here, "assumptions", None)
        _here.assumptions = self
        return self

    def __exit__(self, *_):
        _here.assumptions = self.outer

    def add(self, relation, extent):
        """Note that `extent relation 0` was relied on; relation is '==', '!=', '<' or '>='."""
        if self._noted[0] is not self.guards:
            self._noted = self.guards, {}
        alike = self._noted[1].setdefault((relation, hash(extent)), [])
        if not any(_same_text(e, extent) for e in alike):
            alike.append(extent)
            self.guards.append((relation, extent))
            self._learn(relation, extent)

    def _learn(self, relation, extent):
        if relation != "==":
            return
        terms = _without_common_dimensions(extent.terms)
        for monomial, factor in sorted(terms, key=_term_order, reverse=True):
            alone = len(monomial) == 1 and factor in (1, -1) and monomial[0][0] in "di"
            if alone and not any(monomial[0] in _atoms(m) for m, _ in terms if m != monomial):
                rest = _make({m: -f * factor for m, f in terms if m != monomial}, 0)
                self.equal[monomial[0]] = _with_value(rest, monomial[0].value)
                self._simple = {}
                return

    def are_one(self, a, b):
        """Whether two symbols are known to equal each other: what `simplify` would find of their difference, as it is asked most often."""
        first, second = self._name_of(a), self._name_of(b)
        return first is not None and first == second

    def _name_of(self, x):
        """The symbol that stands for what a symbol equals; None of all else."""
        while isinstance(x, Extent) and len(x.terms) == 1:
            (monomial, factor), = x.terms
            if factor != 1 or len(monomial) != 1 or monomial[0][0] not in "di":
                return None
            if monomial[0] not in self.equal:
                return monomial[0]
            x = self.equal[monomial[0]]
        return None

    def simplify(self, extent):
        """The same integer, with every symbol replaced that is known to equal something else."""
        if not self.equal or not isinstance(extent, Extent):
            return extent
        before, simple = self._simple.get(hash(extent), (None, None))
        if before is None or before.terms != extent.terms:
            simple = extent
            for _ in range(64):
                if not isinstance(simple, Extent) or not any(a in self.equal for m, _ in simple.terms for a in _atoms(m)):
                    break
                simple = simple.substitute(self.equal)
            self._simple[hash(extent)] = extent, simple
        return simple


def current():
    """The Assumptions in force in this thread, or None."""
    return getattr(_here, "assumptions", None)


def _without_common_dimensions(terms):
    """Terms whose sum is zero, divided by the dimensions (which are not zero) that stand in each of them:  B T n - B T C   ->   n - C"""
    monomials = [list(m) for m, _ in terms]
    for atom in terms[0][0]:
        if atom[0] == "d" and all(atom in m for m in monomials):
            for m in monomials:
                m.remove(atom)
    return tuple((tuple(m), factor) for m, (_, factor) in zip(monomials, terms))


def _atoms(monomial):
    for atom in monomial:
        yield atom
        if atom[0] not in "di":
            for part in atom[1:]:
                if isinstance(part, Extent):
                    for m, _ in part.terms:
                        yield from _atoms(m)


def is_int(x, number):
    """Whether an int or Extent is this very int.  Of an Extent nothing is asked: `==` would write down a guard."""
    return isinstance(x, int) and x == number


def _same_text(a, b):
    """Whether two Extents are written the same.  (The hash is asked first: it is at hand, and seldom the same by chance.)"""
    return hash(a) == hash(b) and a.terms == b.terms


def extent_value(x):
    """The plain int of the moment; asks no guard."""
    if not isinstance(x, Extent):
        return x
    assumptions = current()
    if assumptions is None or assumptions.integers is None:
        return x.value
    return x.evaluate(assumptions.integers)


def _with_value(x, value):
    return Extent(x.terms, value) if isinstance(x, Extent) else x


def _make(terms, value):
    """An Extent from {monomial: factor}, or an int when nothing symbolic is left."""
    if len(terms) == 1:
        (monomial, factor), = terms.items()
        return factor if not monomial else Extent(((monomial, factor),), value) if factor else 0
    kept = [t for t in terms.items() if t[1]]
    if len(kept) > 1:
        kept.sort(key=_term_order)
    elif not kept or not kept[0][0]:
        return kept[0][1] if kept else 0
    return Extent(tuple(kept), value)


def _term_order(term):
    return tuple(map(_atom_order, term[0]))


def _atom_order(atom):
    """Symbols in the order of their numbers, before everything composed."""
    return (atom[0], atom[1], "") if atom[0] in "di" else ("z" + atom[0], 0, repr(atom))


class Symbol(tuple):
    """The atom ('d', number) or ('i', number).  It carries its value of the moment, which is no part of what it is."""


class Composed(tuple):
    """The atom (kind, a, b) made of two ints or Extents.  Two are equal when they are *written* alike: whether `v[0] // v[1]` and
    `v[2] // v[1]` are the same number at the moment is nothing that comparing their names may ask."""

    __slots__ = ()
    __hash__ = tuple.__hash__

    def __eq__(self, other):
        return self is other or (isinstance(other, Composed) and hash(self) == hash(other) and self[0] == other[0]
                                 and all(map(_written_alike, self[1:], other[1:])))

    def __ne__(self, other):
        return not self == other


def _written_alike(a, b):
    """Whether two parts of atoms are the same int, or Extents that are written the same."""
    if isinstance(a, Extent):
        return a is b or isinstance(b, Extent) and _same_text(a, b)
    return not isinstance(b, Extent) and a == b


def symbol(number, value, dimension=True):
    """Run-time integer `number`, at the moment `value`.  A dimension is known to be at least 2; another integer may be anything."""
    atom = Symbol(("d" if dimension else "i", number))
    atom.value = value
    return Extent((((atom,), 1),), value)


class Extent:
    """A polynomial over run-time integers, in normal form: ((monomial, factor), ...), a monomial being a sorted tuple of atoms.

    An atom is a symbol ('d', number) or ('i', number), or ('//', a, b), ('%', a, b), ('min', a, b), ('max', a, b).
    """

    __slots__ = ("terms", "value", "_hash", "_text")

    def __init__(self, terms, value):
        self.terms, self.value = terms, value

    # Arithmetic: stays symbolic, decides nothing.
    def __add__(self, other):
        if isinstance(other, int):
            other = int(other)
            if other == 0:
                return self
            terms = dict(self.terms)
            terms[()] = terms.get((), 0) + other
            return _make(terms, self.value + other)
        if isinstance(other, Extent):
            terms = dict(self.terms)
            for m, f in other.terms:
                terms[m] = terms.get(m, 0) + f
            return _make(terms, self.value + other.value)
        return NotImplemented

    __radd__ = __add__

    def __neg__(self):
        return Extent(tuple((m, -f) for m, f in self.terms), -self.value)

    def __sub__(self, other):
        return self + (-other) if isinstance(other, (int, Extent)) else NotImplemented

    def __rsub__(self, other):
        return (-self) + other

    def __mul__(self, other):
        if isinstance(other, int):
            other = int(other)
            if other == 1:
                return self
            return _make({m: f * other for m, f in self.terms}, self.value * other)
        if isinstance(other, Extent):
            terms = {}
            for m, f in self.terms:
                for n, g in other.terms:
                    product = tuple(sorted(m + n, key=_atom_order)) if m and n else m or n
                    terms[product] = terms.get(product, 0) + f * g
            return _make(terms, self.value * other.value)
        return NotImplemented

    __rmul__ = __mul__

    def _divided(self, other):
        """The exact quotient as a polynomial, or None."""
        if isinstance(other, int):
            other = ((), int(other)),
        else:
            other = other.terms
        if self.terms == other:
            return 1
        if len(other) != 1 or other[0][1] == 0:
            return None
        monomial, factor = other[0]
        terms = {}
        for m, f in self.terms:
            left = list(m)
            for atom in monomial:
                if atom not in left:
                    return None
                left.remove(atom)
            if f % factor:
                return None
            terms[tuple(left)] = f // factor
        return _make(terms, 0)

    def __floordiv__(self, other):
        return _divide(self, other)

    def __rfloordiv__(self, other):
        return _divide(other, self)

    def __mod__(self, other):
        return _modulo(self, other)

    def __rmod__(self, other):
        return _modulo(other, self)

    def __divmod__(self, other):
        return self // other, self % other

    def __pow__(self, n):
        result = 1
        for _ in range(n):
            result = self * result
        return result

    def __truediv__(self, other):
        return int(self) / int(other)

    def __rtruediv__(self, other):
        return other / int(self)

    def __float__(self):
        return float(int(self))

    def __abs__(self):
        return self if self >= 0 else -self

    # Decisions: each leaves a guard, unless it holds for every value.
    def __eq__(self, other):
        if self is other or isinstance(other, Extent) and _same_text(self, other):
            return True
        return _decide("==", self, other) if isinstance(other, (int, Extent)) else NotImplemented

    def __ne__(self, other):
        return not _decide("==", self, other) if isinstance(other, (int, Extent)) else NotImplemented

    def __lt__(self, other):
        return _decide("<", self, other) if isinstance(other, (int, Extent)) else int(self) < other

    def __ge__(self, other):
        return not _decide("<", self, other) if isinstance(other, (int, Extent)) else int(self) >= other

    def __gt__(self, other):
        return _decide("<", other, self) if isinstance(other, (int, Extent)) else int(self) > other

    def __le__(self, other):
        return not _decide("<", other, self) if isinstance(other, (int, Extent)) else int(self) <= other

    def __bool__(self):
        return not _decide("==", self, 0)

    def __index__(self):
        """The plain int: from here on, whatever is inferred holds for this value only."""
        value = extent_value(self)
        _decide("==", self, value)
        return value

    __int__ = __index__

    def __hash__(self):
        try:
            return self._hash
        except AttributeError:
            self._hash = hash(self.terms)
            return self._hash

    def substitute(self, values):
        """The polynomial with atoms replaced: `values` maps symbols to ints or Extents."""
        total = 0
        for monomial, factor in self.terms:
            product = factor
            for atom in monomial:
                if atom in values:
                    product = values[atom] * product
                elif atom[0] in "di":
                    product = Extent((((atom,), 1),), atom.value) * product
                else:
                    a, b = (p.substitute(values) if isinstance(p, Extent) else p for p in atom[1:3])
                    product = _APPLY[atom[0]](a, b) * product
            total = product + total
        return _with_value(total, self.value)

    def symbols(self):
        """The symbols it is made of."""
        return {atom for monomial, _ in self.terms for atom in _atoms(monomial) if atom[0] in "di"}

    def source(self, name="v"):
        """Python text that computes it from a sequence of the run-time integers called `name`."""
        def of(x):
            return x.source(name) if isinstance(x, Extent) else str(x)

        def atom_source(a):
            if a[0] in "di":
                return f"{name}[{a[1]}]"
            if a[0] in ("min", "max"):
                return f"{a[0]}({of(a[1])}, {of(a[2])})"
            return f"(({of(a[1])}) {a[0]} ({of(a[2])}))"

        parts = []
        for monomial, factor in self.terms:
            factors = [atom_source(a) for a in monomial]
            if factor != 1 or not factors:
                factors.insert(0, str(factor))
            parts.append("*".join(factors))
        return " + ".join(parts)

    def evaluate(self, integers):
        """Its value for given run-time integers."""
        total = 0
        for monomial, factor in self.terms:
            for atom in monomial:
                kind = atom[0]
                if kind in "di":
                    factor *= integers[atom[1]]
                else:
                    a, b = (p.evaluate(integers) if isinstance(p, Extent) else p for p in atom[1:3])
                    factor *= a // b if kind == "//" else a % b if kind == "%" else min(a, b) if kind == "min" else max(a, b)
            total += factor
        return total

    def __repr__(self):
        try:
            return self._text
        except AttributeError:
            self._text = self.source("v")
            return self._text


def _atom(kind, a, b, value):
    return Extent((((Composed((kind, a, b)),), 1),), value)


def _divide(a, b):
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if is_int(b, 1):
        return a
    exact = a._divided(b) if isinstance(a, Extent) else (0 if a == 0 else None)
    value = extent_value(a) // extent_value(b)
    if exact is not None:
        return _with_value(exact, value)
    return _atom("//", a, b, value)


def _modulo(a, b):
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if is_int(b, 1):
        return 0
    if (a._divided(b) if isinstance(a, Extent) else (0 if a == 0 else None)) is not None:
        return 0
    return _atom("%", a, b, extent_value(a) % extent_value(b))


def minimum(a, b):
    """min(a, b) without a guard."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    difference = a - b
    low, high = bounds(difference)
    if low is not None and low >= 0:
        return b
    if high is not None and high <= 0:
        return a
    return _atom("min", a, b, min(extent_value(a), extent_value(b)))


def maximum(a, b):
    """max(a, b) without a guard."""
    return -minimum(-a, -b)


_APPLY = {"//": _divide, "%": _modulo, "min": minimum, "max": maximum}


def bounds(x):
    """(least, greatest) value that an extent can have, as far as can be told from dimensions being at least 2; None: unknown."""
    if isinstance(x, int):
        return x, x
    low, high = 0, 0
    for monomial, factor in x.terms:
        least = 1
        for atom in monomial:
            if atom[0] == "d":
                least *= 2
            elif atom[0] in ("//", "%") and _nonnegative(atom[1]) and _nonnegative(atom[2]):
                least = 0
            else:
                return None, None
        if not monomial:
            low, high = (None if low is None else low + factor), (None if high is None else high + factor)
        elif factor > 0:
            low, high = low + least * factor if low is not None else None, None
        else:
            low, high = None, high + least * factor if high is not None else None
    return low, high


def _nonnegative(x):
    low, _ = bounds(x)
    return low is not None and low >= 0


def _decide(relation, a, b):
    """Whether a relation b, for == and <, writing down a guard when it does not hold for every value."""
    assumptions = current()
    if relation == "==" and assumptions is not None and assumptions.are_one(a, b):
        return True
    if assumptions is not None:
        a, b = assumptions.simplify(a), assumptions.simplify(b)
    difference = a - b
    if isinstance(difference, int):
        return difference == 0 if relation == "==" else difference < 0
    low, high = bounds(difference)
    if relation == "==" and ((low is not None and low > 0) or (high is not None and high < 0)):
        return False
    if relation == "<" and low is not None and low >= 0:
        return False
    if relation == "<" and high is not None and high < 0:
        return True
    value = extent_value(a) - extent_value(b)
    answer = value == 0 if relation == "==" else value < 0
    if assumptions is not None:
        held = relation if answer else {"==": "!=", "<": ">="}[relation]
        assumptions.add(held, _with_value(difference, value))
    return answer


def renamed(extent, atoms, values):
    """An Extent with other symbols: `atoms` maps each of its symbols to the new one, `values` the numbers of those to the integers of the
    moment."""
    def of(x):
        if not isinstance(x, Extent):
            return x
        if len(x.terms) == 1 and len(x.terms[0][0]) == 1:
            (((atom,), factor),) = x.terms
            terms = (((now(atom),), factor),)
        else:
            terms = tuple(sorted([(tuple(sorted(map(now, m), key=_atom_order)), f) for m, f in x.terms], key=_term_order))
        made = Extent(terms, 0)
        made.value = made.evaluate(values)
        return made

    def now(atom):
        return atoms[atom] if atom[0] in "di" else Composed((atom[0], *map(of, atom[1:])))
    return of(extent)


def settled(n):
    """An extent that was computed, as it may enter a shape: 0 and 1 belong to the structure, so they are told apart here."""
    if isinstance(n, Extent) and not _is_product_of_dimensions(n):
        if n == 1:
            return 1
        if n == 0:
            return 0
    return n


def _is_product_of_dimensions(n):
    """Whether an Extent is one term that is at least 2, as dimensions are."""
    (monomial, factor), *others = n.terms
    return not others and factor > 0 and all(atom[0] == "d" for atom in monomial)


def product(extents):
    """Their product: an int or an Extent."""
    result = 1
    for n in extents:
        result = n * result
    return result


def check(guards):
    """A function of the run-time integers that says whether every guard holds, or None when there are none."""
    if not guards:
        return None
    return eval("lambda v: " + " and ".join(f"{e.source()} {relation} 0" for relation, e in guards))
