"""Interpreter: a graph run node by node, each kind of node by a method that a subclass may replace; Transformer makes another graph so.

    class Spy(Interpreter):
        def run_node(self, n): result = super().run_node(n); print(n, result.shape); return result
    Spy(traced).run(x)
"""
from .graph import Graph
from .graph_module import GraphModule
from .node import map_arg
from .tracing import Proxy, Tracer


class Interpreter:
    """Runs the graph of a module (or another `graph` with the module's attributes).

    garbage_collect_values: let go of a value as soon as nobody needs it any more.
    """

    def __init__(self, module, garbage_collect_values=True, graph=None):
        self.module, self.graph = module, graph if graph is not None else module.graph
        self.submodules = dict(module.named_modules())
        self.garbage_collect_values, self.env = garbage_collect_values, {}
        last = {}
        for node in reversed(self.graph.nodes):
            map_arg((node.args, node.kwargs), lambda n, node=node: last.setdefault(n, node))
        self.user_to_last_uses = {}
        for used, user in last.items():
            self.user_to_last_uses.setdefault(user, []).append(used)

    def run(self, *args, initial_env=None, enable_io_processing=True):
        """What the graph returns for these arguments; `initial_env`: values of nodes that are known."""
        self.env, self.args_iter = dict(initial_env or {}), iter(args)
        for node in self.graph.nodes:
            if node in self.env:
                continue
            try:
                self.env[node] = self.run_node(node)
            except Exception as error:
                error.add_note(f"While executing {node.format_node()}")
                raise
            if self.garbage_collect_values:
                for used in self.user_to_last_uses.get(node, ()):
                    self.env.pop(used, None)
            if node.op == "output":
                return self.env[node]
        return None

    def run_node(self, n):
        """The value of one node."""
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return getattr(self, n.op)(n.target, args, kwargs)

    def placeholder(self, target, args, kwargs):
        """The next argument of `run`, or its default."""
        if target.startswith("*"):
            return list(self.args_iter)
        for value in self.args_iter:
            return value
        if args:
            return args[0]
        raise RuntimeError(f"Expected positional argument for parameter {target}, but one was not passed in!")

    def get_attr(self, target, args, kwargs):
        """An attribute of the module."""
        return self.fetch_attr(target)

    def call_function(self, target, args, kwargs):
        """The function's result."""
        return target(*args, **kwargs)

    def call_method(self, target, args, kwargs):
        """The method's result."""
        first, *rest = args
        return getattr(first, target)(*rest, **kwargs)

    def call_module(self, target, args, kwargs):
        """The submodule's result."""
        return self.fetch_attr(target)(*args, **kwargs)

    def output(self, target, args, kwargs):
        """What is returned."""
        return args[0]

    def fetch_attr(self, target):
        """An attribute by its path."""
        place = self.module
        for i, atom in enumerate(target.split(".")):
            if not hasattr(place, atom):
                raise RuntimeError(f"Node referenced nonexistent target {'.'.join(target.split('.')[:i + 1])}")
            place = getattr(place, atom)
        return place

    def fetch_args_kwargs_from_env(self, n):
        """A node's arguments, with values in place of nodes."""
        return self.map_nodes_to_values(n.args, n), self.map_nodes_to_values(n.kwargs, n)

    def map_nodes_to_values(self, args, n):
        """Nested containers with values in place of nodes."""
        def value_of(node):
            if node not in self.env:
                raise RuntimeError(f"Node {n} referenced nonexistent value {node}! Run Graph.lint() to diagnose such issues")
            return self.env[node]
        return map_arg(args, value_of)


class Transformer(Interpreter):
    """An Interpreter whose values are proxies: `transform()` gives the module of the graph that they make."""

    def __init__(self, module):
        super().__init__(module)
        self.new_graph = Graph()
        self.tracer = _WithinModule(module, self.new_graph)

    def placeholder(self, target, args, kwargs):
        return Proxy(self.new_graph.placeholder(target, default_value=args[0] if args else ...), self.tracer)

    def get_attr(self, target, args, kwargs):
        return self.tracer.create_proxy("get_attr", target, args, kwargs)

    def call_module(self, target, args, kwargs):
        return self.tracer.call_module(self.fetch_attr(target), self.fetch_attr(target).forward, args, kwargs)

    def call_function(self, target, args, kwargs):
        return self.tracer.create_proxy("call_function", target, args, kwargs)

    def transform(self):
        """The module of the new graph."""
        result = super().run(enable_io_processing=False)
        if result is not None:
            self.new_graph.output(self.tracer.create_arg(result))
        return GraphModule(self.module, self.new_graph)


class _WithinModule(Tracer):
    """Adds to a graph; all submodules are leaves."""

    def __init__(self, root, graph):
        super().__init__()
        self.root, self.graph = root, graph

    def is_leaf_module(self, m, module_qualified_name):
        return True
