"""Graph: nodes in the order in which they run, and the Python function that they are.

    graph = Graph()
    x = graph.placeholder("x")                         def forward(self, x):
    y = graph.call_function(torch.relu, (x,))              relu = torch.relu(x);  x = None
    graph.output(y)                                        return relu

New nodes go to the end, or within `inserting_before(node)` and `inserting_after(node)` to that place.  `python_code` writes the function;
a value is let go (`x = None`) in the line that uses it last.
"""
import builtins
import keyword
import math
import re
from collections import namedtuple
from contextlib import contextmanager

import rushlight as torch

from .node import Node, map_arg, qualified_name, written

_TAKEN = ("inf", "nan", "torch", "device", "self", "NoneType")  # names that the text of a function uses itself
PythonCode = namedtuple("PythonCode", ["src", "globals"])

_INFIX = {"add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "floordiv": "{} // {}", "truediv": "{} / {}", "mod": "{} % {}",
          "pow": "{} ** {}", "lshift": "{} << {}", "rshift": "{} >> {}", "and_": "{} & {}", "or_": "{} | {}", "xor": "{} ^ {}",
          "matmul": "{} @ {}", "getitem": "{}[{}]", "eq": "{} == {}", "ne": "{} != {}", "lt": "{} < {}", "gt": "{} > {}", "le": "{} <= {}",
          "ge": "{} >= {}", "pos": "+{}", "neg": "-{}", "invert": "~{}"}


class _Names:
    """Names that no two nodes share: the second "add" is "add_1"."""

    def __init__(self):
        self.used, self.highest = set(), {}

    def make(self, candidate):
        candidate = re.sub(r"[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        candidate = f"_{candidate}" if candidate[0].isdigit() else candidate
        ending = re.fullmatch(r"(.*)_(\d+)", candidate)
        base, number = (ending.group(1), int(ending.group(2))) if ending else (candidate, 0)
        if not ending and base in self.highest:
            number = self.highest[base] + 1
            candidate = f"{base}_{number}"
        while candidate in self.used or keyword.iskeyword(candidate) or hasattr(builtins, candidate) or candidate in _TAKEN:
            number += 1
            candidate = f"{base}_{number}"
        self.used.add(candidate)
        self.highest[base] = max(number, self.highest.get(base, 0))
        return candidate


class _NodeList:
    """The nodes of a graph in order (or, `reversed`, from the last); nodes may be added and erased on the way."""

    def __init__(self, graph, backwards=False):
        self.graph, self.backwards = graph, backwards

    def __len__(self):
        return self.graph._count

    def __iter__(self):
        root, step = self.graph._root, "_prev" if self.backwards else "_next"
        node = getattr(root, step)
        while node is not root:
            if not node._erased:
                yield node
            node = getattr(node, step)

    def __reversed__(self):
        return _NodeList(self.graph, not self.backwards)


class Graph:
    """The nodes, their names, and where new ones go."""

    def __init__(self, owning_module=None, tracer_cls=None, tracer_extras=None):
        self._root = Node(self, "", "call_function", len)  # before the first and after the last
        self._names, self._count, self.owning_module, self._tracer_cls = _Names(), 0, owning_module, tracer_cls
        self._insert = self._root.prepend

    @property
    def nodes(self):
        """The nodes in order."""
        return _NodeList(self)

    def create_node(self, op, target, args=None, kwargs=None, name=None, type_expr=None):
        """A node of any kind, at the present place."""
        name = self._names.make(name or self._candidate(target))
        node = Node(self, name, op, target, tuple(args or ()), kwargs or {}, type_expr)
        self._insert(node)
        self._count += 1
        return node

    @staticmethod
    def _candidate(target):
        name = target if isinstance(target, str) else getattr(target, "__name__", type(target).__name__)
        name = name[2:-2] if name.startswith("__") and name.endswith("__") and len(name) > 4 else name
        return re.sub(r"(?<!^)(?<![_.])([A-Z])", r"_\1", name).lower()

    def placeholder(self, name, type_expr=None, default_value=Ellipsis):
        """An argument of the function."""
        return self.create_node("placeholder", name, () if default_value is Ellipsis else (default_value,), type_expr=type_expr)

    def get_attr(self, qualified_name, type_expr=None):
        """A parameter, a buffer or another attribute of the module."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(self, module_name, args=None, kwargs=None, type_expr=None):
        """A call of a submodule."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(self, method_name, args=None, kwargs=None, type_expr=None):
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(self, the_function, args=None, kwargs=None, type_expr=None, name=None):
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def output(self, result, type_expr=None):
        """What the function returns."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node, arg_transform=lambda x: x):
        """A copy of a node of another graph; `arg_transform` gives for each of its arguments the node here."""
        args, kwargs = map_arg((node.args, node.kwargs), arg_transform)
        made = self.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        made.meta = dict(node.meta)
        return made

    def graph_copy(self, g, val_map, return_output_node=False):
        """Copies of all nodes of `g`, which `val_map` holds afterwards; what `g` returns is returned, and no output made."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                result = map_arg(node.args[0], val_map.__getitem__)
                return (result, node) if return_output_node else result
            val_map[node] = self.node_copy(node, val_map.__getitem__)
        return None

    def __deepcopy__(self, memo=None):
        made = Graph(tracer_cls=self._tracer_cls)
        memo = {} if memo is None else memo
        memo[id(self)] = made
        mapped = {}
        result = made.graph_copy(self, mapped, return_output_node=True)
        if result is not None:
            copied = made.output(result[0], result[1].type)
            copied.meta = dict(result[1].meta)
        return made

    def erase_node(self, to_erase):
        """Take a node out.  RuntimeError where it is used."""
        if to_erase.users:
            raise RuntimeError(f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in the graph: {to_erase.users}!")
        if to_erase.graph is not self:
            raise RuntimeError(f"Attempting to remove {to_erase} from wrong graph!")
        if not to_erase._erased:
            to_erase._unlink()
            to_erase._erased = True
            self._count -= 1
            to_erase._take((), {})

    @contextmanager
    def _inserting(self, insert):
        before, self._insert = self._insert, insert
        try:
            yield
        finally:
            self._insert = before

    def inserting_before(self, n=None):
        """A block in which new nodes go before `n`; without it, to the beginning."""
        return self.inserting_after(self._root) if n is None else self._inserting(n.prepend)

    def inserting_after(self, n=None):
        """A block in which new nodes go after `n`; without it, to the end."""
        if n is None:
            return self._inserting(self._root.prepend)
        following = n._next
        return self._inserting(following.prepend)

    def find_nodes(self, *, op, target=None, sort=True):
        """The nodes of a kind, and of a target for the kinds that call."""
        return [n for n in self.nodes if n.op == op and (target is None or n.target == target)]

    def output_node(self):
        """The node that says what is returned."""
        return next(node for node in reversed(self.nodes) if node.op == "output")

    def eliminate_dead_code(self, is_impure_node=None):
        """Take out the nodes whose results nobody uses; whether there were any."""
        impure, before = is_impure_node or Node.is_impure, self._count
        for node in reversed(self.nodes):
            if not node.users and not impure(node):
                self.erase_node(node)
        return self._count < before

    def lint(self):
        """RuntimeError where a node uses one that comes later or is of another graph, a name comes twice, or a target is not there."""
        seen, names = set(), set()
        for node in self.nodes:
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph, but to another")
            for used in node.all_input_nodes:
                if used not in seen:
                    raise RuntimeError(f"Argument '{used}' of Node '{node}' was used before it has been defined! "
                                       f"Please check that Nodes in the graph are topologically ordered\n{self}")
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            seen.add(node)
            names.add(node.name)
            if self.owning_module is not None and node.op in ("get_attr", "call_module"):
                place = self.owning_module
                for atom in node.target.split("."):
                    if not hasattr(place, atom):
                        raise RuntimeError(f"Node {node} target {node.target} references nonexistent attribute {atom} of {place}")
                    place = getattr(place, atom)

    def __str__(self):
        return "graph():" + "".join(f"\n    {node.format_node()}" for node in self.nodes)

    def print_tabular(self):
        """Print a table of the nodes."""
        rows = [("opcode", "name", "target", "args", "kwargs")]
        rows += [(n.op, n.name, str(n.target), str(n.args), str(n.kwargs)) for n in self.nodes]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        rows.insert(1, tuple("-" * w for w in widths))
        print("\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows))

    # -----------------------------------------------------------------------------------------------------------------
    # Code

    def python_code(self, root_module="self", **_):
        """The function as text, and the globals that it needs."""
        writer = _Writer(root_module)
        head, body = [], []
        last = {}
        for node in reversed(self.nodes):
            map_arg((node.args, node.kwargs), lambda n, node=node: last.setdefault(n, node))
        freed = {}
        for used, user in last.items():
            freed.setdefault(user, []).append(used)
        order = {node: i for i, node in enumerate(self.nodes)}
        for node in self.nodes:
            if node.op == "placeholder":
                annotation = f" : {writer.annotation(node.type)}" if node.type is not None else ""
                head.append(node.target + annotation + (f" = {writer.text(node.args[0])}" if node.args else ""))
                if node.name != node.target.lstrip("*"):
                    body.append(f"{node.name} = {node.target.lstrip('*')}")
                continue
            if node.op == "output":
                body.append(f"return {writer.text(node.args[0])}")
                continue
            if not node.users and not node.is_impure() and node.op == "get_attr":
                body.append(f"{node.name} = {writer.expression(node)};  {node.name} = None")
                continue
            done = sorted(freed.get(node, ()), key=order.__getitem__) + ([] if node.users else [node])
            line = f"{node.name} = {writer.expression(node)}"
            body.append(line + (f";  {' = '.join(n.name for n in done)} = None" if done else ""))
        lines = "".join(f"    {line}\n" for line in body or ["pass"])
        source = f"\n\n\ndef forward({', '.join([root_module, *head])}):\n{lines}    "
        return PythonCode(source, writer.globals)


class _Writer:
    """Nodes and arguments as Python text; what the text names is in `globals`."""

    def __init__(self, root):
        self.root, self.globals = root, {"torch": torch, "inf": math.inf, "nan": math.nan, "device": torch.device}

    def _global(self, name, value):
        name = re.sub(r"\W", "_", name)
        while self.globals.get(name, value) is not value:
            name += "_1"
        self.globals[name] = value
        return name

    def annotation(self, kind):
        name = getattr(kind, "__name__", None)
        return self._global(f"{kind.__module__}_{name}" if kind.__module__ != "builtins" else name, kind) if name else self._global("annotation", kind)

    def text(self, a):
        if isinstance(a, Node):
            return a.name
        if isinstance(a, (tuple, list, dict)):
            return (self._global(type(a).__name__, type(a)) if hasattr(a, "_fields") else "") + written(a, self.text)
        if isinstance(a, slice):
            return f"slice({self.text(a.start)}, {self.text(a.stop)}, {self.text(a.step)})"
        if isinstance(a, (str, bytes, bool, int, float, complex, type(None), type(Ellipsis), torch.dtype, torch.device)):
            return repr(a)
        if callable(a):
            return self.function(a)
        return self._global(f"_value_{type(a).__name__}", a)

    def function(self, function):
        name = qualified_name(function)
        if name.startswith("builtins."):
            return name.removeprefix("builtins.")
        return name if name.startswith("torch.") else self._global(name, function)

    def attribute(self, path):
        written = self.root
        for atom in path.split("."):
            written = f"{written}.{atom}" if atom.isidentifier() else f'getattr({written}, "{atom}")'
        return written

    def expression(self, node):
        if node.op == "get_attr":
            return self.attribute(node.target)
        if node.op == "call_module":
            return f"{self.attribute(node.target)}({self.arguments(node.args, node.kwargs)})"
        if node.op == "call_method":
            first = self.text(node.args[0])
            first = first if isinstance(node.args[0], Node) else f"({first})"
            return f"{first}.{node.target}({self.arguments(node.args[1:], node.kwargs)})"
        name, module = getattr(node.target, "__name__", ""), getattr(node.target, "__module__", "")
        if module == "_operator" and name in _INFIX and not node.kwargs:
            return _INFIX[name].format(*map(self.text, node.args))
        if module == "_operator" and name[:1] == "i" and name[1:] in _INFIX and not node.kwargs:
            first = self.text(node.args[0])
            return f"{first};  {node.name} {_INFIX[name[1:]].format('', self.text(node.args[1])).strip().split(' ')[0]}= {self.text(node.args[1])}"
        if node.target is getattr and len(node.args) == 2 and isinstance(node.args[1], str) and node.args[1].isidentifier():
            return f"{self.text(node.args[0])}.{node.args[1]}"
        return f"{self.function(node.target)}({self.arguments(node.args, node.kwargs)})"

    def arguments(self, args, kwargs):
        return ", ".join([*map(self.text, args), *(f"{name} = {self.text(a)}" for name, a in kwargs.items())])
