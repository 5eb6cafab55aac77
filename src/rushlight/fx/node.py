"""Node: one operation of a graph.

    op               target                 args, kwargs
    placeholder      the argument's name    (its default,)
    get_attr         "layer.weight"
    call_module      "layer"                of the call
    call_function    torch.relu             of the call
    call_method      "view"                 the tensor, then the method's own
    output           "output"               (what is returned,)

Arguments are nodes, plain values, and tuples, lists, dictionaries and slices of them.  `users` are the nodes that have this one among their
arguments; assigning `args` or `kwargs` keeps that right.
"""
import builtins
import inspect
import sys
import types

import rushlight as torch

OPS = ("placeholder", "get_attr", "call_module", "call_function", "call_method", "output")
_side_effects = {torch._check, torch._assert}


def has_side_effect(fn):
    """Note a function whose calls have to stay although nobody uses their result."""
    _side_effects.add(fn)
    return fn


def map_aggregate(a, fn):
    """`fn` on every value in nested containers."""
    if isinstance(a, tuple):
        parts = [map_aggregate(x, fn) for x in a]
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    if isinstance(a, list):
        return [map_aggregate(x, fn) for x in a]
    if isinstance(a, dict):
        return {key: map_aggregate(x, fn) for key, x in a.items()}
    if isinstance(a, slice):
        return slice(map_aggregate(a.start, fn), map_aggregate(a.stop, fn), map_aggregate(a.step, fn))
    return fn(a)


def map_arg(a, fn):
    """`fn` on every node in nested containers; everything else as it is."""
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


def qualified_name(function):
    """How a function is found: torch.relu, torch.nn.functional.gelu, operator.add, math.sqrt, module.name."""
    name = getattr(function, "__name__", type(function).__name__)
    if getattr(builtins, name, None) is function:
        return f"builtins.{name}"
    for path in ("", "nn.functional", "linalg", "special", "fft", "signal"):
        place = torch if not path else sys.modules.get(f"{torch.__name__}.{path}")
        if place is not None and vars(place).get(name) is function:
            return ".".join(filter(None, ("torch", path, name)))
    module = getattr(function, "__module__", None) or "builtins"
    return f"{'operator' if module == '_operator' else module}.{getattr(function, '__qualname__', name)}"


class Node:
    """An operation; see the picture at the top of this file."""

    def __init__(self, graph, name, op, target, args=(), kwargs=None, return_type=None):
        if op not in OPS:
            raise AssertionError(f"Node: {op!r} is none of {', '.join(OPS)}")
        if op == "call_function":
            if not callable(target):
                raise ValueError(f"Node [graph = {graph}, name = '{name}'] target {target!r} has type {type(target)} but a Callable is expected")
        elif not isinstance(target, str):
            raise ValueError(f"Node [graph = {graph}, name = '{name}'] target {target!r} has type {type(target)} but a str is expected")
        self.graph, self.name, self.op, self.target, self.type = graph, name, op, target, return_type
        self.users, self.meta, self._inputs = {}, {}, {}
        self._prev = self._next = self
        self._erased = False
        self._args, self._kwargs = (), {}
        self._take(args, kwargs or {})

    def _take(self, args, kwargs):
        for used in self._inputs:
            used.users.pop(self, None)
        self._args, self._kwargs, self._inputs = args, kwargs, {}
        map_arg((args, kwargs), lambda node: self._inputs.setdefault(node))
        for used in self._inputs:
            used.users.setdefault(self)

    @property
    def args(self):
        """Positional arguments."""
        return self._args

    @args.setter
    def args(self, args):
        self._take(tuple(args), self._kwargs)

    @property
    def kwargs(self):
        """Keyword arguments."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs):
        self._take(self._args, dict(kwargs))

    @property
    def all_input_nodes(self):
        """The nodes among the arguments, each once."""
        return list(self._inputs)

    @property
    def next(self):
        """The node after this one."""
        return self._next

    @property
    def prev(self):
        """The node before this one."""
        return self._prev

    @property
    def stack_trace(self):
        """The lines that made it, where the tracer noted them."""
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace):
        self.meta["stack_trace"] = trace

    def update_arg(self, idx, arg):
        """Another positional argument in the place of one."""
        self.args = (*self.args[:idx], arg, *self.args[idx + 1:])

    def insert_arg(self, idx, arg):
        """One more positional argument."""
        self.args = (*self.args[:idx], arg, *self.args[idx:])

    def update_kwarg(self, key, arg):
        """Another keyword argument."""
        self.kwargs = {**self.kwargs, key: arg}

    def replace_input_with(self, old_input, new_input):
        """`new_input` wherever `old_input` is among the arguments."""
        args, kwargs = map_arg((self._args, self._kwargs), lambda n: new_input if n is old_input else n)
        self._take(args, kwargs)

    def replace_all_uses_with(self, replace_with, delete_user_cb=lambda user: True, *, propagate_meta=False):
        """`replace_with` wherever this node is used, or in the users for which `delete_user_cb` holds; these are returned."""
        if propagate_meta:
            replace_with.meta.update(self.meta)
        changed = [user for user in self.users if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    def prepend(self, x):
        """Move `x` to the place before this node."""
        if x is self:
            return
        x._unlink()
        before = self._prev
        before._next, x._prev, x._next, self._prev = x, before, self, x

    def append(self, x):
        """Move `x` to the place after this node."""
        self._next.prepend(x)

    def _unlink(self):
        self._prev._next, self._next._prev = self._next, self._prev

    def is_impure(self, impure_random=True):
        """Whether it has to stay although nobody uses its result."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            return self.target in _side_effects or self._writes()
        if self.op == "call_method":
            return self._writes()
        return False

    def _writes(self):
        name = self.target if isinstance(self.target, str) else getattr(self.target, "__name__", "")
        return name.endswith("_") and not name.endswith("__") or name in ("setitem", "__setitem__") or "out" in self.kwargs

    def format_node(self, placeholder_names=None, maybe_return_typename=None):
        """The node as a line of text."""
        if self.op == "output":
            return f"return {self.args[0]}"
        head = f"%{self.name} : [num_users={len(self.users)}] = {self.op}[target={self._pretty_target()}]"
        if self.op == "placeholder":
            return head + (f"(default={self.args[0]})" if self.args else "")
        return head if self.op == "get_attr" else head + f"(args = {_text(self.args)}, kwargs = {_text(self.kwargs)})"

    def _pretty_target(self):
        return self.target if isinstance(self.target, str) else qualified_name(self.target)

    def __repr__(self):
        return self.name

    def __copy__(self):
        return self


def _text(a):
    """Arguments as text, nodes as %name and words without quotes."""
    if isinstance(a, Node):
        return f"%{a.name}"
    if isinstance(a, (tuple, list, dict)):
        return written(a, _text)
    return a if isinstance(a, str) else repr(a)


def is_plain_function(value):
    """Whether a value is a function that can be wrapped."""
    return isinstance(value, (types.FunctionType, types.BuiltinFunctionType)) or inspect.isroutine(value)


def written(a, of):
    """A tuple, list or dict as Python writes it; `of` writes what is in it."""
    if isinstance(a, dict):
        return f"{{{', '.join(f'{of(key)}: {of(x)}' for key, x in a.items())}}}"
    inner = ", ".join(map(of, a))
    return f"[{inner}]" if isinstance(a, list) else f"({inner}{',' if len(a) == 1 else ''})"
