"""Tensors on the device "meta": shape, dtype and strides, and no memory behind them.

    torch.empty(10**12, device="meta") @ y      what comes out is told by the operators' own inference, on a recorder that never runs
    with torch.device("meta"): model = Net()    a model as large as one likes, given memory later by `model.to_empty(device="cpu")`

Such a tensor wraps a plain one that lies nowhere (`_plain`), and takes all calls over as a tensor of a user's class does
(tensors/dispatch.py); its class is made when the first is wanted, so that nobody else pays.  Draws leave it as it is, and take nothing out of
the generator (https://docs.pytorch.org/docs/stable/meta.html).  Start with `_call`.
"""
import functools

from ..runtime import storage as storages
from ..runtime.recorder import Recorder, here
from .device import META, usable
from .dispatch import TorchFunctionMode
from .printing import tensor_repr
from .tensor import Tensor, plain

DRAWS = frozenset("uniform_ normal_ log_normal_ exponential_ geometric_ cauchy_ random_ bernoulli_".split())
LOOKS = frozenset("cpu cuda numpy tolist".split())
FACTORIES = frozenset("""arange as_tensor asarray empty empty_permuted empty_strided eye full linspace logspace normal ones rand randint randn
    randperm scalar_tensor tensor zeros""".split())


class _ShapesOnly(Recorder):
    """A recorder of which nothing is ever run."""

    def flush(self):
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")


def only_shapes():
    """Whether the calls of this thread are made to see what shapes come out."""
    return isinstance(here.recorder, _ShapesOnly)


def without_memory(shape, strides, dtype):
    """A plain tensor that lies nowhere."""
    return plain(storages.Place(storages.Storage(None, 0, dtype), tuple(shape), tuple(strides), 0, dtype))


def of_layout(shape, strides, dtype, requires_grad=False):
    """A tensor on "meta"."""
    made = Tensor.__new__(meta_class())
    made.__dict__["_plain"] = without_memory(shape, strides, dtype).requires_grad_(requires_grad)
    return made


def on_meta(tensor):
    """A tensor on "meta" of the shape, strides and dtype of another."""
    return tensor if tensor.is_meta else of_layout(tensor.shape, tensor.stride(), tensor.dtype, tensor.requires_grad)


def _mapped(tree, change):
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, (tuple, list)):
        parts = [_mapped(part, change) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def _call(function, args, kwargs):
    """What a function makes of arguments some of which are on "meta": tensors on "meta", or what follows from shapes."""
    name = function.__name__
    if name in DRAWS:
        return args[0]
    if name in LOOKS:
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    if name in ("item", "__bool__", "__float__", "__int__"):
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    if name == "requires_grad_":
        args[0]._plain.requires_grad_(*args[1:], **kwargs)
        return args[0]
    args, kwargs, wanted = _without_device(name, args, kwargs)
    if wanted is not None and wanted != META:
        if not (name.endswith("_like") or name.startswith("new_")):
            raise NotImplementedError("Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of "
                                      "torch.nn.Module.to() when moving module from meta to a different device.")
        like = args[0]._plain
        return function(plain(storages.fresh(like.shape, like.dtype, like.stride())), *args[1:], **kwargs)
    outer, inner, stands = here.recorder, _ShapesOnly(), []

    def stand(t):
        t = t._plain if t.is_meta else without_memory(t.shape, t.stride(), t.dtype)
        stands.append(t)
        return t

    given, named = _mapped(args, stand), {word: _mapped(value, stand) for word, value in kwargs.items()}
    owners = {id(t._plain): t for t in _metas((*args, *kwargs.values()))}
    here.recorder = inner
    try:
        inner.grad = outer.grad
        for t in stands:  # pending, so that nobody writes to them at once
            inner.enter(t)
        made = function(*given, **named)
        return _mapped(made, lambda t: owners[id(t)] if id(t) in owners else of_layout(t.shape, t.stride(), t.dtype, t.requires_grad))
    finally:
        here.recorder = outer
        for t in stands:
            t._state = None


def _metas(args):
    for a in args:
        if isinstance(a, Tensor):
            if a.is_meta:
                yield a
        elif isinstance(a, (tuple, list)):
            yield from _metas(a)


def _without_device(name, args, kwargs):
    """The arguments without the device that is named among them, and that device."""
    wanted = kwargs.get("device")
    if name == "to":
        named = next((a for a in args[1:] if isinstance(a, str) or type(a) is type(META)), None)
        wanted, args = wanted if named is None else named, tuple(None if a is named and a is not None else a for a in args)
    kwargs = {word: value for word, value in kwargs.items() if word != "device"}
    return args, kwargs, None if wanted is None else usable(wanted)


@functools.cache
def meta_class():
    """The class of tensors on "meta"."""

    class MetaTensor(Tensor):
        """A tensor that has a shape and no memory."""

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return _call(func, args, kwargs or {})

        def _stored(self):
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")

        device, is_meta, is_cpu = META, True, False

        def data_ptr(self):
            """Nowhere."""
            return 0

        def __deepcopy__(self, memo):
            made = memo[id(self)] = of_layout(self.shape, self.stride(), self.dtype, self.requires_grad)
            made.__dict__.update((name, value) for name, value in self.__dict__.items() if name != "_plain")
            return made

        def __repr__(self, *, tensor_contents=None):
            text = tensor_repr(None, self.dtype, requires_grad=self.requires_grad, device="meta", shape=tuple(self.shape))
            return "Parameter containing:\n" + text if getattr(self, "_is_param", False) else text

    return MetaTensor


class _OnMeta(TorchFunctionMode):
    """New tensors go to "meta" where nothing else is said."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.__name__ in FACTORIES and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": META}
        return func(*args, **kwargs)


new_tensors_on_meta = _OnMeta
