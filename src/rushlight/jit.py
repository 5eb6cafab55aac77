"""torch.jit, as PyTorch has it when PYTORCH_JIT=0: what would be compiled stays the Python that it is.  Every program is compiled here
anyway, as it was written."""


def script(obj, *_, **__):
    """`obj` itself: a function, a module or a class."""
    return obj


def trace(func, example_inputs=None, *_, **__):
    """`func` itself."""
    return func


def trace_module(mod, inputs=None, *_, **__):
    """`mod` itself."""
    return mod


def ignore(drop=False, **_):
    """Decorator that changes nothing."""
    return drop if callable(drop) else lambda function: function


def unused(function):
    """Decorator that changes nothing."""
    return function


export = script_method = interface = unused
freeze = optimize_for_inference = script


def script_if_tracing(function):
    """Decorator that changes nothing."""
    return function


def is_scripting():
    """False: nothing is ever compiled by TorchScript."""
    return False


is_tracing = is_scripting


def annotate(the_type, the_value):
    """`the_value`, whatever its type is said to be."""
    return the_value




def __getattr__(name):
    if name == "ScriptModule":  # what `script` gives for a module
        from .nn import Module
        return Module
    if name == "Final":
        from typing import Final
        return Final
    raise AttributeError(f"module 'rushlight.jit' has no attribute '{name}'")
