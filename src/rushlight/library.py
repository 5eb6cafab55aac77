"""torch.library and torch.ops: operators by name, one's own among them.

    @torch.library.custom_op("mine::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor: return 2 * x
    twice.register_autograd(lambda ctx, grad: 2 * grad)
    torch.ops.mine.twice(x)         torch.ops.aten.add(x, y), torch.ops.aten.add.Tensor(x, y)

An operator here is a Python function that runs as it is, with the gradient it was given; nothing has to be said about it to a compiler, so
what describes it (`register_fake`, `register_vmap`) is taken and kept.  https://docs.pytorch.org/docs/stable/library.html
"""
import functools
import inspect

import rushlight as torch

from .autograd import Function
from .tensors.tensor import Tensor


class OpOverloadPacket:
    """An operator by name: callable; `.default`, `.Tensor` and its other variants all are the one function."""

    def __init__(self, namespace, name, function):
        self._qualified_op_name, self.__name__, self._function = f"{namespace}::{name}", name, function

    def __call__(self, *args, **kwargs):
        return self._function(*args, **kwargs)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self

    def overloads(self):
        """The names of the variants that are told apart here: one."""
        return ["default"]

    def __repr__(self):
        return f"<OpOverloadPacket(op='{self._qualified_op_name.replace('::', '.')}')>"


class _Namespace:
    """torch.ops.<name>."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, name):
        function = _of_pytorch(name) if self._name in ("aten", "prims") and not name.startswith("__") else None
        if function is None:
            raise AttributeError(f"'_OpNamespace' '{self._name}' object has no attribute '{name}'")
        made = vars(self)[name] = OpOverloadPacket(self._name, name, function)
        return made


def _of_pytorch(name):
    """What PyTorch calls aten::name: a function of the namespace, of nn.functional, of linalg ..., or a method."""
    family, _, rest = name.lstrip("_").partition("_")
    places = [(torch, name), (torch.nn.functional, name)]
    places += [(getattr(torch, family), rest)] if family in ("fft", "linalg", "special") else []
    for place, key in [*places, (Tensor, name)]:
        function = getattr(place, key, None)
        if callable(function) and not isinstance(function, type):
            return function
    return None


class _Ops:
    """torch.ops: namespaces of operators."""

    def __init__(self):
        self.loaded_libraries = set()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = vars(self)[name] = _Namespace(name)
        return made

    def load_library(self, path):
        """OSError: libraries of operators are made for PyTorch's C++."""
        raise OSError(f"torch.ops.load_library({path!r}): Rushlight loads no compiled extensions; register the operator with torch.library")


class _Classes:
    """torch.classes: classes from C++, of which there are none."""

    loaded_libraries: set = set()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"torch.classes.{name}: Rushlight has no classes from C++")


ops, classes = _Ops(), _Classes()


def _place(qualified):
    namespace, separator, name = qualified.partition("::")
    if not separator or not namespace or not name:
        raise ValueError(f"{qualified!r}: the name of an operator is namespace::name")
    return getattr(ops, namespace), name.partition(".")[0]


class CustomOpDef:
    """An operator that `custom_op` made: callable, and to be told its gradient."""

    def __init__(self, qualified, function, mutates_args):
        self._qualname, self._function, self._mutates = qualified, function, mutates_args
        self._backward, self._setup, self._fakes, self._by_device = None, None, [], {}
        self._signature = inspect.signature(function)
        functools.update_wrapper(self, function)

    def __call__(self, *args, **kwargs):
        if self._backward is None:
            return self._run(*args, **kwargs)
        bound = self._signature.bind(*args, **kwargs)  # gradients are given by place: what was named takes its place
        bound.apply_defaults()
        return _Differentiable.apply(self, bound.kwargs, *bound.args)

    def _run(self, *args, **kwargs):
        device = next((a.device.type for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        return self._by_device.get(device, self._function)(*args, **kwargs)

    def register_autograd(self, backward, /, *, setup_context=None):
        """`backward(ctx, *grads)` gives the gradients; `setup_context(ctx, inputs, output)` keeps what it needs."""
        self._backward, self._setup = backward, setup_context

    def register_fake(self, fn, /):
        """A function that gives a result of the right shape; taken and not needed."""
        self._fakes.append(fn)
        return fn

    def register_kernel(self, device_types, fn=None, /):
        """What runs for tensors of a device instead."""
        def add(function):
            for device in (device_types,) if isinstance(device_types, str) else device_types or ("cpu",):
                self._by_device[device] = function
            return function
        return add if fn is None else add(fn)

    def register_vmap(self, func=None):
        """What vmap would call; taken and not needed: vmap calls the operator for each of the batch."""
        return (lambda f: f) if func is None else func

    register_torch_dispatch = register_vmap

    def __repr__(self):
        return f"<CustomOpDef({self._qualname})>"


class _Differentiable(Function):
    @staticmethod
    def forward(ctx, operator, kwargs, *args):
        ctx.operator = operator
        result = operator._run(*args, **kwargs)
        if operator._setup is not None:
            operator._setup(ctx=ctx, inputs=args, output=result, **({"keyword_only_inputs": kwargs} if kwargs else {}))
        return result

    @staticmethod
    def backward(ctx, *grads):
        needed, ctx.needs_input_grad = ctx.needs_input_grad, ctx.needs_input_grad[2:]
        try:
            made = ctx.operator._backward(ctx, *grads)
        finally:
            ctx.needs_input_grad = needed
        return None, None, *(made if isinstance(made, tuple) else (made,))


def custom_op(name, fn=None, /, *, mutates_args, device_types=None, schema=None, tags=None):
    """Make a function the operator `namespace::name`, which torch.ops has from then on; a decorator without `fn`."""
    def make(function):
        place, short = _place(name)
        made = CustomOpDef(name, function, mutates_args)
        setattr(place, short, OpOverloadPacket(place._name, short, made))
        return made
    return make if fn is None else make(fn)


triton_op = custom_op


class Library:
    """Operators of one namespace, defined by name and given a function afterwards.

    >>> library = torch.library.Library("documented", "DEF")
    >>> _ = library.define("thrice(Tensor x) -> Tensor")
    >>> library.impl("thrice", lambda x: 3 * x, "CPU")
    >>> torch.ops.documented.thrice(torch.ones(1))
    tensor([3.])
    """

    def __init__(self, ns, kind, dispatch_key=""):
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        self.ns, self.kind = ns, kind

    def define(self, schema, alias_analysis="", *, tags=()):
        """Note the operator of a schema such as "name(Tensor x) -> Tensor"; its name is returned."""
        name = schema.partition("(")[0]

        def undefined(*_, **__):
            raise NotImplementedError(f"{self.ns}::{name}: no function was given for it (Library.impl)")
        place, short = _place(f"{self.ns}::{name}")
        setattr(place, short, OpOverloadPacket(self.ns, short, undefined))
        return name

    def impl(self, op_name, fn, dispatch_key="", *, with_keyset=False, allow_override=False):
        """What an operator does.  Of the dispatch keys, those for CPUs and for all devices count; "Autograd" ones come before them."""
        if dispatch_key not in ("", "CPU", "CompositeImplicitAutograd", "CompositeExplicitAutograd", "Autograd", "AutogradCPU"):
            return
        name = op_name if isinstance(op_name, str) else op_name.__name__
        place, short = _place(name if "::" in name else f"{self.ns}::{name}")
        packet = vars(place).get(short)
        if packet is None:
            packet = OpOverloadPacket(self.ns, short, fn)
            setattr(place, short, packet)
        if not getattr(packet, "_is_final", False):
            packet._function = fn
        packet._is_final = dispatch_key.startswith("Autograd")


_fragments = {}


def define(qualname, schema, *, lib=None, tags=()):
    """Note the operator `namespace::name` with this schema "(Tensor x) -> Tensor"."""
    namespace, _, name = qualname.partition("::")
    (lib or _fragments.setdefault(namespace, Library(namespace, "FRAGMENT"))).define(name + schema)


def impl(qualname, types, func=None, *, lib=None):
    """What the operator `namespace::name` does for tensors of these devices; a decorator without `func`."""
    namespace = qualname.partition("::")[0]

    def add(function):
        for kind in (types,) if isinstance(types, str) else types:
            (lib or _fragments.setdefault(namespace, Library(namespace, "FRAGMENT"))).impl(
                qualname, function, "" if kind == "default" else kind.upper() if kind.islower() else kind)
        return function
    return add if func is None else add(func)


def _definition(op):
    """The CustomOpDef of a name, or None."""
    if isinstance(op, CustomOpDef):
        return op
    place, short = _place(op if isinstance(op, str) else op._qualified_op_name)
    function = getattr(place, short)._function
    if not isinstance(function, CustomOpDef):
        made = CustomOpDef(f"{place._name}::{short}", function, ())
        getattr(place, short)._function = made
        return made
    return function


def register_autograd(op, backward, /, *, setup_context=None, lib=None):
    """The gradient of an operator (see CustomOpDef.register_autograd)."""
    _definition(op).register_autograd(backward, setup_context=setup_context)


def register_kernel(op, device_types, func=None, /, *, lib=None):
    """What an operator does for tensors of a device."""
    return _definition(op).register_kernel(device_types, func)


def register_fake(op, func=None, /, *, lib=None, _stacklevel=1, allow_override=False):
    """What an operator's result looks like; taken and not needed."""
    return (lambda function: function) if func is None else func


impl_abstract = register_fake


def register_vmap(op, func=None, /, *, lib=None):
    """How an operator is mapped over a batch; taken and not needed."""
    return (lambda function: function) if func is None else func


register_torch_dispatch = register_autocast = register_vmap


def get_ctx():
    """RuntimeError: no operator is ever run on tensors without content."""
    raise RuntimeError("torch.library.get_ctx: there is no fake tensor to make sizes for")


def wrap_triton(triton_kernel, /):
    """RuntimeError: kernels in Triton need a GPU."""
    raise RuntimeError("torch.library.wrap_triton: Rushlight runs on CPUs and takes no kernels in Triton")


def fallthrough_kernel():
    """As an operator's function: the next in order runs."""
    raise NotImplementedError("torch.library.fallthrough_kernel is not called")
