"""What PyTorch's documentation tells users to take from `torch._C`."""
from .tensors.dispatch import DisableTorchFunctionSubclass, _disabled_torch_function_impl  # noqa: F401

DisableTorchFunction = DisableTorchFunctionSubclass


def _log_api_usage_once(event):
    """PyTorch's counter of who uses what; libraries call it, and nothing is counted here."""
