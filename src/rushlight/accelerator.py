"""torch.accelerator as a CPU build of PyTorch has it: there is none.

    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
"""
from .cuda import device_count, empty_cache, is_available, memory_allocated, memory_stats  # noqa: F401


def current_accelerator(check_available=False):
    """The device of the accelerator: None."""
    return None


def current_device_index(*_, **__):
    """What asks for an accelerator: RuntimeError, since there is none."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


current_device_idx = set_device_index = set_device_idx = synchronize = current_stream = set_stream = current_device_index
device_index = get_memory_info = get_device_capability = current_device_index
max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated
