"""RemovableHandle, where PyTorch has it.  Its definition is in autograd/hooks.py, for tensors have hooks too."""
from ..autograd.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
