"""torch.utils._pytree: nested containers, as libraries written for PyTorch take them apart.

    leaves, spec = tree_flatten({"w": a, "rest": (b, [c])})      [a, b, c], TreeSpec(dict, ["w", "rest"], ...)
    tree_unflatten(leaves, spec)                                 {"w": a, "rest": (b, [c])}

Lists, tuples, named tuples, dictionaries, OrderedDict, defaultdict and deque are containers, and what `register_pytree_node` adds.
"""
import functools
import json
from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

PyTree, Context = Any, Any
NodeDef = namedtuple("NodeDef", ["type", "flatten_fn", "unflatten_fn", "flatten_with_keys_fn"])
SUPPORTED_NODES = {}


class SequenceKey(namedtuple("SequenceKey", ["idx"])):
    """The place of a part in a sequence."""

    def __str__(self):
        return f"[{self.idx!r}]"

    def get(self, sequence):
        """The part."""
        return sequence[self.idx]


class MappingKey(namedtuple("MappingKey", ["key"])):
    """The place of a part in a mapping."""

    def __str__(self):
        return f"[{self.key!r}]"

    def get(self, mapping):
        """The part."""
        return mapping[self.key]


class GetAttrKey(namedtuple("GetAttrKey", ["name"])):
    """The place of a part among attributes."""

    def __str__(self):
        return f".{self.name}"

    def get(self, obj):
        """The part."""
        return getattr(obj, self.name)


def register_pytree_node(cls, flatten_fn, unflatten_fn, *, serialized_type_name=None, to_dumpable_context=None, from_dumpable_context=None,
                         flatten_with_keys_fn=None):
    """Make a class a container: `flatten_fn(x)` gives (parts, context), `unflatten_fn(parts, context)` one like it."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)


_register_pytree_node = register_pytree_node


def _sequence_with_keys(x):
    return [(SequenceKey(i), part) for i, part in enumerate(x)], None


def _list_flatten(x):
    return list(x), None


def _list_unflatten(parts, context):
    return list(parts)


def _tuple_flatten(x):
    return list(x), None


def _tuple_unflatten(parts, context):
    return tuple(parts)


def _dict_flatten(x):
    return list(x.values()), list(x.keys())


def _dict_flatten_with_keys(x):
    return [(MappingKey(key), part) for key, part in x.items()], list(x.keys())


def _dict_unflatten(parts, context):
    return dict(zip(context, parts))


_list_flatten_with_keys = _tuple_flatten_with_keys = _sequence_with_keys
register_pytree_node(list, _list_flatten, _list_unflatten, flatten_with_keys_fn=_sequence_with_keys)
register_pytree_node(tuple, _tuple_flatten, _tuple_unflatten, flatten_with_keys_fn=_sequence_with_keys)
register_pytree_node(dict, _dict_flatten, _dict_unflatten, flatten_with_keys_fn=_dict_flatten_with_keys)
register_pytree_node(OrderedDict, _dict_flatten, lambda parts, keys: OrderedDict(zip(keys, parts)), flatten_with_keys_fn=_dict_flatten_with_keys)
register_pytree_node(
    defaultdict, lambda x: (list(x.values()), [x.default_factory, list(x)]),
    lambda parts, context: defaultdict(context[0], zip(context[1], parts)),
    flatten_with_keys_fn=lambda x: ([(MappingKey(key), part) for key, part in x.items()], [x.default_factory, list(x)]))
register_pytree_node(deque, lambda x: (list(x), x.maxlen), lambda parts, longest: deque(parts, maxlen=longest),
                     flatten_with_keys_fn=lambda x: (_sequence_with_keys(x)[0], x.maxlen))
register_pytree_node(namedtuple, lambda x: (list(x), type(x)), lambda parts, kind: kind(*parts),
                     flatten_with_keys_fn=lambda x: ([(GetAttrKey(name), part) for name, part in zip(x._fields, x)], type(x)))


def is_namedtuple_instance(x):
    """Whether `x` is a named tuple."""
    return isinstance(x, tuple) and hasattr(type(x), "_fields")


def is_structseq_instance(x):
    """Whether `x` is one of the named tuples that C code makes: never of ours."""
    return isinstance(x, tuple) and hasattr(type(x), "n_sequence_fields")


def _get_node_type(tree):
    return namedtuple if type(tree) not in SUPPORTED_NODES and is_namedtuple_instance(tree) else type(tree)


def tree_is_leaf(tree, is_leaf=None):
    """Whether it is no container."""
    return is_leaf is not None and is_leaf(tree) or _get_node_type(tree) not in SUPPORTED_NODES


_is_leaf = tree_is_leaf


class TreeSpec:
    """The structure of a tree: the type of its root, what else is to be known of it, and the structures of its parts."""

    def __init__(self, type, context, children_specs):
        self.type, self.context, self.children_specs = type, context, list(children_specs)

    num_nodes = property(lambda self: 1 + sum(child.num_nodes for child in self.children_specs))
    num_leaves = property(lambda self: 1 if self.is_leaf() else sum(child.num_leaves for child in self.children_specs))
    num_children = property(lambda self: len(self.children_specs))

    def is_leaf(self):
        """Whether it is that of a leaf."""
        return self.type is None

    def children(self):
        """The structures of the parts."""
        return list(self.children_specs)

    def child(self, index):
        """The structure of one part."""
        return self.children_specs[index]

    def flatten_up_to(self, tree):
        """The subtrees of `tree` that stand where this structure has leaves.  ValueError where it does not begin like this."""
        if self.is_leaf():
            return [tree]
        if _get_node_type(tree) is not self.type:
            raise ValueError(f"Type mismatch; expected {self.type!r}, but got {_get_node_type(tree)!r}.")
        parts, context = SUPPORTED_NODES[self.type].flatten_fn(tree)
        if len(parts) != len(self.children_specs):
            raise ValueError(f"Node arity mismatch; expected {len(self.children_specs)}, but got {len(parts)}.")
        if self.type in (dict, OrderedDict):
            if set(context) != set(self.context):
                raise ValueError(f"Node keys mismatch; expected {self.context}, but got {context}.")
            parts = [tree[key] for key in self.context]
        elif context != self.context:
            raise ValueError(f"Node context mismatch for node type {self.type!r}; expected {self.context}, but got {context}.")
        return [sub for spec, part in zip(self.children_specs, parts) for sub in spec.flatten_up_to(part)]

    def unflatten(self, leaves):
        """The tree of this structure with these leaves."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but the spec refers to a pytree that holds "
                             f"{self.num_leaves} items ({self}).")
        return self._filled(iter(leaves))

    def _filled(self, leaves):
        if self.is_leaf():
            return next(leaves)
        return SUPPORTED_NODES[self.type].unflatten_fn([child._filled(leaves) for child in self.children_specs], self.context)

    def __eq__(self, other):
        return isinstance(other, TreeSpec) and (self.type, self.context, self.children_specs) == (other.type, other.context, other.children_specs)

    def __hash__(self):
        return hash((self.type, str(self.context), tuple(self.children_specs)))

    def __repr__(self):
        if self.is_leaf():
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context}, [{', '.join(map(repr, self.children_specs))}])"


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    def __init__(self):
        super().__init__(None, None, [])


def treespec_leaf():
    """The structure of a leaf."""
    return LeafSpec()


def tree_flatten(tree, is_leaf=None):
    """(leaves in order, TreeSpec)."""
    leaves = []

    def spec_of(part):
        if tree_is_leaf(part, is_leaf):
            leaves.append(part)
            return LeafSpec()
        kind = _get_node_type(part)
        parts, context = SUPPORTED_NODES[kind].flatten_fn(part)
        return TreeSpec(kind, context, [spec_of(p) for p in parts])
    spec = spec_of(tree)
    return leaves, spec


def tree_unflatten(leaves, treespec):
    """The tree of that structure with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(f"tree_unflatten(leaves, treespec): Expected `treespec` to be instance of TreeSpec but got item of type {type(treespec)}.")
    return treespec.unflatten(leaves)


def tree_flatten_with_path(tree, is_leaf=None):
    """([(path, leaf), ...], TreeSpec); a path is a tuple of keys."""
    return list(tree_iter_with_path(tree, is_leaf)), tree_structure(tree, is_leaf)


def tree_iter_with_path(tree, is_leaf=None, path=()):
    """(path, leaf) for each leaf."""
    if tree_is_leaf(tree, is_leaf):
        yield path, tree
        return
    node = SUPPORTED_NODES[_get_node_type(tree)]
    if node.flatten_with_keys_fn is None:
        raise ValueError(f"Did not find a flatten_with_keys_fn for type: {node.type}. Please pass a flatten_with_keys_fn argument to "
                         "register_pytree_node.")
    for key, part in node.flatten_with_keys_fn(tree)[0]:
        yield from tree_iter_with_path(part, is_leaf, (*path, key))


def tree_leaves_with_path(tree, is_leaf=None):
    """[(path, leaf), ...]."""
    return list(tree_iter_with_path(tree, is_leaf))


def keystr(path):
    """A path as Python would write it: "['w'][0]"."""
    return "".join(map(str, path))


def key_get(obj, path):
    """What stands at a path."""
    for key in path:
        obj = key.get(obj)
    return obj


def tree_iter(tree, is_leaf=None):
    """The leaves, one after the other."""
    yield from tree_flatten(tree, is_leaf)[0]


def tree_leaves(tree, is_leaf=None):
    """The leaves in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree, is_leaf=None):
    """The TreeSpec."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func, tree, *rests, is_leaf=None):
    """The same tree with func(leaf, and what stands at its place in the other trees) for each leaf."""
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten(map(func, leaves, *(spec.flatten_up_to(rest) for rest in rests)))


def tree_map_(func, tree, *rests, is_leaf=None):
    """`func` for every leaf; the tree itself is returned."""
    leaves, spec = tree_flatten(tree, is_leaf)
    deque(map(func, leaves, *(spec.flatten_up_to(rest) for rest in rests)), maxlen=0)
    return tree


def tree_map_with_path(func, tree, *rests, is_leaf=None):
    """As tree_map, with func(path, leaf, ...)."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    return spec.unflatten(func(path, leaf, *others) for (path, leaf), *others in zip(pairs, *(spec.flatten_up_to(rest) for rest in rests)))


def _matching(kind):
    return kind if not isinstance(kind, (type, tuple)) and callable(kind) else lambda leaf: isinstance(leaf, kind)


def map_only(kind):
    """Decorator: a function of leaves that leaves those of other types as they are."""
    matches = _matching(kind)
    return lambda func: functools.wraps(func)(lambda leaf: func(leaf) if matches(leaf) else leaf)


def tree_map_only(kind, func, tree, is_leaf=None):
    """The same tree with func(leaf) for each leaf of that type; other leaves stay."""
    return tree_map(map_only(kind)(func), tree, is_leaf=is_leaf)


def tree_map_only_(kind, func, tree, is_leaf=None):
    """`func` for each leaf of that type; the tree itself is returned."""
    return tree_map_(map_only(kind)(func), tree, is_leaf=is_leaf)


def tree_all(pred, tree, is_leaf=None):
    """Whether pred holds for every leaf."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred, tree, is_leaf=None):
    """Whether pred holds for some leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(kind, pred, tree, is_leaf=None):
    """Whether pred holds for every leaf of that type."""
    matches = _matching(kind)
    return all(pred(leaf) for leaf in tree_iter(tree, is_leaf) if matches(leaf))


def tree_any_only(kind, pred, tree, is_leaf=None):
    """Whether pred holds for some leaf of that type."""
    matches = _matching(kind)
    return any(pred(leaf) for leaf in tree_iter(tree, is_leaf) if matches(leaf))


def _broadcast_to_and_flatten(tree, treespec, is_leaf=None):
    """One value for each leaf of the structure, where a value of `tree` may stand for a whole subtree; None where they do not fit."""
    if tree_is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    if treespec.is_leaf() or _get_node_type(tree) is not treespec.type:
        return None
    parts, context = SUPPORTED_NODES[treespec.type].flatten_fn(tree)
    if len(parts) != treespec.num_children or context != treespec.context:
        return None
    found = [_broadcast_to_and_flatten(part, spec, is_leaf) for part, spec in zip(parts, treespec.children_specs)]
    return None if any(values is None for values in found) else [value for values in found for value in values]


def treespec_dumps(treespec, protocol=None):
    """A structure of the containers of Python as JSON."""
    def written(spec):
        return None if spec.is_leaf() else [spec.type.__name__, spec.context, [written(child) for child in spec.children_specs]]
    return json.dumps([1, written(treespec)])


def treespec_loads(serialized):
    """The structure that `treespec_dumps` wrote."""
    kinds = {kind.__name__: kind for kind in SUPPORTED_NODES}

    def read(spec):
        return LeafSpec() if spec is None else TreeSpec(kinds[spec[0]], spec[1], map(read, spec[2]))
    return read(json.loads(serialized)[1])
