"""What libraries ask PyTorch's inner torch._utils for: the bytes of an element, and which device is meant."""
from ..tensors.device import device as _device


def _element_size(dtype):
    """Bytes of one element."""
    return dtype.itemsize


def _get_device_index(device, optional=False, allow_cpu=False):
    """The number of a device; -1 for the CPU where that is allowed."""
    if isinstance(device, str):
        device = _device(device)
    if isinstance(device, int):
        return device
    if device is not None and device.type == "cpu":
        if allow_cpu:
            return -1
        raise ValueError(f"Expected a non cpu device, but got: {device}")
    return 0 if optional else device.index


def _get_available_device_type():
    """The kind of accelerator: None."""


def _get_device_module(device_type):
    """The module that is about a kind of device."""
    from ..switches import get_device_module
    return get_device_module(device_type)
