"""symbolic_trace: run a model's forward on proxies, which note in a graph what is done with them.

    forward(x):  self.linear(x) * self.scale    ->    %linear = call_module[linear](%x)      %scale = get_attr[scale]      %mul = mul(...)

A Proxy stands for a node.  What is done with it makes nodes: operators and methods by Python's protocols, functions because a proxy
takes calls over (`__torch_function__`).  Layers of torch.nn are leaves, noted as a call; the forward of any other module runs.
While a trace runs, parameters and buffers in modules' attributes are proxies too.  Start with `Tracer.trace`.
"""
import builtins
import dis
import functools
import inspect
import math
import operator
import sys
from contextlib import contextmanager

from ..nn import Module, Sequential
from ..nn.hooks import HookedCalls
from ..overrides import is_tensor_method_or_property
from ..tensors.tensor import Tensor
from .graph import Graph
from .graph_module import GraphModule
from .node import map_aggregate, qualified_name


class TraceError(ValueError):
    """Something that cannot be noted, such as a decision by the value of a tensor."""


class Proxy:
    """A value of the graph that is being made."""

    def __init__(self, node, tracer=None):
        self.node, self.tracer = node, tracer or GraphAppendingTracer(node.graph)

    def __repr__(self):
        return f"Proxy({self.node.name})"

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Attribute(self, name)

    def __call__(self, *args, **kwargs):
        return self.tracer.create_proxy("call_method", "__call__", (self, *args), kwargs)

    def __iter__(self):
        frame = sys._getframe(1)
        current = next((i for i in dis.get_instructions(frame.f_code) if i.offset == frame.f_lasti), None)
        if current is not None and current.opname == "UNPACK_SEQUENCE":
            return (self[i] for i in range(current.argval))
        return self.tracer.iter(self)

    def __bool__(self):
        return self.tracer.to_bool(self)

    def __len__(self):
        raise RuntimeError("'len' is not supported in symbolic tracing by default. If you want this call to be recorded, please call "
                           "torch.fx.wrap('len') at module scope")

    def __contains__(self, item):
        raise RuntimeError("'in' is not supported in symbolic tracing by default")

    def keys(self):
        """Of `**proxy`: refused."""
        return self.tracer.keys(self)

    @classmethod
    def __torch_function__(cls, orig_method, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        found = []
        map_aggregate((args, kwargs), lambda a: found.append(a.tracer) if isinstance(a, Proxy) else None)
        tracer, name = found[0], orig_method.__name__
        if not qualified_name(orig_method).startswith("torch.") and is_tensor_method_or_property(orig_method):
            return tracer.create_proxy("call_method", name, args, kwargs)
        return tracer.create_proxy("call_function", orig_method, args, kwargs)


class Attribute(Proxy):
    """`proxy.name`: a call of the method if it is called, else the attribute."""

    def __init__(self, root, attr):
        self.root, self.attr, self.tracer, self._node = root, attr, root.tracer, None

    @property
    def node(self):
        """The node of the attribute; there is none before it is needed."""
        if self._node is None:
            self._node = self.tracer.create_proxy("call_function", getattr, (self.root, self.attr), {}).node
        return self._node

    def __call__(self, *args, **kwargs):
        return self.tracer.create_proxy("call_method", self.attr, (self.root, *args), kwargs)


class _Held(Proxy):
    """A parameter or buffer that a module holds; it has a node once it is used."""

    def __init__(self, tracer, path):
        self.tracer, self._path, self._node = tracer, path, None

    @property
    def node(self):
        """The node that gets it."""
        if self._node is None:
            self._node = self.tracer.create_node("get_attr", self._path, (), {})
        return self._node


def _note_operator(function, reflected):
    def method(self, *args):
        args = (args[0], self) if reflected else (self, *args)
        return self.tracer.create_proxy("call_function", function, args, {})
    return method


for _name in "add sub mul floordiv truediv mod pow lshift rshift and_ or_ xor matmul".split():
    _bare, _function = _name.rstrip("_"), getattr(operator, _name)
    setattr(Proxy, f"__{_bare}__", _note_operator(_function, False))
    setattr(Proxy, f"__r{_bare}__", _note_operator(_function, True))
for _name in "getitem eq ne lt gt le ge pos neg invert setitem".split():
    setattr(Proxy, f"__{_name}__", _note_operator(getattr(operator, _name), False))
Proxy.__abs__ = _note_operator(builtins.abs, False)
Proxy.__hash__ = object.__hash__


class TracerBase:
    """What makes nodes of calls with proxies."""

    graph: Graph
    record_stack_traces = False

    def create_node(self, kind, target, args, kwargs, name=None, type_expr=None):
        """A node whose arguments are nodes already."""
        return self.graph.create_node(kind, target, args, kwargs, name, type_expr)

    def proxy(self, node):
        """The Proxy of a node."""
        return Proxy(node, self)

    def create_proxy(self, kind, target, args, kwargs, name=None, type_expr=None, proxy_factory_fn=None):
        """A node whose arguments have proxies in them, as a Proxy."""
        node = self.create_node(kind, target, self.create_arg(args), self.create_arg(kwargs), name, type_expr)
        return (proxy_factory_fn or self.proxy)(node)

    def create_arg(self, a):
        """An argument as a graph can hold it."""
        return map_aggregate(a, self._leaf)

    def _leaf(self, a):
        if isinstance(a, Proxy):
            return a.node
        if isinstance(a, range):
            return range(*map(self._leaf, (a.start, a.stop, a.step)))
        return a

    def to_bool(self, obj):
        """TraceError: the value is not known."""
        raise TraceError("symbolically traced variables cannot be used as inputs to control flow")

    def iter(self, obj):
        """TraceError: how many there are is not known."""
        raise TraceError("Proxy object cannot be iterated. This can be attempted when the Proxy is used in a loop or as a *args or **kwargs "
                         "function argument; what the loop goes over is not known when the graph is made")

    def keys(self, obj):
        """The names of what `**proxy` would hand over, as a proxy."""
        return Attribute(obj, "keys")()


class GraphAppendingTracer(TracerBase):
    """Adds to a graph that is there."""

    def __init__(self, graph):
        self.graph = graph


_wrapped = {}  # (id of a namespace, name): the namespace


def wrap(fn_or_name):
    """At the top of a module: calls of this function of the module are noted, and not followed.  A name, or a decorator.

    >>> torch.fx.wrap("len")
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    frame = sys._getframe(1)
    if frame.f_code.co_name != "<module>":
        raise NotImplementedError("wrap must be called at the top level of a module")
    _wrapped[id(frame.f_globals), fn_or_name if isinstance(fn_or_name, str) else fn_or_name.__name__] = frame.f_globals
    return fn_or_name


def _noting(function):
    """`function`, of which a call with a proxy is noted."""
    @functools.wraps(function)
    def call(*args, **kwargs):
        found = []
        map_aggregate((args, kwargs), lambda a: found.append(a.tracer) if isinstance(a, Proxy) else None)
        return found[0].create_proxy("call_function", function, args, kwargs) if found else function(*args, **kwargs)
    return call


class Tracer(TracerBase):
    """Makes the graph of a module or function; a subclass may say otherwise which modules are leaves.

    `autowrap_modules`: modules whose functions are noted, where a global of the traced function's file is one of them;
    `autowrap_functions`: further functions of that kind.
    """

    def __init__(self, autowrap_modules=(math,), autowrap_functions=(), param_shapes_constant=False):
        self._autowrapped = {id(f): f for m in autowrap_modules for name, f in vars(m).items() if callable(f) and not name.startswith("_")}
        self._autowrapped.update((id(f), f) for f in autowrap_functions)
        self._modules_to_wrap, self.root, self._constants = autowrap_modules, None, {}

    def is_leaf_module(self, m, module_qualified_name):
        """Whether a call of `m` is noted and not followed: the layers of torch.nn, but Sequential."""
        package = Module.__module__.rpartition(".")[0]
        return (m.__module__.startswith((package + ".", "torch.nn"))) and not isinstance(m, Sequential)

    def path_of_module(self, mod):
        """The name of a submodule.  NameError where it is none."""
        for name, module in self.root.named_modules():
            if module is mod:
                return name
        raise NameError("module is not installed as a submodule")

    def call_module(self, m, forward, args, kwargs):
        """What a call of a submodule becomes: a node, or whatever its forward does."""
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            return self.create_proxy("call_module", path, args, kwargs)
        return forward(*args, **kwargs)

    def _leaf(self, a):
        if isinstance(a, Tensor):
            for held in (self.root.named_parameters(), self.root.named_buffers()):
                for name, tensor in held:
                    if tensor is a:
                        return self.create_node("get_attr", name, (), {})
            return self.create_node("get_attr", self._constant(a, "_tensor_constant"), (), {})
        return super()._leaf(a)

    def _constant(self, value, prefix):
        """The name of the attribute of the root that holds a value."""
        name = self._constants.get(id(value))
        if name is None:
            name = next(f"{prefix}{i}" for i in range(10**6) if not hasattr(self.root, f"{prefix}{i}"))
            self._constants[id(value)] = name
            setattr(self.root, name, value)
        return name

    def create_args_for_root(self, root_fn, is_module, concrete_args=None):
        """The function that is traced and its arguments: a proxy each."""
        concrete = concrete_args or {}
        args, kwargs = [self.root] if is_module else [], {}
        for i, p in enumerate(inspect.signature(root_fn).parameters.values()):
            if i == 0 and is_module:
                continue
            if isinstance(concrete, tuple):
                concrete = dict(zip(list(inspect.signature(root_fn).parameters)[int(is_module):], concrete))
            if p.name in concrete and not isinstance(concrete[p.name], Proxy):
                made = concrete[p.name]
            else:
                stars = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
                default = () if p.default is p.empty else (p.default,)
                made = self.create_proxy("placeholder", stars + p.name, default, {}, name=p.name)
            if p.kind is p.KEYWORD_ONLY:
                kwargs[p.name] = made
            elif p.kind is p.VAR_KEYWORD:
                kwargs.update(made if isinstance(made, dict) else {p.name: made})
            else:
                args.append(made)
        return args, kwargs

    def trace(self, root, concrete_args=None):
        """The Graph of a module's forward, or of a function.  `concrete_args`: values of arguments that are not to be proxies."""
        is_module = isinstance(root, Module)
        self.root, self._constants = root if is_module else Module(), {}
        function = type(root).forward if is_module else root
        function = root.forward.__func__ if is_module and "forward" in vars(root) and hasattr(root.forward, "__func__") else function
        self.graph = Graph(tracer_cls=type(self))
        args, kwargs = self.create_args_for_root(function, is_module, concrete_args)
        with self._watching(function):
            result = function(*args, **kwargs)
        self.create_node("output", "output", (self.create_arg(result),), {}, None, None)
        return self.graph

    @contextmanager
    def _watching(self, function):
        """A block in which calls of modules come here, held tensors are proxies, and wrapped functions are noted."""
        undo = []

        def put(namespace, name, value):
            undo.append((namespace, name, namespace[name]))
            namespace[name] = value

        call, tracer = HookedCalls.__call__, self

        def noting_call(module, *args, **kwargs):
            return tracer.call_module(module, lambda *a, **k: call(module, *a, **k), args, kwargs)

        for path, module in self.root.named_modules():
            for held in (module._parameters, module._buffers):
                for name, tensor in held.items():
                    if tensor is not None and vars(module).get(name) is tensor and (path == "" or not self.is_leaf_module(module, path)):
                        put(vars(module), name, _Held(self, f"{path}.{name}".lstrip(".")))
        namespaces = {id(space): space for space in (getattr(function, "__globals__", {}), *(
            sys.modules[type(m).__module__].__dict__ for m in self.root.modules() if type(m).__module__ in sys.modules))}
        for space in namespaces.values():
            for name, value in list(space.items()):
                if id(value) in self._autowrapped and callable(value):
                    put(space, name, _noting(value))
        for module in self._modules_to_wrap:
            for name, value in list(vars(module).items()):
                if id(value) in self._autowrapped:
                    put(vars(module), name, _noting(value))
        for (_, name), space in list(_wrapped.items()):
            if name in space:
                put(space, name, _noting(space[name]))
            elif hasattr(builtins, name):
                space[name] = _noting(getattr(builtins, name))
                undo.append((space, name, None))
        HookedCalls.__call__ = noting_call
        try:
            yield
        finally:
            HookedCalls.__call__ = call
            for space, name, value in reversed(undo):
                if value is None:
                    del space[name]
                else:
                    space[name] = value


def symbolic_trace(root, concrete_args=None):
    """A GraphModule that does what `root` (a module or a function) does.

    Raises TraceError where forward decides something by the value of a tensor, or loops over one.
    https://docs.pytorch.org/docs/stable/fx.html#torch.fx.symbolic_trace
    """
    tracer = Tracer()
    graph = tracer.trace(root, concrete_args)
    name = type(root).__name__ if isinstance(root, Module) else root.__name__
    return GraphModule(tracer.root, graph, name)


__all__ = ["Attribute", "GraphAppendingTracer", "Proxy", "TraceError", "Tracer", "TracerBase", "symbolic_trace", "wrap"]
