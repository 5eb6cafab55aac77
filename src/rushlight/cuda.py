"""torch.cuda as a CPU build of PyTorch has it: there is no GPU, and what only makes sense with one does nothing or says so.

    device = "cuda" if torch.cuda.is_available() else "cpu"

torch.cuda.amp, the older place of torch.amp, takes no device: it is always the GPU, so it does nothing here.  torch.mps, torch.xpu and
torch.mtia, for other kinds of GPU, are made of what is here (_paths.py).
"""
import contextlib
import functools
import sys
import types

from . import amp as _amp
from ._paths import Absent as _Absent

_WHY = "Torch not compiled with CUDA enabled: this is Rushlight's CPU build, no GPU is available"
default_generators = ()


def is_available():
    """Whether there is what this asks for: no, since there is no GPU."""
    return False


def device_count():
    """The number of GPUs: 0."""
    return 0


def manual_seed(seed):
    """Does nothing: it is about GPUs, of which there is none."""


def memory_allocated(device=None):
    """Bytes of a GPU's memory in use: 0."""
    return 0


def memory_stats(device=None):
    """What is known of a GPU's memory: nothing."""
    return {}


def get_rng_state_all():
    """The states of all GPUs' generators: []."""
    return []


def get_arch_list():
    """The kinds of GPU this was compiled for: []."""
    return []


def set_rng_state_all(new_states):
    """Give the states back that `get_rng_state_all` gave."""
    if list(new_states):
        current_device()


def current_device(*_, **__):
    """What asks for a GPU: AssertionError, since there is none."""
    raise AssertionError(_WHY)


def stream(stream):
    """A block whose work is queued in a stream; None changes nothing.  AssertionError for another stream."""
    return contextlib.nullcontext() if stream is None else current_device()


class device:
    """A block in which a GPU is the current one; None or a negative number change nothing."""

    def __init__(self, device):
        if device is not None and not (isinstance(device, int) and device < 0):
            current_device()

    def __enter__(self):
        return None

    def __exit__(self, *_):
        return False


device_of = device
is_initialized = is_bf16_supported = is_tf32_supported = is_current_stream_capturing = is_available
manual_seed_all = seed_all = manual_seed


def empty_cache():
    """Does nothing: it is about GPUs, of which there is none."""


seed = ipc_collect = empty_cache
max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = max_memory_cached = memory_allocated
current_allocated_memory = driver_allocated_memory = recommended_max_memory = memory_allocated
init = synchronize = get_device_name = get_device_properties = get_device_capability = set_device = set_stream = current_device
current_stream = default_stream = mem_get_info = get_rng_state = set_rng_state = initial_seed = current_device
reset_peak_memory_stats = reset_max_memory_allocated = set_per_process_memory_fraction = make_graphed_callables = current_device
utilization = memory_summary = memory_snapshot = current_device

for _name in """CUDAGraph Event ExternalStream Stream StreamContext FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor
        ShortTensor CharTensor ByteTensor BoolTensor graph""".split():
    globals()[_name] = _Absent(_name, (), {"__module__": __name__, "__doc__": _WHY, "reason": _WHY, "error": AssertionError})


class _autocast(_amp.autocast):
    def __init__(self, enabled=True, dtype=None, cache_enabled=None):
        super().__init__("cuda", dtype, enabled, cache_enabled)


__path__ = []  # what is below is made here, none is a file
amp, random, nvtx, memory, profiler, streams = (types.ModuleType(f"{__name__}.{_name}", f"What PyTorch keeps in torch.cuda.{_name}.")
                                                for _name in ("amp", "random", "nvtx", "memory", "profiler", "streams"))
for _module in (amp, random, nvtx, memory, profiler, streams):
    sys.modules[_module.__name__] = _module
amp.autocast, amp.GradScaler = _autocast, functools.partial(_amp.GradScaler, "cuda")
amp.custom_fwd, amp.custom_bwd = (functools.partial(wrap, device_type="cuda") for wrap in (_amp.custom_fwd, _amp.custom_bwd))
for _name in "get_rng_state get_rng_state_all set_rng_state set_rng_state_all manual_seed manual_seed_all seed seed_all initial_seed".split():
    setattr(random, _name, globals()[_name])
for _name in "empty_cache memory_allocated max_memory_allocated memory_reserved memory_stats mem_get_info memory_summary".split():
    setattr(memory, _name, globals()[_name])
streams.Stream, streams.Event = globals()["Stream"], globals()["Event"]
nvtx.range_push = nvtx.range_pop = nvtx.mark = nvtx.range = profiler.profile = profiler.start = profiler.stop = current_device
