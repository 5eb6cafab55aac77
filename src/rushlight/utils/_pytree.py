"""torch.utils._pytree: nested containers, as libraries written for PyTorch take them apart.  autograd/trees.py says what is one.

    leaves, spec = tree_flatten({"w": a, "rest": (b, [c])})      [a, b, c]
    tree_unflatten(leaves, spec)                                 {"w": a, "rest": (b, [c])}
"""
from ..autograd import trees

tree_flatten = trees.flatten


def tree_unflatten(leaves, treespec):
    """The tree of that structure with these leaves."""
    return trees.build(treespec, leaves)


def tree_leaves(tree):
    """The leaves in order."""
    return trees.flatten(tree)[0]


def tree_map(func, tree, *rests):
    """The same tree with func(leaf, and the leaves at the same place of the other trees) for each leaf."""
    leaves, structure = trees.flatten(tree)
    others = []
    for rest in rests:
        found, other = trees.flatten(rest)
        if other != structure:
            raise ValueError(f"tree_map: the trees differ: {structure} and {other}")
        others.append(found)
    return trees.build(structure, list(map(func, leaves, *others)))


def tree_map_only(kind, func, tree):
    """The same tree with func(leaf) for each leaf of that type; other leaves stay."""
    return trees.apply(lambda leaf: func(leaf) if isinstance(leaf, kind) else leaf, tree)


def tree_all(pred, tree):
    """Whether pred holds for every leaf."""
    return all(map(pred, tree_leaves(tree)))


def tree_any(pred, tree):
    """Whether pred holds for some leaf."""
    return any(map(pred, tree_leaves(tree)))
