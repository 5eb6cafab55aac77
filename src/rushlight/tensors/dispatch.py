"""`__torch_function__`: tensors of a user's class, tensor-like classes, and modes, that take calls over.

    class Logged(Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None): ...

A tensor of such a class wraps a plain one (`_plain`) and never has a recorded value of its own, so the short way from a call to the
trie always misses it, and nothing else pays: the long way (`Operator.call_slowly`) asks `taken_over` first.  A mode makes the thread's
recorder blind to guesses while it is on, with the same effect
(https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-python-api).

Functions that are plain Python (they sort arguments out, and call operators) know nothing of this.  They are noted when they are defined
(`asks`), and `start_asking` gives all of them other code, once, when the first class or mode that could take a call over appears: code that
asks, under the name that users know, and then runs what the function was.
"""
import threading
import types

from ..runtime.recorder import here
from .tensor import Tensor


class _Thread(threading.local):
    def __init__(self):
        self.disabled, self.modes = 0, []


_thread = _Thread()


def _disabled_torch_function_impl(func, types, args=(), kwargs=None):
    """As `__torch_function__` of a class: its tensors are treated as plain ones."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


class DisableTorchFunctionSubclass:
    """Inside, subclasses are treated as plain tensors."""

    def __enter__(self):
        _thread.disabled += 1

    def __exit__(self, *_):
        _thread.disabled -= 1


def _default(cls, func, types, args=(), kwargs=None):
    """Tensor's own `__torch_function__`: call the function; tensors it returns are of the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    return _wrapped(result, cls)


def _wrapped(result, cls):
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) or not cls._dispatches else result.as_subclass(cls)
    if isinstance(result, (tuple, list)):
        parts = [_wrapped(r, cls) for r in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return result


def _dispatching(args, found):
    for a in args:
        if isinstance(a, (tuple, list)):
            _dispatching(a, found)
        elif takes_over(a) and not any(type(a) is type(f) for f in found):
            place = next((i for i, f in enumerate(found) if issubclass(type(a), type(f))), len(found))
            found.insert(place, a)  # before the classes that it extends
    return found


def takes_over(a):
    """Whether the class of `a` takes calls over."""
    return hasattr(type(a), "__torch_function__") and getattr(type(a), "_dispatches", True)


def asks(function):
    """Note a plain function that users call: what it is given may take the call over."""
    if not hasattr(function, "asks_itself") and isinstance(function, types.FunctionType):
        function.asks_itself = True
        _waiting.append(function)
        if _asking:
            start_asking()
    return function


_waiting = []  # functions that do not ask yet
_asking = []   # not empty once functions ask
PROTOCOLS = ("__len__", "__bool__", "__float__", "__int__", "__complex__", "__index__", "__contains__")
_codes = {}    # code that asks, by the names of the variables that a function has from where it was defined


def start_asking():
    """From now on, all noted functions ask."""
    if not _asking:
        _asking.append(True)
        for name, function in vars(Tensor).items():
            if (not name.startswith("_") or name in PROTOCOLS) and name != "as_subclass":
                asks(function)
    while _waiting:
        function = _waiting.pop()
        code = function.__code__
        before = types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
        before.__kwdefaults__ = function.__kwdefaults__
        before.__dict__.update(function.__dict__)  # what it wraps itself says what its arguments are
        function.__wrapped__ = before
        names = code.co_freevars
        if names not in _codes:
            scope = {}
            exec(f"def make({', '.join(names)}):\n def ask(*args, _ask, **kwargs):\n  if False: {', '.join(names) or 'pass'}\n"
                 "  return _ask(args, kwargs)\n return ask", scope)
            _codes[names] = scope["make"](*names).__code__
        function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), "_ask": _asker(function, before)}
        function.__code__ = _codes[names].replace(co_name=code.co_name, co_qualname=code.co_qualname, co_filename=code.co_filename,
                                                  co_firstlineno=code.co_firstlineno)
        function.__defaults__ = None


def _asker(function, before):
    def ask(args, kwargs):
        if here.recorder.inline:
            return before(*args, **kwargs)
        answer = taken_over(function, args, kwargs)
        if answer is not None:
            return answer[0]
        given = (*args, *kwargs.values())
        if not any_dispatches(given):
            return before(*args, **kwargs)
        result = before(*all_plain(args), **dict(zip(kwargs, all_plain(kwargs.values()))))
        return next((a for a in given if isinstance(a, Tensor) and a._dispatches and a._plain is result), result)
    return ask


def taken_over(function, args, kwargs=None):
    """The answer of a mode or of a subclass among the arguments, as a 1-tuple; None where nobody takes the call over."""
    if _thread.modes:
        return (_ask_mode(function, args, kwargs),)
    if _thread.disabled:
        return None
    found = _dispatching((*args, *(kwargs or {}).values()), [])
    if not found:
        return None
    types = tuple(type(a) for a in found)
    for a in found:
        answer = type(a).__torch_function__(function, types, args, kwargs or {})
        if answer is not NotImplemented:
            return (answer,)
    names = ", ".join(t.__name__ for t in types)
    raise TypeError(f"no implementation found for '{function.__name__}' on types that implement __torch_function__: [{names}]")


def _ask_mode(function, args, kwargs):
    mode = _thread.modes.pop()
    look()
    try:
        types = tuple(type(a) for a in _dispatching(args, []))
        return mode.__torch_function__(function, types, args, kwargs or {})
    finally:
        _thread.modes.append(mode)
        look()


class TorchFunctionMode:
    """A context in which every call goes to `self.__torch_function__(func, types, args, kwargs)` first."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))

    def __enter__(self):
        start_asking()
        _thread.modes.append(self)
        look()
        return self

    def __exit__(self, *_):
        _thread.modes.pop()
        look()


def look():
    """Make the recorder look at every call while there are modes, or hooks of what is saved for backward."""
    here.recorder.watch(bool(_thread.modes or here.recorder.saved_hooks))


def has_torch_function(args):
    """Whether any argument (or a mode) takes calls over."""
    return bool(_thread.modes) or not _thread.disabled and bool(_dispatching(args, []))


def handle_torch_function(function, relevant, *args, **kwargs):
    """Hand a call over to whoever among `relevant` takes it."""
    answer = taken_over(function, args, kwargs)
    return function(*args, **kwargs) if answer is None else answer[0]


# ---------------------------------------------------------------------------------------------------------------------
# Subclasses

DELEGATED = ("shape", "dtype", "ndim", "requires_grad", "grad", "is_leaf", "grad_fn", "_version", "retains_grad", "output_nr", "device",
             "layout", "itemsize", "nbytes")
DELEGATED_METHODS = ("_stored", "_known_place", "_present")


def plain_of(tensor):
    """The plain tensor behind a tensor of a class that takes calls over; any other as it is."""
    return tensor._plain if tensor._dispatches else tensor


def any_dispatches(args):
    """Whether a tensor of a class that takes calls over is among the arguments."""
    return any(isinstance(a, Tensor) and a._dispatches or type(a) in (tuple, list) and any_dispatches(a) for a in args)


def all_plain(args):
    """Arguments with the plain tensor in place of each that wraps one."""
    return tuple(plain_of(a) if isinstance(a, Tensor) else type(a)(all_plain(a)) if type(a) in (tuple, list) else a for a in args)


def prepare_subclass(cls):
    """Called for every subclass of Tensor: note whether it takes calls over, and let its tensors' facts come from the plain one."""
    cls._dispatches = getattr(cls.__torch_function__, "__func__", cls.__torch_function__) is not _disabled_torch_function_impl
    if not cls._dispatches:
        return
    start_asking()
    for name in DELEGATED:
        if name not in cls.__dict__ and _is_ours(cls, name):
            setattr(cls, name, property(lambda self, name=name: getattr(self._plain, name),
                                        lambda self, value, name=name: setattr(self._plain, name, value),
                                        lambda self, name=name: delattr(self._plain, name)))
    for name in DELEGATED_METHODS:
        if name not in cls.__dict__ and _is_ours(cls, name):
            setattr(cls, name, lambda self, *args, name=name, **kwargs: _of_self(self, getattr(self._plain, name)(*args, **kwargs)))


    cls.data = property(lambda self: self._plain.data.as_subclass(type(self)),
                        lambda self, value: setattr(self._plain, "data", plain_of(value)))


def _is_ours(cls, name):
    owner = next((c for c in cls.__mro__ if name in c.__dict__), Tensor)
    return owner is Tensor


def _of_self(tensor, result):
    return tensor if result is tensor._plain else result


def as_subclass(self, cls):
    """The same tensor as an instance of a subclass of Tensor."""
    made, inner = Tensor.__new__(cls), plain_of(self)
    if cls._dispatches:
        made.__dict__["_plain"] = inner
        return made
    if inner.requires_grad and not inner.is_leaf:
        inner = inner.view_as(inner)
    made._place = inner._stored()
    made._tape = inner._tape
    _share(made._place.storage, inner, made)
    return made


def _share(storage, *tensors):
    """Note tensors that lie in one storage."""
    for t in tensors:
        if not any(m is t for m in storage.tensors()):
            storage.join(t)


def _make_subclass(cls, data, require_grad=False):
    """A tensor of class `cls` over the memory of `data`, without its history."""
    inner = plain_of(data).detach()
    if cls._dispatches:
        made = Tensor.__new__(cls)
        made.__dict__["_plain"] = inner
        if require_grad:
            inner.requires_grad_()
        return made
    made = Tensor.__new__(cls)
    made._place = inner._stored()
    _share(made._place.storage, inner, made)
    return made.requires_grad_() if require_grad else made


Tensor._dispatches = False
Tensor.__torch_function__ = classmethod(_default)
Tensor.as_subclass = as_subclass
Tensor._make_subclass = staticmethod(_make_subclass)
Tensor.__init_subclass__ = classmethod(lambda cls, **kwargs: prepare_subclass(cls))
