"""Decide which values lie in memory between kernels; all others are computed wherever they are read.

    y = exp(a) + b; s = sum(y)        ->   stored: s (a reduction is one pass over y, which needs no memory)
    y = (a * 2) @ b                   ->   stored: y (a * 2 is computed as it is read, where it is large and b is narrow)
    y = stack((a, b), -1) * c         ->   stored: the stack (its parts are written between each other)
    x = f(f(f( ... a)))               ->   stored: every so many f, or the kernel would have no end
    scatter(x, f(f( ... index)), v)   ->   stored: what is scattered, and the places, where they take much arithmetic
    z = fft(x) * y                    ->   stored: what is complex, and what is read by it (NumPy computes it)
    t = lgamma(x), used by 3 kernels  ->   stored: t (`dear_values`: known when the kernels are)

Start with `Storing`.
"""
from ..ir.extents import product
from ..ir.graph import ELEMENTWISE
from .expressions import is_complex, is_inline, is_int, is_movement, key, price

CONVOLUTIONS = ("convolution", "correlation", "correlations")  # the primitives of convolution.py
LARGEST_VALUE = 400     # instructions of one vector, about, that a value may take from what is stored
LARGEST_KERNEL = 1000   # and a kernel
LARGEST_PROLOGUE = 12   # instructions of one vector that are rather done several times than their result written down once
LEAST_PROLOGUE = 65536  # elements that are worth it
LARGEST_SCATTERED = 8   # instructions for a number that is scattered, or for its place: they are done for one number at a time
DEAR = 15               # instructions of one vector, from where on a primitive counts as dear
DEAR_VALUE = 60         # what it costs, in instructions of one vector, to write a value down and read it again
MANY_PARTS = 5          # of a cat, that are rather computed side by side once
_LEAVES = frozenset(["leaf", "constant", "scalar", "extent", "iota"])
_BY_STRIDES = frozenset(["permute", "reshape", "expand", "slice"])


class Storing:
    """`stored` are the nodes that lie in memory, `prologues` pairs (contraction, operand that is computed as it is read).

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
        self.dear = 0
        for node in self.order:
            bit[node] = 1 << len(bit) if node.primitive not in _LEAVES and not is_movement(node) else 0
            if price(node.primitive) >= DEAR:
                self.dear |= bit[node]

            if node.primitive.startswith("scatter."):
                self.stored.update(i for i in node.inputs[1:] if self.size(made_of[i]) > LARGEST_SCATTERED)

            def gathered(node=node):
                bits = bit[node]
                for i in node.inputs:
                    bits |= 0 if i in self.stored else made_of[i]
                return bits
            made_of[node] = gathered()
            if self.size(made_of[node]) > LARGEST_VALUE and is_inline(node):
                self.stored.update(i for i in node.inputs if self.size(made_of[i]) > LARGEST_VALUE // 4 and i.primitive != "leaf")
                made_of[node] = gathered()

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
