"""Control flow as functions of functions: cond, while_loop, map, scan, associative_scan (torch.cond and torch._higher_order_ops).

    associative_scan(add, x, dim)      [a, b, c, d]  ->  [a, ab, abc, abcd]
        pairs      ab, cd              half as many, scanned by the same rule: ab, abcd
        between    abc = ab + c        the others, from the scanned ones before them

PyTorch has them so that its tracers see a branch or a loop as one operator.  Here a program's own branches and loops are recorded as they run, so
each is what its documentation says in ordinary Python.  Operands and results are trees of tensors.
"""
import functools

import rushlight as torch

from .autograd.mapping import vmap
from .utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten


def cond(pred, true_fn, false_fn, operands=()):
    """`true_fn(*operands)` if `pred` (a bool or a tensor of one element), else `false_fn(*operands)`.
    https://docs.pytorch.org/docs/stable/generated/torch.cond.html
    """
    if not isinstance(pred, (bool, torch.Tensor)):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred}.")
    if isinstance(pred, torch.Tensor) and pred.numel() != 1:
        raise RuntimeError(f"Expected pred to be bool or single-element tensor, but got {pred}.")
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches to be callable.")
    if not isinstance(operands, (tuple, list)):
        raise RuntimeError(f"Expect operands to be a tuple of possibly nested dict/list/tuple that only consists of tensor leaves, but got {operands}.")
    return (true_fn if pred else false_fn)(*operands)


def while_loop(cond_fn, body_fn, carried_inputs):
    """carried = body_fn(*carried) while cond_fn(*carried); the last ones."""
    if not callable(cond_fn) or not callable(body_fn):
        raise RuntimeError("Expect cond_fn and body_fn to be callable.")
    if not isinstance(carried_inputs, (tuple, list)):
        raise RuntimeError(f"Expect carried_inputs to be a tuple or list, but got {carried_inputs}.")
    carried = tuple(carried_inputs)
    while cond_fn(*carried):
        result = body_fn(*carried)
        if not isinstance(result, tuple) or len(result) != len(carried):
            raise RuntimeError(f"body_fn should return a tuple of as many results as it takes, but returned {result}.")
        carried = result
    return carried


def map(f, xs, *args):
    """`f(x, *args)` for each x along the first dimension of `xs`, stacked."""
    leaves, tree = tree_flatten(xs)
    results = [f(tree_unflatten([leaf[i] for leaf in leaves], tree), *args) for i in range(_length(leaves, 0))]
    return tree_map(lambda *parts: torch.stack(parts), *results)


def scan(combine_fn, init, xs, *, dim=0, reverse=False):
    """carry, y = combine_fn(carry, x) for each x along `dim` of `xs`: the last carry, and all y stacked along `dim`."""
    leaves, tree = tree_flatten(xs)
    if not leaves:
        return init, []
    carry, results = init, []
    order = range(_length(leaves, dim))
    for i in reversed(order) if reverse else order:
        carry, y = combine_fn(carry, tree_unflatten([leaf.select(dim, i) for leaf in leaves], tree))
        results.append(y)
    if reverse:
        results.reverse()
    return carry, tree_map(lambda *parts: torch.stack(parts, dim), *results)


def associative_scan(combine_fn, xs, dim, reverse=False, combine_mode="pointwise"):
    """All partial results along `dim` of an associative `combine_fn(a, b)`, where a and b are trees like `xs`.

    combine_mode: "pointwise" calls it with slices of many places at once, "generic" for each place (by vmap).
    https://docs.pytorch.org/docs/stable/higher_order_ops/associative_scan.html
    """
    if not callable(combine_fn):
        raise ValueError(f"Combine_fn must be a callable, but got {combine_fn}")
    if combine_mode not in ("pointwise", "generic"):
        raise ValueError(f"Combine_mode must either 'pointwise' or 'generic', but got {combine_mode}")
    leaves, tree = tree_flatten(xs)
    if not leaves:
        raise ValueError("Expected at least 1 xs leaf")
    if any(not isinstance(leaf, torch.Tensor) for leaf in leaves):
        raise ValueError("xs leaves must be a Tensor")
    if any(leaf.shape != leaves[0].shape for leaf in leaves):
        raise ValueError("All xs leaves must have the same shape")
    dim = dim % leaves[0].ndim

    def combined(a, b):
        return tree_leaves(combine_fn(tree_unflatten(a, tree), tree_unflatten(b, tree)))

    if combine_mode == "generic":
        combined = functools.partial(_at_each_place, combined, dim)
    if reverse:
        leaves = [leaf.flip(dim) for leaf in leaves]
    scanned = _scanned(combined, leaves, dim)
    return tree_unflatten([leaf.flip(dim) for leaf in scanned] if reverse else scanned, tree)


def _at_each_place(combined, dim, a, b):
    return list(vmap(lambda *parts: tuple(combined(list(parts[:len(a)]), list(parts[len(a):]))), in_dims=dim, out_dims=dim)(*a, *b))


def _scanned(combined, leaves, dim):
    n = _length(leaves, dim)
    if n < 2:
        return leaves
    pairs = combined(_every_other(leaves, dim, 0, n - 1), _every_other(leaves, dim, 1, n))
    odd = _scanned(combined, pairs, dim)
    first = [leaf.narrow(dim, 0, 1) for leaf in leaves]
    if n == 2:
        even = first
    else:
        before = [leaf.narrow(dim, 0, leaf.shape[dim] - 1) for leaf in odd] if n % 2 == 0 else odd
        rest = combined(before, _every_other(leaves, dim, 2, n))
        even = [torch.cat(parts, dim) for parts in zip(first, rest)]
    return [_in_turn(a, b, dim) for a, b in zip(even, odd)]


def _every_other(leaves, dim, start, end):
    return [leaf[(slice(None),) * dim + (slice(start, end, 2),)] for leaf in leaves]


def _in_turn(even, odd, dim):
    """even[0], odd[0], even[1] ...; there may be one more of the even ones."""
    count = odd.shape[dim]
    both = torch.stack([even.narrow(dim, 0, count), odd], dim + 1).flatten(dim, dim + 1)
    return both if even.shape[dim] == count else torch.cat([both, even.narrow(dim, count, 1)], dim)


def _length(leaves, dim):
    return leaves[0].shape[dim]
