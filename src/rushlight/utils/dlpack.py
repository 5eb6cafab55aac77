"""torch.utils.dlpack: tensors to and from other libraries, over the same memory (https://docs.pytorch.org/docs/stable/dlpack.html)."""
from ..operators.namespace import to_dlpack  # noqa: F401
from ..tensors.bridge import from_dlpack  # noqa: F401
