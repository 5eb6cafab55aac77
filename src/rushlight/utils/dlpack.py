"""torch.utils.dlpack: tensors to and from other libraries, over the same memory."""
from ..tensors.bridge import from_dlpack  # noqa: F401


def to_dlpack(tensor):
    """The tensor's memory as a DLPack capsule.  https://docs.pytorch.org/docs/stable/dlpack.html"""
    return tensor.__dlpack__()
