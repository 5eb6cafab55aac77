"""Decide which values lie in memory between kernels; all others are computed wherever they are read.

    y = exp(a) + b; s = sum(y)        ->   stored: s (a reduction is one pass over y, which needs no memory)
    y = (a * 2) @ b                   ->   stored: y (a * 2 is computed as it is read, where it is large and b is narrow)
    y = stack((a, b), -1) * c         ->   stored: the stack (its parts are written between each other)
    x = f(f(f( ... a)))               ->   stored: every so many f, or the kernel would have no end
    y = f(a); y[1:] + y[:-1] + ...    ->   stored: y, where it is read at several places and f takes longer than memory
    scatter(x, f(f( ... index)), v)   ->   stored: what is scattered, and the places, where they take much arithmetic
    z = fft(x) * y                    ->   stored: what is complex, and what is read by it (NumPy computes it)
    t = lgamma(x), used by 3 kernels  ->   stored: t (`dear_values`: known when the kernels are)

Start with `Storing`.
"""
from ..ir.extents import extent_value, product
from ..ir.graph import ELEMENTWISE
from .expressions import is_complex, is_inline, is_int, is_movement, key, price
from .native.target import host

CONVOLUTIONS = ("convolution", "correlation", "correlations")  # the primitives of convolution.py
LARGEST_VALUE = 400     # instructions of one vector, about, that a value may take from what is stored
LARGEST_KERNEL = 1000   # and a kernel
LARGEST_PROLOGUE = 12   # instructions of one vector that are rather done several times than their result written down once
LEAST_PROLOGUE = 65536  # elements that are worth it
LARGEST_SCATTERED = 8   # instructions for a number that is scattered, or for its place: they are done for one number at a time
DEAR = 15               # instructions of one vector, from where on a primitive counts as dear
DEAR_VALUE = 60         # what it costs, in instructions of one vector, to write a value down and read it again
NEAR_VALUE = 8          # and where it stays in the cache
LEAST_SAVED = 65536     # instructions of numbers that pay for one more kernel
MANY_PARTS = 5          # of a cat, that are rather computed side by side once
_LEAVES = frozenset(["leaf", "constant", "scalar", "extent", "iota"])
_BY_STRIDES = frozenset(["permute", "reshape", "expand", "slice"])
_IN_PLACE = frozenset(["reshape", "expand"])  # movement that two readers of a value may share


class Storing:
    """`stored` are the nodes that lie in memory, `prologues` pairs (contraction, operand that is computed as it is read); those in
    `read_elsewhere` are not computed again by who reads them at other places.

    Sets of nodes are ints with a bit for each: `made_of[n]` are those that are computed where n is read."""

    def __init__(self, order, wanted, fuse):
        self.order, self.stored, self.fuse, self.prologues, self.users = order, set(wanted), fuse, set(), {}
        for node in order:
            for i in node.inputs:
                self.users.setdefault(i, []).append(node)
        for node in order:
            self._store_for(node)
        self._limit_kernels()

    def _store_for(self, node):
        """Store a node, or what it reads, where its kind wants it."""
        if node.primitive == "leaf":
            return
        if node.primitive in ("library", "loop"):
            self.stored.update(node.inputs)
        elif is_complex(node) and node.primitive != "part":
            self.stored.update((node, *node.inputs))
        elif not is_inline(node):
            self.stored.add(node)
            if node.primitive == "contraction":
                for i, others in zip(node.inputs, (node.shape[-1], node.shape[-2])):
                    if self._is_prologue(i, others):
                        self.prologues.add((node, i))
                    else:
                        self.stored.add(_moved(i))
            elif node.primitive.startswith("attention") or node.primitive in CONVOLUTIONS:
                self.stored.update(map(_moved, node.inputs))
            elif node.primitive == "argsort" or (not self.fuse and node.primitive.startswith(("scan.", "scatter."))):
                self.stored.update(node.inputs)
        elif node.primitive == "cat" and (_alternates(node) or self._is_made_of_many(node)) and any(
                user.primitive != "cat" for user in self.users.get(node, ())):
            self.stored.add(node)
        elif not self.fuse and not is_movement(node) and node.primitive not in _LEAVES:
            self.stored.add(node)
        elif node.primitive == "add" and any(i.primitive == "contraction" for i in node.inputs):
            self.stored.update(i for i in node.inputs if _is_running_sum(i))

    def _is_made_of_many(self, cat):
        """Whether many parts of a cat are computed: to read an element would be to compute it for each of them, and to ask which it is."""
        parts = parts_of(cat, self.stored.__contains__)
        return sum(_moved(p).primitive not in _LEAVES and _moved(p) not in self.stored for p in parts) >= MANY_PARTS

    def _is_prologue(self, operand, others):
        """Whether an operand of a product is computed again by each task that reads it, of which there are few where its `others` are
        few (columns, for the one that has the rows): it is made of memory by little arithmetic, and large.
        """
        if not self.fuse or operand in self.stored or len(self.users[operand]) > 1:
            return False
        cost, stack = 0, [operand]
        while stack:
            node = stack.pop()
            if node.primitive in _LEAVES:
                continue
            if node in self.stored or not (node.primitive in ELEMENTWISE or node.primitive == "cast" or node.primitive in _BY_STRIDES):
                return False
            cost += 0 if is_movement(node) else price(node.primitive)
            if cost > LARGEST_PROLOGUE:
                return False
            stack += node.inputs
        return cost > 0 and product(operand.shape) >= LEAST_PROLOGUE and others <= 1024

    def _limit_kernels(self):
        """Store values in the middle of what would become too large a kernel."""
        self.bits = bit = {}
        self.made_of = made_of = {}
        self.here, self.moved, self.work, self.read_elsewhere = {}, {}, {}, set()
        self.dear, readings = 0, self._count_readings() if self.fuse else None
        for node in self.order:
            bit[node] = 1 << len(bit) if node.primitive not in _LEAVES and not is_movement(node) else 0
            if price(node.primitive) >= DEAR:
                self.dear |= bit[node]

            if node.primitive.startswith("scatter."):
                self.stored.update(i for i in node.inputs[1:] if self.size(made_of[i]) > LARGEST_SCATTERED)
            self._count(node)
            if self.work[node] > LARGEST_VALUE and is_inline(node):
                self.stored.update(i for i in node.inputs if self.work[i] > LARGEST_VALUE // 4 and i.primitive != "leaf")
                self._count(node)
            if self.fuse and self._is_read_at_many_places(node, readings):
                self.stored.add(node)
                self.read_elsewhere.add(node)

    def _count(self, node):
        """Note what is computed where a node is read: `made_of`, of these `here` those at the same place, which are computed once however
        many paths lead to them; `moved`, the nodes that read others elsewhere; and the `work` of all, in instructions of one vector.

            y = f(x); y[1:] + y[:-1]     here: the sum; moved: two slices; work: the sum, and f twice
        """
        within, here, moved = self.bits[node], self.bits[node], set()
        inputs = [i for i in node.inputs if i not in self.stored]
        for i in inputs:
            within |= self.made_of[i]
        if moves(node):
            moved.add(node)
            elsewhere = sum(self.work[i] for i in inputs)
        else:
            for i in inputs:
                here |= self.here[i]
                moved |= self.moved[i]
            elsewhere = sum(self.work[m] for m in moved)
        self.made_of[node], self.here[node], self.moved[node] = within, here, moved
        self.work[node] = self.size(here) + elsewhere

    def _count_readings(self):
        """How often an element of each node is wanted, at whatever places: by those who do not move it, together, and by each who does.

            y[1:] + y[:-1] + y      y: three times, but for its ends
            cat(y[:2], y[2:])       y: once
        """
        readings = {}
        for node in reversed(self.order):
            elements, stays, moved = extent_value(product(node.shape)), node in self.stored, 0
            for user in self.users.get(node, ()):
                often = 1 if user in self.stored else readings[user]
                if user.primitive in _IN_PLACE:
                    stays, moved = True, moved + often - 1
                elif is_movement(user) or user.primitive == "gather" and user.inputs[0] is node:
                    moved += often * (1 if user.primitive in ("cat", "pad") else extent_value(product(user.shape)) / max(elements, 1))
                else:
                    stays = True
            readings[node] = moved + stays
        return readings

    def _is_read_at_many_places(self, node, readings):
        """Whether a value is computed so many times over, for readers that each want it elsewhere, that it is better written down."""
        again = readings[node] - 1
        if again <= 0 or is_movement(node) or not is_inline(node) or node.primitive in _LEAVES:
            return False
        elements = extent_value(product(node.shape))
        memory = NEAR_VALUE if elements * node.dtype.itemsize <= host().l2_bytes // 2 else DEAR_VALUE
        return (again * self.work[node] - memory) * elements >= LEAST_SAVED

    def size(self, made_of):
        """About how many instructions the nodes of these bits take."""
        return made_of.bit_count() + 20 * (made_of & self.dear).bit_count()

    def dear_values(self, groups):
        """Values that several kernels compute, though to store and read them costs less.

            before   k0: y = lgamma(x) + a       k1: z = lgamma(x) * b
            after    k0: t = lgamma(x); y = t + a     k1: z = t * b
        """
        once = twice = 0
        for g in groups:
            once, twice = once | g.made_of, twice | once & g.made_of
        if not twice & self.dear:
            return ()
        made_by = {n: 1 << i for i, g in enumerate(groups) for n in g.nodes}  # node -> the groups that compute it, as bits
        chosen, elements = [], [key(product(g.shape)) for g in groups]
        for node in reversed(self.order):
            if node in self.stored:
                continue
            makers = 0
            for user in self.users[node]:
                makers |= made_by.get(user, 0)
            made_by[node] = makers
            inside = self.made_of[node]
            if self.bits[node] & twice and inside & self.dear:
                size = key(product(node.shape))
                alike = sum(makers >> i & 1 and n == size for i, n in enumerate(elements))
                if (alike - 1) * self.size(inside) >= DEAR_VALUE:
                    chosen.append(node)
                    made_by[node] = makers & -makers  # the first of them, from now on
        return chosen


def moves(node):
    """Whether a node reads its operand at other places than its own."""
    return is_movement(node) and node.primitive not in _IN_PLACE or node.primitive == "gather"


def is_inner(part, is_stored):
    """Whether a part of a cat is a cat that is written as its own parts."""
    return part.primitive == "cat" and not is_stored(part)


def parts_of(cat, is_stored):
    """The parts of a cat, and of the cats that it is made of."""
    return [p for part in cat.inputs for p in (parts_of(part, is_stored) if is_inner(part, is_stored) else [part])]


def _alternates(node):
    """Whether neighbours come from different parts of a cat: read as a vector, each of its numbers would have to be asked where it is
    from.
    """
    if node.primitive != "cat":
        return False
    axis, = node.attributes
    return axis == node.ndim - 1 and all(is_int(part.shape[axis], 1) for part in node.inputs) or any(map(_alternates, node.inputs))


def _is_running_sum(node):
    """Whether products are added up in it.  Such a sum is written down before the next product is added to it, where that is made: else the
    last one would find all others in memory, and add them up at once.

        before   k0: a @ b     k1: c @ d          k2: e @ f, + (k0 + k1)
        after    k0: a @ b     k1: c @ d, + k0    k2: e @ f, + k1
    """
    return node.primitive == "add" and any(i.primitive == "contraction" for i in node.inputs)


def _moved(node):
    """The node that a matrix product reads when it reads this one: what strides can say is left out."""
    while node.primitive in _BY_STRIDES:
        node = node.inputs[0]
    return node
