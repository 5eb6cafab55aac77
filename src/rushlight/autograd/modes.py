"""Switching differentiation off and on: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`.

Each is a context manager and a decorator (https://docs.pytorch.org/docs/stable/notes/autograd.html#locally-disable-grad-doc).
"""
import functools
import warnings

from ..runtime.recorder import here

GENERATOR = 0x20  # the flag of a generator function's code


class _Mode:
    """Sets the recorder's `grad` inside a `with`, or around each call of a decorated function (each step of a generator)."""

    enabled = True

    def __enter__(self):
        self.before = getattr(self, "before", []) + [here.recorder.grad]
        here.recorder.grad = self.enabled
        return None

    def __exit__(self, *_):
        here.recorder.grad = self.before.pop()

    def clone(self):
        return type(self)()

    def __call__(self, function):
        if isinstance(function, type):
            warnings.warn("Decorating classes is deprecated and will be disabled in future versions. You should only decorate functions or "
                          "methods. To preserve the current behavior of class decoration, you can directly decorate the `__init__` method "
                          "and nothing else.", FutureWarning, stacklevel=2)
            function.__init__ = self(function.__init__)
            return function
        if getattr(getattr(function, "__code__", None), "co_flags", 0) & GENERATOR:
            @functools.wraps(function)
            def generator(*args, **kwargs):
                running = function(*args, **kwargs)
                step, given = running.send, (None,)
                while True:
                    try:
                        with self.clone():
                            value = step(*given)
                    except StopIteration as end:
                        return end.value
                    try:
                        step, given = running.send, ((yield value),)
                    except GeneratorExit:
                        with self.clone():
                            running.close()
                        raise
                    except BaseException as error:
                        step, given = running.throw, (error,)
            return generator

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with self.clone():
                return function(*args, **kwargs)
        return wrapped


class no_grad(_Mode):
    """Results of what runs inside require no gradient."""
    enabled = False

    def __new__(cls, function=None):
        self = super().__new__(cls)
        return self if function is None else self(function)


class enable_grad(no_grad):
    """Differentiation on again, inside `no_grad`."""
    enabled = True


class inference_mode(_Mode):
    """As `no_grad`; what is made inside is marked: outside it cannot be written to in place, nor saved for backward."""

    def __init__(self, mode=True):
        self.mode = mode
        self.enabled = not mode

    def __new__(cls, mode=True):
        if callable(mode):
            return cls()(mode)
        return super().__new__(cls)

    def __enter__(self):
        super().__enter__()
        self.outer = [*getattr(self, "outer", ()), here.recorder.inference]
        here.recorder.inference = self.mode

    def __exit__(self, *error):
        here.recorder.inference = self.outer.pop()
        super().__exit__(*error)

    def clone(self):
        return inference_mode(self.mode)


class set_grad_enabled(_Mode):
    """On or off; takes effect at once, and until the end of a `with`."""

    def __init__(self, mode):
        self.enabled = bool(mode)
        self.outside = here.recorder.grad
        here.recorder.grad = self.enabled

    def __enter__(self):
        here.recorder.grad = self.enabled
        return None

    def __exit__(self, *_):
        here.recorder.grad = self.outside

    def __call__(self, function):
        here.recorder.grad = self.outside  # as a decorator it is for the function's calls only
        return super().__call__(function)

    def clone(self):
        return set_grad_enabled(self.enabled)


def is_inference_mode_enabled():
    """Whether this thread is inside an `inference_mode`."""
    return here.recorder.inference


def is_grad_enabled():
    """Whether calls of this thread are being differentiated."""
    return here.recorder.grad
