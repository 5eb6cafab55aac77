"""torch.cuda as a CPU build of PyTorch has it: there is no GPU, and what only makes sense with one does nothing or says so.

    device = "cuda" if torch.cuda.is_available() else "cpu"

torch.cuda.amp, the older place of torch.amp, takes no device: it is always the GPU, so it does nothing here.
"""
import functools
import sys
import types

from . import amp as _amp


def is_available():
    """Whether tensors can lie on a GPU: no."""
    return False


def is_initialized():
    """Whether a GPU is in use: no."""
    return False


def device_count():
    """The number of GPUs: 0."""
    return 0


def manual_seed(seed):
    """Seeds the generator of a GPU, of which there is none."""


def manual_seed_all(seed):
    """Seeds the generators of all GPUs, of which there is none."""


def empty_cache():
    """Gives memory of a GPU back, of which none is taken."""


def current_device(*_):
    """What asks for a GPU: AssertionError, since there is none."""
    raise AssertionError("torch.cuda: this is Rushlight's CPU build, no GPU is available")


class _autocast(_amp.autocast):
    def __init__(self, enabled=True, dtype=None, cache_enabled=None):
        super().__init__("cuda", dtype, enabled, cache_enabled)


amp = sys.modules[f"{__name__}.amp"] = types.ModuleType(f"{__name__}.amp", "What PyTorch keeps in torch.cuda.amp.")
amp.autocast, amp.GradScaler = _autocast, functools.partial(_amp.GradScaler, "cuda")
amp.custom_fwd, amp.custom_bwd = (functools.partial(wrap, device_type="cuda") for wrap in (_amp.custom_fwd, _amp.custom_bwd))

synchronize = get_device_name = get_device_properties = set_device = memory_allocated = current_device
