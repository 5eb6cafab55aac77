"""Rewrites of the graph before it is scheduled: each is one function with its own before and after.

    leaf with strides (1, 4)                ->  permute(leaf with strides (4, 1), (1, 0))
    sum(permute(x, order), axes)            ->  sum(x, axes'), permuted               sums follow the memory that the user sees
    sum(x, (0, 1)) of 4096 x 768            ->  sum(sum(x, 1), 0)                     rows are summed where they are made
    sum(x of 10 million)                    ->  sum(partial sums of blocks)           threads, and precision
    permute(a @ b, (1, 0))                  ->  permute(b) @ permute(a)               written as it is wanted
    correlation(y, x)                       ->  sum(correlations of some images)      threads
    scatter add of one number in each row   ->  where(column == index, x + v, x)      reads like any other map
    mean(x) and, in its gradient, mean(x)   ->  the same node twice                   made once
    pad(a, ..) + pad(b, ..)                 ->  cat(a, b)                             each part is written where it belongs
    as_strided(assign(x, v, region), region) -> v

They are part of what an operator means to every program, fused or not, so results do not depend on fusion.  Start with `rewrite`.
"""
import functools
from collections import Counter

from ..ir.extents import Extent, current, extent_value, product
from ..ir.graph import Node, cat, constant, contraction, elementwise, expand, numel, pad, permute, reduce, reshape, topological
from .expressions import is_complex, is_int, key, same

ROW_BLOCK = 65536     # elements of a run that are summed as one
COLUMN_BLOCK = 128    # rows that are added up as one
WHOLE_COLUMN = 256    # and so many where there are no more
LONG_ROW = 256        # elements that are summed before what lies around them
CORRELATION_PARTS = ((1 << 15, 16), (1 << 18, 4))  # (elements of the result, parts that images are then divided into)
LEAST_PART = 512      # places of all images that are worth a part
MOST_PARTS = 32       # of a sum whose parts are put together, in case they lie apart


def rewrite(roots):
    """The roots with every node replaced by what the rules make of it.

    Ends: each node is visited once, and no rule's result is visited again except through a shorter reduction.
    """
    new, order, plain, made, wanted = {}, topological(roots), simplifier(), {}, set(roots)
    users = Counter(i for node in order for i in node.inputs)
    users.update(roots)
    for node in order:
        inputs, attributes, shape = tuple(new[i] for i in node.inputs), plain(node.attributes), plain(node.shape)
        if attributes is not node.attributes or shape is not node.shape or any(a is not b for a, b in zip(inputs, node.inputs)):
            node_now = Node(node.primitive, inputs, attributes, shape, node.dtype)
        else:
            node_now = node
        rule = _RULES.get(node.primitive.split(".")[0])
        if node.primitive == "permute" and node.inputs[0].primitive == "contraction" and users[node.inputs[0]] == 1:
            rule = _transposed_product
        if is_complex(node):
            rule = None
        node_now = rule(node_now) if rule else node_now
        first = made.setdefault(_content(node_now), node_now)
        new[node] = node_now if node in wanted else first  # what is wanted has memory of its own
    return [new[r] for r in roots]


def _content(node):
    """What a node says: two nodes of the same content are the same value."""
    return node.primitive, node.inputs, _plain(node.attributes), _plain(node.shape), node.dtype


def _plain(x):
    """Attributes as something to compare: extents by their terms, floats by their bits, what has no hash by its identity."""
    if isinstance(x, tuple):
        return tuple(map(_plain, x))
    if isinstance(x, (int, str, Extent)):
        return type(x), key(x)
    return repr(x) if isinstance(x, (float, complex)) else id(x)


def simplifier():
    """A function that writes extents known to be equal as one text, so that whoever compares texts sees it; also in tuples of them."""
    assumptions, known = current(), {}
    if assumptions is None or not assumptions.equal:
        return lambda x: x

    def plain(x):
        if isinstance(x, tuple):
            if not x:
                return x
            parts = tuple(map(plain, x))
            return x if all(a is b for a, b in zip(parts, x)) else parts
        if not isinstance(x, Extent):
            return x
        if x.terms not in known:
            simple = assumptions.simplify(x)
            known[x.terms] = None if isinstance(simple, Extent) and simple.terms == x.terms else simple
        return x if known[x.terms] is None else known[x.terms]
    return plain


def _leaf(node):
    """Memory whose dimensions do not lie in their order is a permutation of memory whose dimensions do.

        before   leaf (4, 8) with strides (1, 4)
        after    permute(leaf (8, 4) with strides (4, 1), (1, 0))
    """
    number, strides, storage = node.attributes
    order = sorted(range(node.ndim), key=lambda d: -extent_value(strides[d]) if not is_int(node.shape[d], 1) else 0)
    if [d for d in order if not is_int(node.shape[d], 1)] == [d for d in range(node.ndim) if not is_int(node.shape[d], 1)]:
        return node
    inner = Node("leaf", (), (number, tuple(strides[d] for d in order), storage), tuple(node.shape[d] for d in order), node.dtype)
    return permute(inner, [order.index(d) for d in range(node.ndim)])


def _reduce(node):
    x = node.inputs[0]
    exact = node.primitive in ("reduce.max", "reduce.min") or node.primitive == "reduce.sum" and node.dtype.kind in "bui"
    if x.primitive == "permute" and exact:
        return _reduce_in_memory_order(node, x)
    return _cut(node)


def _reduce_in_memory_order(node, x):
    """Reduce what lies under a permutation, and permute what is left, where the order of elements does not count: that of a sum of
    floats follows from the shape that users see, whether the permutation is still pending or was looked at before.

        before   sum(permute(x, (1, 0)), 0)
        after    sum(x, 1)
    """
    order = x.attributes[0]
    inner = _reduce(reduce(node.primitive.split(".")[1], x.inputs[0], [order[a] for a in node.attributes[0]]))
    kept = [order[d] for d in range(x.ndim) if d not in node.attributes[0]]
    ranks = sorted(kept)
    return permute(inner, [ranks.index(d) for d in kept])


def _cut(node):
    """Cut a long reduction into blocks whose results are reduced in turn.

        before   sum(x, 0)                    x of 1000000
        after    sum(partial_sum(x, 0), 0)    partial sums of 16 blocks

    Several runs of neighbouring dimensions are reduced one after the other, the last one first; and in front of that, so many of the
    last dimensions as make a long row.
    """
    x, name, axes = node.inputs[0], node.primitive.split(".")[1], node.attributes[0]
    axes = [a for a in axes if not is_int(x.shape[a], 1)]
    if name.startswith("arg") or not axes:
        return node
    last = max(d for d, n in enumerate(x.shape) if not is_int(n, 1))
    row = _long_row(x.shape, axes) if last in axes else axes
    if len(row) < len(axes):
        return _in_turn(name, x, row, node.attributes[0])
    block = ROW_BLOCK if last in axes else COLUMN_BLOCK
    if product(x.shape[a] for a in axes) <= (ROW_BLOCK if last in axes else WHOLE_COLUMN):
        return node
    run = [axes[-1]]
    while run[0] - 1 in axes or (run[0] > 0 and is_int(x.shape[run[0] - 1], 1) and any(a < run[0] for a in axes)):
        run.insert(0, run[0] - 1)
    if set(axes) - set(run):
        return _in_turn(name, x, run, node.attributes[0])
    length = product(x.shape[a] for a in axes)
    kept = [n for d, n in enumerate(x.shape) if d not in node.attributes[0]]
    blocks = (length + (block - 1)) // block
    partial = Node("partial." + name, (x,), (node.attributes[0], block), (blocks, *kept), node.dtype)
    return _cut(reduce(name, partial, (0,)))


def _in_turn(name, x, first, axes):
    """The axes `first` reduced, then the others."""
    inner = _cut(reduce(name, x, first))
    return _cut(reduce(name, inner, [a - sum(b < a for b in first) for a in axes if a not in first]))


def _long_row(shape, axes):
    """As few of the last reduced dimensions, neighbours of each other, as make a long row; all axes where there is none."""
    row = []
    for d in range(max(axes), -1, -1):
        if is_int(shape[d], 1):
            continue
        if d not in axes:
            break
        row.insert(0, d)
        if product(shape[a] for a in row) >= LONG_ROW:
            return row
    return axes


def _transposed_product(node):
    """A product that is wanted with rows and columns swapped, and not otherwise, is made that way: each sum is the same.

        before   permute(a @ b, (1, 0))
        after    permute(b, (1, 0)) @ permute(a, (1, 0))
    """
    order, (a, b) = node.attributes[0], node.inputs[0].inputs
    swap = (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2)
    if order != swap:
        return node
    return contraction(permute(b, swap), permute(a, swap))


def _convolution(node):
    """Windows of which there are none are no product: the loops over them would have no shape that others could be read in.

        before   convolution(x, w)     (2, 3, 0, 4)
        after    expand(0)             (2, 3, 0, 4)
    """
    if not any(is_int(n, 0) for n in node.shape):
        return node
    return expand(reshape(constant(0, node.dtype), (1,) * node.ndim), node.shape)


def _correlation(node):
    """Sums over many images that are few are made for some of the images each, and then added up.

        before   correlation(y, x)                           gradient of 64 x 64 x 3 x 3 weights, from 32 images
        after    sum(correlations(y, x, 8 images each), 0)   four of them

    Elsewhere there are enough sums for all threads."""
    y, x = node.inputs
    parts = next((parts for most, parts in CORRELATION_PARTS if product(node.shape) <= most), 1)
    if parts == 1 or not y.shape[0] >= parts or not product(y.shape) >= parts * LEAST_PART * y.shape[1]:
        return node
    images = (y.shape[0] + (parts - 1)) // parts
    return reduce("sum", Node("correlations", (y, x), (*node.attributes, images), (parts, *node.shape), node.dtype), (0,))


def _as_strided(node):
    """What was just written into a region, read from the same region.

        before   as_strided(assign(flat, v, strides, offset), v.shape, strides, offset)
        after    v
    """
    flat = node.inputs[0]
    if flat.primitive == "assign" and _same(flat.attributes, node.attributes) and _same(flat.inputs[1].shape, node.shape):
        return flat.inputs[1]
    return node


def _assign(node):
    """A region that is written twice keeps what came last.

        before   assign(assign(flat, v, region), w, region)
        after    assign(flat, w, region)
    """
    flat, value = node.inputs
    if flat.primitive == "assign" and _same(flat.attributes, node.attributes) and _same(flat.inputs[1].shape, value.shape):
        return Node("assign", (flat.inputs[0], value), node.attributes, node.shape, node.dtype)
    return node


def _add(node):
    """What is sent back to the parts of one tensor, each with zeros where the others are, is put together.

        before   pad(a, ((0, 0), (0, n))) + pad(b, ((0, 0), (m, 0)))          a of m columns, b of n
        after    cat(a + 0, b + 0)                                            (+ 0, for -0 + 0 is 0)
    """
    first, second = node.inputs
    if not (_is_padded(first) and _is_padded(second)):
        return _joined(node)
    for first, second in (node.inputs, node.inputs[::-1]):
        joined = _to_an_end(first, second) or _side_by_side(first, second)
        if joined is not None:
            return _padded_again(joined, first, node.shape)
    return node


def _is_padded(x):
    return x.primitive == "pad" and x.dtype.kind in "fiu" and repr(x.attributes[1]) in ("0", "0.0")


def _padded_again(joined, first, shape):
    """What begins where the first of its parts begins, within its padding; as it is where that leaves nothing to pad."""
    lows = [low for low, _ in first.attributes[0]]
    if all(is_int(low, 0) and _are_equal(m, n) for low, m, n in zip(lows, joined.shape, shape)):
        return Node(joined.primitive, joined.inputs, joined.attributes, shape, joined.dtype)
    return pad(joined, [(low, n + (low + m) * -1) for low, m, n in zip(lows, joined.shape, shape)])


def _joined(total):
    """A sum of several such parts that lie apart along one axis, in whatever order they come; the sum itself where none are neighbours.

        before   (pad(a, ((0, 2))) + pad(c, ((2, 0)))) + pad(b, ((1, 1)))
        after    cat(a + 0, b + 0, c + 0)
    """
    parts = _padded_parts(total)
    if parts is None:
        return total
    axes = {d for x in parts for d, widths in enumerate(x.attributes[0]) if not all(is_int(n, 0) for n in widths)}
    if len(axes) != 1:
        return total
    axis, = axes
    parts.sort(key=lambda x: extent_value(x.attributes[0][axis][0]))
    ends = [x.attributes[0][axis][0] + x.inputs[0].shape[axis] for x in parts]
    if not all(end <= x.attributes[0][axis][0] for end, x in zip(ends, parts[1:])):
        return total
    joined = parts[:1]
    for part in parts[1:]:
        both = _side_by_side(joined[-1], part)
        if both is None:
            joined.append(part)
        else:
            joined[-1] = _padded_again(both, joined[-1], total.shape)
    return total if len(joined) == len(parts) else functools.reduce(functools.partial(elementwise, "add"), joined)


def _padded_parts(total):
    """The nodes with zeros around them that a sum is made of; None where it is made of others too, or of very many."""
    parts, waiting = [], [total]
    while waiting:
        x = waiting.pop()
        if _is_padded(x):
            parts.append(x)
        elif x.primitive == "add" and len(parts) + len(waiting) < MOST_PARTS:
            waiting += x.inputs[::-1]
        else:
            return None
    return parts


def _side_by_side(first, second):
    """What two nodes have inside their padding as one; None where the first does not end where the second begins."""
    (a, b), (widths, others) = ((x.inputs[0].shape for x in (first, second)), (x.attributes[0] for x in (first, second)))
    apart = [d for d in range(first.ndim) if not (_same(widths[d], others[d]) and _same(a[d], b[d]))]
    if len(apart) != 1:
        return None
    axis, = apart
    if not _are_equal(widths[axis][0] + a[axis], others[axis][0]) or not _are_equal(widths[axis][1], b[axis] + others[axis][1]):
        return None
    return cat([_plus_zero(p) for x in (first, second) for p in _parts(x.inputs[0], axis)], axis)


def _to_an_end(first, second):
    """What the first node has inside its padding, with that of the second added to all of it, or to the first or last of its parts, where
    it lies just there; else None.

        before   pad(cat(a, b), ((1, 0))) + pad(c, ((1, n)))          c of a's shape
        after    pad(cat(a + c, b), ((1, 0)))
    """
    x, y, widths, others = first.inputs[0], second.inputs[0], first.attributes[0], second.attributes[0]
    apart = [d for d in range(x.ndim) if not (_same(x.shape[d], y.shape[d]) and all(map(_are_equal, widths[d], others[d])))]
    if not apart:
        return elementwise("add", x, y)
    if len(apart) > 1 or x.primitive != "cat" or x.attributes != tuple(apart):
        return None
    parts, axis = list(x.inputs), apart[0]
    for end in (0, -1):
        if _same(parts[end].shape, y.shape) and _are_equal(widths[axis][end], others[axis][end]):
            parts[end] = elementwise("add", parts[end], y)
            return cat(parts, axis)
    return None


def _parts(x, axis):
    return x.inputs if x.primitive == "cat" and x.attributes == (axis,) else (x,)


def _are_equal(a, b):
    """Whether two extents are equal, by what is known or else by their values, which then have to be so in every run."""
    return same(a, b) or extent_value(a) == extent_value(b) and bool(a == b)


def _plus_zero(x):
    if x.dtype.kind != "f" or x.primitive == "add" and x.inputs[1].primitive == "expand" and _is_zero(x.inputs[1].inputs[0]):
        return x
    return elementwise("add", x, expand(reshape(Node("constant", (), (0.0,), (), x.dtype), (1,) * x.ndim), x.shape))


def _is_zero(x):
    while x.primitive == "reshape":
        x = x.inputs[0]
    return x.primitive == "constant" and repr(x.attributes[0]) == "0.0"


def _scatter(node):
    """One place in each row: ask of every element whether it is the one.

        before   scatter add(x, (i, index[i]), v[i])           i = 0, 1, ...
        after    where(j == index[i], x[i, j] + v[i], x[i, j])

    Only where the index of every axis but the last counts along its own dimension, so that no place is met twice.
    """
    x, values, *indices = node.inputs
    name, axes = node.primitive.split(".")[1], node.attributes[0]
    places = indices[0].shape
    if axes != tuple(range(x.ndim)) or len(places) < x.ndim - 1 or not all(_counts(i, d, x.shape[d]) for d, i in enumerate(indices[:-1])):
        return node
    if len(places) > x.ndim - 1 and not (len(places) == x.ndim and is_int(places[-1], 1)):
        return node
    if not _same(tuple(places[:x.ndim - 1]), x.shape[:-1]):
        return node
    column = (*x.shape[:-1], 1)
    index, value = (expand(reshape(v, column), x.shape) for v in (indices[-1], values))
    here = elementwise("eq", _counting(x.shape), index)
    combined = value if name == "set" else elementwise({"add": "add", "mul": "mul", "max": "maximum", "min": "minimum"}[name], x, value)
    return elementwise("where", here, combined, x)


def _counting(shape):
    """The index along the last dimension, everywhere."""
    return expand(reshape(Node("iota", (), (), (shape[-1],), _int64()), (*(1,) * (len(shape) - 1), shape[-1])), shape)


def _int64():
    from ..ir import dtypes
    return dtypes.int64


def _counts(index, dimension, extent):
    """Whether an index node is the counting index of its own dimension `dimension`."""
    while index.primitive in ("expand", "reshape"):
        if index.primitive == "reshape":
            sized = [d for d, n in enumerate(index.shape) if not is_int(n, 1)]
            if sized not in ([dimension], []):
                return False
        index = index.inputs[0]
    return index.primitive == "iota" and key(numel(index)) == key(extent)


def _same(a, b):
    """Whether two tuples of extents are the same text."""
    if isinstance(a, tuple) or isinstance(b, tuple):
        return isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b))
    return key(a) == key(b)


_RULES = {"leaf": _leaf, "convolution": _convolution, "correlation": _correlation, "reduce": _reduce, "as_strided": _as_strided, "assign": _assign, "add": _add,
          "scatter": _scatter}
