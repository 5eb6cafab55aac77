"""What PyTorch's documentation tells users to take from `torch._C`."""
import contextlib
from enum import Enum

from ._paths import Absent, open_below
from .tensors.dispatch import DisableTorchFunctionSubclass, _disabled_torch_function_impl, has_torch_function  # noqa: F401
from .tensors.tensor import Tensor

DisableTorchFunction = DisableTorchFunctionSubclass


def _log_api_usage_once(event):
    """PyTorch's counter of who uses what; libraries call it, and nothing is counted here."""


def _get_tracing_state():
    """Whether a graph is being traced: no."""


def _get_privateuse1_backend_name():
    """The name of a kind of device of one's own."""
    return "privateuseone"


def _is_torch_function_mode_enabled():
    """Whether a mode takes calls over."""
    return has_torch_function(())


def _are_functorch_transforms_active():
    """Whether calls have to be looked at differently inside vmap and grad: never."""
    return False


_TensorMeta, Graph, Value = type(Tensor), type("Graph", (), {}), type("Value", (), {})
class DispatchKey(Enum):
    """Where PyTorch looks for what an operator does; operators have one meaning here."""

    CPU, Autograd, AutocastCPU, AutocastCUDA, AutocastXPU, Meta, PythonDispatcher, FuncTorchBatched = range(8)


class DispatchKeySet(frozenset):
    """Some of these keys."""

    def __new__(cls, *keys):
        return super().__new__(cls, keys)


@contextlib.contextmanager
def _ExcludeDispatchKeyGuard(keys):
    """A block without some of these keys."""
    yield


PyTorchFileReader = Absent("PyTorchFileReader", (), {"__module__": "rushlight", "reason": "torch.load reads PyTorch's files"})
__getattr__ = open_below(__name__)
