"""torch.nn.attention: which of PyTorch's ways attention is to be computed in.  There is one here (operators/attention.py), which gives the
same results; the choice is taken, and can be asked for.
"""
import contextlib
from enum import IntEnum

_DEFAULT_SPARSE_BLOCK_SIZE = 128  # of flex_attention, which is not there


class SDPBackend(IntEnum):
    """PyTorch's ways to compute attention."""

    ERROR, MATH, FLASH_ATTENTION, EFFICIENT_ATTENTION, CUDNN_ATTENTION, OVERRIDEABLE = range(-1, 5)


_chosen = [[SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]]


@contextlib.contextmanager
def sdpa_kernel(backends, set_priority=False):
    """A block in which attention may be computed in these ways.  AssertionError where they are none of SDPBackend."""
    backends = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not all(isinstance(b, SDPBackend) for b in backends):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend instances")
    _chosen.append(backends)
    try:
        yield
    finally:
        _chosen.pop()


def _cur_sdpa_kernel_backends(with_priority=False):
    return list(_chosen[-1])
