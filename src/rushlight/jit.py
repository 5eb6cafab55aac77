"""torch.jit, as PyTorch has it when PYTORCH_JIT=0: what would be compiled stays the Python that it is.  Every program is compiled here
anyway, as it was written."""
import builtins
import contextlib
import typing
from typing import Any, Dict, Final, List, Optional, Tuple, Union  # noqa: F401, UP035

from ._paths import open_below
from .futures import Future
from .nn import Module


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



def _unchanged(function):
    """`function` itself."""
    return function


_script_if_tracing = script_if_tracing
_overload = _overload_method = _copy_to_script_wrapper = _unchanged


def boolean_dispatch(arg_name, arg_index, default, if_true, if_false, module_name, func_name):
    """A function that is one of two, by one of its arguments."""
    def chosen(*args, **kwargs):
        flag = kwargs.get(arg_name, args[arg_index] if arg_index < len(args) else default)
        return (if_true if flag else if_false)(*args, **kwargs)
    chosen.__name__ = func_name or if_true.__name__
    return chosen


def isinstance(obj, target_type):
    """Python's isinstance, which also takes List[int] and its like by their outer type."""
    kinds = target_type if builtins.isinstance(target_type, tuple) else (target_type,)
    return builtins.isinstance(obj, tuple(typing.get_origin(kind) or kind for kind in kinds))


def fork(func, *args, **kwargs):
    """A Future of func(*args, **kwargs), which is run at once."""
    future = Future()
    future.set_result(func(*args, **kwargs))
    return future


def wait(future):
    """The result of a `fork`."""
    return future.wait()


def save(m, f, _extra_files=None):
    """RuntimeError: TorchScript's archives hold compiled code, of which there is none."""
    raise RuntimeError("torch.jit.save: Rushlight has no TorchScript; save the state_dict with torch.save")


def _get_trace_graph(*_, **__):
    raise RuntimeError("torch.jit: Rushlight traces no graphs of TorchScript; torch.explain shows what is compiled, torch.fx what forward does")


def load(f, map_location=None, _extra_files=None, _restore_shapes=False):
    """RuntimeError: TorchScript's archives hold compiled code."""
    raise RuntimeError("torch.jit.load: Rushlight reads no TorchScript; save the state_dict with torch.save where the model was made")


def set_fusion_strategy(strategy):
    """Taken as it is; the strategies before are returned."""
    return [("STATIC", 2), ("DYNAMIC", 10)]


class ScriptFunction:
    """The class of functions that TorchScript compiled: nothing is an instance."""


class TracerWarning(Warning):
    """What PyTorch's tracer warns of."""

    @staticmethod
    def ignore_lib_warnings():
        """There are none."""


class strict_fusion(contextlib.nullcontext):
    """A block in which TorchScript has to fuse everything; it changes nothing."""


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = typing.Sequence


class ScriptModule(Module):
    """The class of modules that TorchScript compiled: `script` gives the module itself, so nothing is an instance but what is made one."""


RecursiveScriptModule = ScriptModule
__getattr__ = open_below(__name__)
