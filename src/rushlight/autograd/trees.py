"""Nested containers, as functional transforms take and return them.

    {"w": a, "rest": (b, [c])}   ->   leaves [a, b, c], and a structure with holes that `build` fills again

Tuples (named ones too), lists and dictionaries are containers; all else is a leaf.
"""
from collections import OrderedDict, defaultdict

LEAF = "*"


def flatten(tree):
    """(leaves in order, structure).  Two trees of the same shape have equal structures."""
    leaves = []
    return leaves, _structure(tree, leaves)


def _structure(tree, leaves):
    kind = type(tree)
    if isinstance(tree, tuple) or kind is list:
        return kind, None, tuple(_structure(part, leaves) for part in tree)
    if kind in (dict, OrderedDict, defaultdict):
        maker = getattr(tree, "default_factory", None)
        return kind, (tuple(tree), maker), tuple(_structure(part, leaves) for part in tree.values())
    leaves.append(tree)
    return LEAF


def build(structure, leaves):
    """The tree of that structure with these leaves."""
    return _built(structure, iter(leaves))


def _built(structure, leaves):
    if structure is LEAF:
        return next(leaves)
    kind, keys, parts = structure
    made = [_built(part, leaves) for part in parts]
    if keys is None:
        return kind(*made) if hasattr(kind, "_fields") else kind(made)
    names, maker = keys
    return defaultdict(maker, zip(names, made)) if kind is defaultdict else kind(zip(names, made))


def count(structure):
    """How many leaves it has."""
    return 1 if structure is LEAF else sum(count(part) for part in structure[2])


def apply(function, tree):
    """The same tree with function(leaf) for each leaf."""
    leaves, structure = flatten(tree)
    return build(structure, [function(leaf) for leaf in leaves])


def spread(prefix, structure):
    """One value for each leaf of `structure`: those of `prefix`, a tree of the same structure in which one value may stand for a whole
    subtree.  None where the two do not fit."""
    if structure is LEAF or not isinstance(prefix, (tuple, list, dict)):
        return None if isinstance(prefix, (tuple, list, dict)) else [prefix] * count(structure)
    kind, keys, parts = structure
    if type(prefix) is not kind or len(prefix) != len(parts) or keys is not None and list(prefix) != list(keys[0]):
        return None
    found = [spread(below, part) for below, part in zip(prefix.values() if keys is not None else prefix, parts)]
    return None if any(values is None for values in found) else [value for values in found for value in values]
