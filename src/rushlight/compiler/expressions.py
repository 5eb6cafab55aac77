"""What one element of a node is, as an expression of loads: movement becomes places, everything else arithmetic.

    permute(exp(a), (1, 0)) at (i, j)   ->   exp(a[4 j + i])        one Expression, one load, no copy

An `Axis` is one dimension of an iteration space.  An `Affine` is an index: a sum of axes times coefficients, a constant, and
computed integers (a gather).  A `Reader` turns (node, index) into an `Expression`, stopping at nodes that lie in memory.
Equal expressions are one object, so whoever walks them computes each once.  Start with `Reader.read`.
"""
from ..ir import dtypes
from ..ir.extents import Extent, bounds, current, extent_value, is_int, product
from ..ir.graph import ELEMENTWISE, Node, row_major


class Axis:
    """One dimension of an iteration space.  With a `window` (block axis, size) it runs from block * size over `size` places at most."""

    __slots__ = ("extent", "reduced", "window")

    def __init__(self, extent, reduced=False, window=None):
        self.extent, self.reduced, self.window = extent, reduced, window

    def __repr__(self):
        return f"Axis({self.extent}{', reduced' if self.reduced else ''})"


class Buffer:
    """Memory that a kernel reads or writes.

    `kind` is 'leaf' or 'target' (memory of the caller, by number), 'arena' (planned memory) or 'scratch' (private to one worker).
    """

    __slots__ = ("dtype", "kind", "number", "shape", "storage", "strides")

    def __init__(self, kind, number, dtype, shape, strides=None, storage=None):
        self.kind, self.number, self.dtype, self.shape, self.storage = kind, number, dtype, tuple(shape), storage
        self.strides = row_major(shape) if strides is None else tuple(strides)

    @property
    def elements(self):
        return product(self.shape)

    def __repr__(self):
        return f"{self.kind}{self.number}"


def one_memory(a, b):
    """Whether two buffers, seen in whatever way, are the same."""
    return a.kind == b.kind and a.number == b.number


class MustStore(Exception):
    """A node has to lie in memory before it can be read this way."""

    def __init__(self, node, why):
        super().__init__(why)
        self.node, self.why = node, why


class SplitAxis(Exception):
    """An axis has to become several, of these extents, before a reshape can be read through."""

    def __init__(self, axis, extents):
        super().__init__(axis)
        self.axis, self.extents = axis, extents


def key(x):
    """An int or Extent as something to compare without asking a guard."""
    return x.terms if isinstance(x, Extent) else x


def same(a, b):
    """Whether two extents are equal by what is already known; asks no guard."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    difference = a - b
    if isinstance(difference, Extent) and current() is not None:
        difference = current().simplify(difference)
    return isinstance(difference, int) and difference == 0


class Affine:
    """An index: the sum of `terms` (axis, coefficient), `dynamic` (int64 Expression, coefficient) and `constant`."""

    __slots__ = ("constant", "dynamic", "key", "terms")

    def __init__(self, terms=(), constant=0, dynamic=()):
        self.terms, self.constant, self.dynamic = tuple(terms), constant, tuple(dynamic)
        self.key = (frozenset((id(a), key(c)) for a, c in self.terms), key(constant), frozenset((id(e), key(c)) for e, c in self.dynamic))

    def __hash__(self):
        return hash(self.key)

    def __eq__(self, other):
        return self.key == other.key

    def __add__(self, other):
        if not isinstance(other, Affine):
            return Affine(self.terms, self.constant + other, self.dynamic)
        return Affine(_merge(self.terms, other.terms), self.constant + other.constant, _merge(self.dynamic, other.dynamic))

    def __mul__(self, factor):
        if is_int(factor, 1):
            return self
        if is_int(factor, 0):
            return Affine()
        return Affine([(a, c * factor) for a, c in self.terms], self.constant * factor, [(e, c * factor) for e, c in self.dynamic])

    def coefficient(self, axis):
        return next((c for a, c in self.terms if a is axis), 0)

    def replace(self, axis, affine):
        """The same index where `axis` is given by an affine of other axes."""
        c = self.coefficient(axis)
        if is_int(c, 0):
            return self
        return Affine([t for t in self.terms if t[0] is not axis], self.constant, self.dynamic) + affine * c


def _merge(left, right):
    if not right:
        return left
    merged = dict(left)
    for what, c in right:
        total = merged[what] + c if what in merged else c
        if is_int(total, 0):
            merged.pop(what, None)
        else:
            merged[what] = total
    return tuple(merged.items())


def place_in(strides, index):
    """Where an element of this index lies, in elements."""
    place = Affine()
    for i, stride in zip(index, strides):
        place += i * stride
    return place


def affine(axis):
    """The index that runs along one axis."""
    return Affine([(axis, 1)])


class Expression:
    """A value for each place of an iteration space.

    `op` is an element-wise primitive, 'cast' or 'bitcast', or a leaf of expressions: 'load' (data: buffer, place; an argument, if
    any, is the condition under which the place exists), 'constant', 'scalar', 'extent', 'index' (data: an Affine), 'result' (data:
    the Accumulator of a reduction that is over), 'running' (data: an Accumulator of one lane, as the last turn left it).  `axes` are
    the axes it varies along; `results` the accumulators it needs.
    """

    __slots__ = ("__weakref__", "args", "axes", "cost", "data", "dtype", "op", "results")

    def __init__(self, op, args, dtype, data, axes, results, cost):
        self.op, self.args, self.dtype, self.data = op, args, dtype, data
        self.axes, self.results, self.cost = axes, results, cost

    def __repr__(self):
        return f"Expression({self.op} {self.dtype.name})"


# A rough price in instructions; what costs more than a load from memory is worth keeping.
_PRICE = {**dict.fromkeys(["div", "sqrt", "rsqrt", "cast", "round", "floor", "ceil", "trunc", "sign", "fmod", "remainder", "floor_divide"],
                          4),
          **dict.fromkeys(["exp", "exp2", "log", "log2", "log10"], 15),
          **dict.fromkeys(["expm1", "log1p", "tanh", "sin", "cos", "tan", "sinh", "cosh", "asin", "acos", "atan", "atan2", "erf", "erfc",
                           "hypot", "asinh", "acosh", "atanh"], 30),
          **dict.fromkeys(["pow", "erfinv", "lgamma", "digamma"], 80)}


def price(primitive):
    """About how many instructions a primitive takes for one vector."""
    return _PRICE.get(primitive, 1)


_MOVEMENT = frozenset("reshape permute expand pad slice flip cat as_strided".split())


def is_movement(node):
    return node.primitive in _MOVEMENT


def is_inline(node):
    """Whether a node is computed wherever it is read, unless it is decided otherwise."""
    return node.primitive in ELEMENTWISE or node.primitive in _INLINE


_INLINE = _MOVEMENT | frozenset("constant scalar extent iota cast bitcast gather".split())


def is_complex(node):
    """Whether a node makes or reads complex numbers: there is no code for these, so NumPy runs it."""
    return node.dtype.kind == "c" or any(i.dtype.kind == "c" for i in node.inputs)


class Reader:
    """Expressions for elements of nodes.  `buffer_of(node)` gives the Buffer of a node that lies in memory, or None;
    `results` maps
    reductions of this kernel to (their Expression, the index at which it is known)."""

    def __init__(self, buffer_of):
        self.buffer_of, self.results = buffer_of, {}
        self._expressions, self._read = {}, {}
        self.permuted = {}  # load -> the permutation that it reads through

    def make(self, op, args, dtype, data=None):
        """The one Expression of this content."""
        name = (op, args, dtype, data if op != "constant" else repr(data))
        found = self._expressions.get(name)
        if found is None:
            axes = frozenset().union(*(a.axes for a in args)) if args else frozenset()
            results = frozenset().union(*(a.results for a in args)) if args else frozenset()
            place = data[1] if op == "load" else data if op == "index" else None
            if place is not None:
                axes = axes.union(a for a, _ in place.terms).union(*(e.axes for e, _ in place.dynamic))
                results = results.union(*(e.results for e, _ in place.dynamic))
            if op in ("result", "running"):
                axes, results = data.axes, frozenset([data] if op == "result" else [])
            cost = 1 + price(op) + sum(a.cost for a in args)
            found = self._expressions[name] = Expression(op, args, dtype, data, axes, results, cost)
        return found

    def load(self, buffer, index, condition=None, strides=None):
        place = place_in(buffer.strides if strides is None else strides, index)
        return self.make("load", (condition,) if condition else (), buffer.dtype, (buffer, place))

    def index(self, place):
        """An index as an int64 value."""
        if not place.terms and not place.dynamic:
            return self.constant(place.constant, dtypes.int64) if isinstance(place.constant, int) else self.make(
                "extent", (), dtypes.int64, place.constant)
        if not place.terms and len(place.dynamic) == 1 and is_int(place.constant, 0) and is_int(place.dynamic[0][1], 1):
            return place.dynamic[0][0]
        return self.make("index", (), dtypes.int64, place)

    def constant(self, value, dtype):
        return self.make("constant", (), dtype, value)

    def between(self, place, low, high):
        """low <= place < high, as a condition; None where it always holds."""
        value, conditions = self.index(place), []
        if not (isinstance(low, int) and low <= 0 and _never_negative(place)):
            conditions.append(self.make("ge", (value, self.index(Affine((), low))), dtypes.bool_))
        conditions.append(self.make("lt", (value, self.index(Affine((), high))), dtypes.bool_))
        return self.both(*conditions)

    def both(self, *conditions):
        """All of the conditions; None stands for true."""
        conditions = [c for c in conditions if c is not None]
        result = conditions.pop() if conditions else None
        for c in conditions:
            result = self.make("and", (result, c), dtypes.bool_)
        return result

    def read(self, node, index):
        """The Expression of element `index` of `node`."""
        return self._read_all((node, tuple(index), None))

    def _read_all(self, root):
        stack = [root]
        while stack:
            top = stack[-1]
            if top in self._read:
                stack.pop()
                continue
            found = self._in_memory(*top)
            if found is not None:
                self._read[top] = found
                continue
            needs, make = self._plan(*top)
            missing = [n for n in needs if n not in self._read]
            if missing:
                stack.extend(reversed(missing))
                continue
            made = make(*[self._read[n] for n in needs])
            if isinstance(made, tuple):  # an index is computed first: now it is known what to read
                stack.append(made) if made not in self._read else self._read.__setitem__(top, self._read[made])
                continue
            if top[0].primitive == "permute" and made.op == "load":
                self.permuted[made] = top[0]
            self._read[top] = made
        return self._read[root]

    def _in_memory(self, node, index, condition):
        known = self.results.get(node)
        if known is not None:
            result, place = known
            if tuple(index) == place:
                return result
            raise MustStore(node, "its result is read at another place than where it is made")
        buffer = self.buffer_of(node)
        if buffer is not None:
            return self.load(buffer, index, condition)
        if node.primitive == "reshape":  # of what lies in memory in row-major order: the same memory
            buffer = self.buffer_of(node.inputs[0])
            if buffer is not None and all(same(a, b) for a, b in zip(buffer.strides, row_major(buffer.shape))):
                return self.load(buffer, index, condition, row_major(node.shape))
        return None

    def _plan(self, node, index, condition):
        """What has to be read first, and a function that makes the Expression of it (or names what to read in its stead)."""
        kind = node.primitive
        if kind in ELEMENTWISE or kind in ("cast", "bitcast"):
            return [(n, index, condition) for n in node.inputs], lambda *args: self.make(kind, args, node.dtype)
        if kind == "constant":
            return [], lambda: self.constant(node.attributes[0], node.dtype)
        if kind == "scalar":
            return [], lambda: self.make("scalar", (), node.dtype, node.attributes[0])
        if kind == "extent":
            return [], lambda: self.index(Affine((), node.attributes[0]))
        if kind == "iota":
            return [], lambda: self.index(index[0])
        if kind in _MOVED:
            return [(node.inputs[0], tuple(_MOVED[kind](node, index)), condition)], lambda x: x
        if kind == "pad":
            return self._pad(node, index, condition)
        if kind == "cat":
            return self._cat(node, index, condition)
        if kind == "gather":
            return self._gather(node, index, condition)
        raise MustStore(node, f"{kind} is made by a kernel of its own")

    def _pad(self, node, index, condition):
        x, (widths, value) = node.inputs[0], node.attributes
        here, place = None, []
        for i, n, (low, high) in zip(index, x.shape, widths):
            if is_int(low, 0) and is_int(high, 0):
                place.append(i)
                continue
            i = i + low * -1
            here = self.both(here, self.between(i, 0, n))
            place.append(i)
        if here is None:  # nothing is added
            return [(x, tuple(place), condition)], lambda v: v
        return [(x, tuple(place), self.both(condition,
                                            here))], lambda v: self.make("where", (here, v, self.constant(value, node.dtype)), node.dtype)

    def _cat(self, node, index, condition):
        axis, needs, ends = node.attributes[0], [], []
        parts = _parts_at(node, index[axis])
        for part, start, end in parts:
            place = index[axis] + start * -1
            if len(parts) == 1:
                return [(part, (*index[:axis], place, *index[axis + 1:]), condition)], lambda x: x
            before = self.make("lt", (self.index(index[axis]), self.index(Affine((), end))), dtypes.bool_)
            here = self.both(condition, before, self.make("not", (ends[-1],), dtypes.bool_) if ends else None)
            needs.append((part, (*index[:axis], place, *index[axis + 1:]), here))
            ends.append(before)

        def make(*values):
            result = values[-1]
            for end, value in zip(reversed(ends[:-1]), reversed(values[:-1])):
                result = self.make("where", (end, value, result), node.dtype)
            return result
        return needs, make

    def _gather(self, node, index, condition):
        x, *indices = node.inputs
        depth = indices[0].ndim

        def make(*values):
            computed = dict(zip(node.attributes[0], values))
            rest = iter(index[depth:])
            return x, tuple(self.computed(computed[d]) if d in computed else next(rest) for d in range(x.ndim)), condition
        return [(i, tuple(index[:depth]), condition) for i in indices], make

    @staticmethod
    def computed(value):
        """A computed integer as an index."""
        if value.op == "index":
            return value.data
        if value.op in ("constant", "extent"):
            return Affine((), int(value.data) if value.op == "constant" else value.data)
        return Affine((), 0, [(value, 1)])


def _parts_at(cat, place):
    """[(part, where it starts, where it ends)] of those parts of a cat that may be met at a place along its dimension.

        cat(a, b, c)[n + i] for i < n       ->      b alone, where all have n rows
    """
    last, start, parts = None, 0, []
    if _never_negative(place):
        last = place.constant
        for axis, c in place.terms:
            last = last + (axis.extent - 1) * c
    for part in cat.inputs:
        end = start + part.shape[cat.attributes[0]]
        if last is None or not (_surely_at_most(end, place.constant) or _surely_at_most(last + 1, start)):
            parts.append((part, start, end))
        start = end
    return parts or [(cat.inputs[0], 0, start)]  # of a cat that is empty, which nobody will read


def _surely_at_most(a, b):
    """Whether a <= b by what is already known; asks no guard."""
    difference = a - b
    if isinstance(difference, Extent) and current() is not None:
        difference = current().simplify(difference)
    _, high = bounds(difference)
    return high is not None and high <= 0


def _never_negative(place):
    def positive(c):
        low, _ = bounds(c)
        return low is not None and low >= 0
    return not place.dynamic and positive(place.constant) and all(positive(c) for _, c in place.terms)


# Movement: the index into the input, given the index into the result

def _expand(node, index):
    return [Affine() if repeated else i for i, repeated in zip(index, node.attributes[0])]


def _permute(node, index):
    place = [None] * len(index)
    for i, d in zip(index, node.attributes[0]):
        place[d] = i
    return place


def _slice(node, index):
    starts, steps = node.attributes
    return [i * step + start for i, start, step in zip(index, starts, steps)]


def _flip(node, index):
    return [i * -1 + (n - 1) if d in node.attributes[0] else i for d, (i, n) in enumerate(zip(index, node.shape))]


def _as_strided(node, index):
    strides, offset = node.attributes
    place = Affine((), offset)
    for i, s in zip(index, strides):
        place += i * s
    return [place]


def _reshape(node, index):
    """Dimensions are matched group by group: (a, b, c) -> (a b, c) has the groups (a, b | a b) and (c | c)."""
    x = node.inputs[0]
    place = [Affine()] * x.ndim
    for source, target in _groups(x.shape, node.shape):
        flat = Affine()
        for d, stride in zip(target, row_major([node.shape[d] for d in target])):
            flat += index[d] * stride
        extents = [x.shape[d] for d in source]
        for d, i in zip(source, _distribute(flat, extents, node)):
            place[d] = i
    return place


def reshaped(node, shape, index):
    """The index of an element of `node`, given its index in a reshape of it to `shape`."""
    return tuple(_reshape(Node("reshape", (node,), (), tuple(shape), node.dtype), index))


_MOVED = {"expand": _expand, "permute": _permute, "slice": _slice, "flip": _flip, "as_strided": _as_strided, "reshape": _reshape}


def _groups(source, target):
    """Pairs of runs of dimensions with the same product; dimensions of extent 1 are left out."""
    source = [d for d, n in enumerate(source) if not is_int(n, 1)], source
    target = [d for d, n in enumerate(target) if not is_int(n, 1)], target
    left, right = list(source[0]), list(target[0])
    while left or right:
        a, b = [left.pop(0)] if left else [], [right.pop(0)] if right else []
        while not same(product(source[1][d] for d in a), product(target[1][d] for d in b)):
            smaller = extent_value(product(source[1][d] for d in a)) < extent_value(product(target[1][d] for d in b))
            if left and (smaller or not right):
                a.append(left.pop(0))
            elif right:
                b.append(right.pop(0))
            else:
                break  # equal though it cannot be told from the text: one group of all
        yield a, b


def _distribute(flat, extents, node):
    """An index into a row-major block of these extents, one dimension at a time."""
    if len(extents) == 1:
        return [flat]
    if not extents:
        return []
    strides = row_major(extents)
    place = [Affine() for _ in extents]
    for axis, c in flat.terms:
        fitting = [d for d, s in enumerate(strides) if _factor(c, s) is not None and _fits(axis.extent, _factor(c, s), extents[d])]
        if fitting:
            d = fitting[-1]
            place[d] += Affine([(axis, _factor(c, strides[d]))])
            continue
        _split(axis, c, strides, extents)
        raise MustStore(node.inputs[0], "a reshape cannot be read through: its rows do not end where the loops end")
    if flat.dynamic or not is_int(flat.constant, 0):
        raise MustStore(node.inputs[0], "a reshape cannot be read through at a shifted or computed place")
    if any(len(i.terms) > 1 for i in place):
        raise MustStore(node.inputs[0], "a reshape cannot be read through: two loops share one of its dimensions")
    return place


def _factor(c, stride):
    """c / stride where it is known to be a whole number of at least 1, else None."""
    if same(c, stride):
        return 1
    if isinstance(c, int) and isinstance(stride, int):
        return c // stride if stride and c > 0 and c % stride == 0 else None
    exact = c._divided(stride) if isinstance(c, Extent) else None
    return exact if isinstance(exact, int) and exact >= 1 else None


def _fits(extent, factor, room):
    """Whether (extent - 1) * factor < room, whatever the sizes."""
    low, _ = bounds(room - 1 - (extent - 1) * factor)
    return same(extent * factor, room) or (low is not None and low >= 0)


def _split(axis, c, strides, extents):
    """An axis that runs over several dimensions has to become several axes: says so by SplitAxis."""
    for last in range(len(extents)):
        if not same(c, strides[last]):
            continue
        for first in range(last - 1, -1, -1):
            if same(product(extents[first:last + 1]), axis.extent):
                raise SplitAxis(axis, extents[first:last + 1])
