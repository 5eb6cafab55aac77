"""`torch.overrides`: taking calls over with `__torch_function__`, by subclass or by mode."""
from .tensors.dispatch import (  # noqa: F401
    DisableTorchFunctionSubclass,
    TorchFunctionMode,
    handle_torch_function,
    has_torch_function,
)
from .tensors.dispatch import start_asking as _start_asking


def is_tensor_like(x):
    """Whether `x` is a tensor, or of a class with a `__torch_function__`."""
    return hasattr(type(x), "__torch_function__")


def is_tensor_method_or_property(func):
    """Whether `func` belongs to Tensor."""
    from .tensors.tensor import Tensor
    return any(func is f for f in Tensor.__dict__.values())


def resolve_name(f):
    """The name a function goes by."""
    return "torch." + getattr(f, "__name__", str(f))


def get_default_nowrap_functions():
    """Functions whose results are never wrapped in the subclass."""
    return set()


_start_asking()
