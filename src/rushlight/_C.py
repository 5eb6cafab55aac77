"""What PyTorch's documentation tells users to take from `torch._C`."""
from .tensors.dispatch import DisableTorchFunctionSubclass, _disabled_torch_function_impl  # noqa: F401

DisableTorchFunction = DisableTorchFunctionSubclass
