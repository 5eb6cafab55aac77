"""GraphModule: a module whose forward is written from a graph.

    traced.graph.erase_node(node); traced.recompile()         after a change of the graph, forward is written again

Each has a class of its own, which has the written forward; a debugger steps into its text.  The parameters, buffers and submodules
that the graph names are the root's.
"""
import copy
import itertools
import linecache

import rushlight as torch

from ..nn import Module
from ..tensors.tensor import Tensor
from .graph import Graph

_numbers = itertools.count()


def _copy_attribute(source, target, path):
    """The same parameter, buffer, submodule or value under the same name; modules on the way are plain."""
    *prefix, field = path.split(".")
    for atom in prefix:
        found = getattr(source, atom, None)
        if found is None:
            return
        if not hasattr(target, atom):
            target.add_module(atom, Module())
        source, target = found, getattr(target, atom)
        if source is target:
            return
    value = getattr(source, field)
    if isinstance(value, Tensor) and field in source._buffers:
        target.register_buffer(field, value, persistent=field not in source._non_persistent_buffers_set)
    elif isinstance(value, Tensor) and field not in source._parameters:
        target.register_buffer(field, value)
    else:
        setattr(target, field, value)


class GraphModule(Module):
    """A module whose forward is the graph's.

    root: a module that has what the graph names, or a dictionary of it;  graph: the Graph;  class_name: the name that is printed
    """

    def __new__(cls, *args, **kwargs):
        for base in cls.__mro__:  # each has a class of its own, for its forward
            if base.__name__ != "GraphModuleImpl":
                return super().__new__(type("GraphModuleImpl", (base,), {}))
        return super().__new__(cls)

    def __init__(self, root, graph, class_name="GraphModule"):
        super().__init__()
        type(self).__name__ = class_name
        paths = [n.target for n in graph.nodes if n.op in ("get_attr", "call_module")]
        if isinstance(root, Module):
            self.training = root.training
            for path in paths:
                _copy_attribute(root, self, path)
        else:
            for path in sorted(set(paths), key=lambda path: path.count(".")):
                if path not in root:
                    raise RuntimeError(f"GraphModule: the graph names {path}, which is not in the dictionary of attributes")
                place = self
                *prefix, field = path.split(".")
                for atom in prefix:
                    if not hasattr(place, atom):
                        place.add_module(atom, Module())
                    place = getattr(place, atom)
                setattr(place, field, root[path])
        self.meta = {}
        self.graph = graph

    @property
    def graph(self):
        """The graph.  Assigning one writes forward; after changing it, call `recompile`."""
        return self._graph

    @graph.setter
    def graph(self, graph):
        if not isinstance(graph, Graph):
            raise AssertionError(f"Expected a Graph instance, but got {type(graph)}")
        self.__dict__["_graph"] = graph
        graph.owning_module = self
        self.recompile()

    @property
    def code(self):
        """The text of forward."""
        return self._code

    def recompile(self):
        """Write forward from the graph; its text and globals are returned."""
        made = self._graph.python_code("self")
        self.__dict__["_code"] = made.src
        file = f"<rushlight fx {next(_numbers)}>"
        linecache.cache[file] = (len(made.src), None, made.src.splitlines(True), file)
        scope = dict(made.globals)
        exec(compile(made.src, file, "exec"), scope)
        type(self).forward = scope["forward"]
        return made

    def add_submodule(self, target, m):
        """Add a module under a name such as "body.layer"; whether that could be done."""
        *prefix, field = target.split(".")
        place = self
        for atom in prefix:
            if not hasattr(place, atom):
                place.add_module(atom, Module())
            place = getattr(place, atom)
            if not isinstance(place, Module):
                return False
        place.add_module(field, m)
        return True

    def delete_submodule(self, target):
        """Take a submodule out; whether there was one."""
        *prefix, field = target.split(".")
        place = self
        for atom in prefix:
            place = getattr(place, atom, None)
        if not isinstance(getattr(place, field, None), Module):
            return False
        delattr(place, field)
        return True

    def delete_all_unused_submodules(self):
        """Take out the submodules that the graph does not use."""
        used = set()
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr"):
                atoms = node.target.split(".")
                used.update(".".join(atoms[:i + 1]) for i in range(len(atoms)))
                if node.op == "call_module":
                    used.update(f"{node.target}.{name}" for name, _ in self.get_submodule(node.target).named_modules() if name)
        for name in [name for name, _ in self.named_modules() if name and name not in used]:
            self.delete_submodule(name)

    def print_readable(self, print_output=True, **_):
        """The class as one could write it, printed and returned."""
        body = self._code.strip("\n").rstrip()
        text = f"class {type(self).__name__}(torch.nn.Module):\n    " + body.replace("\n", "\n    ") + "\n"
        if print_output:
            print(text)
        return text

    def __deepcopy__(self, memo):
        plain = Module()
        plain.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items() if name not in ("_graph", "_code")})
        plain.__setstate__(plain.__dict__)
        made = GraphModule(plain, copy.deepcopy(self._graph, memo), type(self).__name__)
        made.meta = dict(self.meta)
        for name, value in plain.__dict__.items():
            made.__dict__.setdefault(name, value)
        return made

    def __copy__(self):
        return GraphModule(self, copy.deepcopy(self._graph), type(self).__name__)

    def __reduce__(self):
        held = {name: value for name, value in self.__dict__.items() if name not in ("_graph", "_code")}
        scope = {name: value for name, value in self._graph.python_code("self").globals.items() if value is not torch}
        return _rebuilt, (held, self._code, type(self).__name__, scope)

    def __str__(self):
        return f"{super().__repr__()}\n{self._code}\n# To see more debug info, please use `graph_module.print_readable()`"

    __repr__ = __str__


def _rebuilt(held, code, name, scope):
    """From a pickle: the written forward is traced again, with every submodule a leaf."""
    from .tracing import Tracer

    class EveryModuleIsALeaf(Tracer):
        def is_leaf_module(self, m, module_qualified_name):
            return True
    plain = Module()
    plain.__setstate__(held)
    space = {"torch": torch, **scope}
    exec(code, space)
    plain.__class__ = type(name, (Module,), {"forward": space["forward"]})
    return GraphModule(plain, EveryModuleIsALeaf().trace(plain), name)
