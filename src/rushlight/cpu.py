"""torch.cpu: the one device there is, in the words of torch.cuda."""
from . import amp  # noqa: F401


def is_available():
    """Whether tensors can lie in main memory: yes."""
    return True


def device_count():
    """The number of CPUs that tensors can lie on: 1."""
    return 1


def current_device():
    """The name of the current CPU."""
    return "cpu"


def synchronize(device=None):
    """Nothing has to be waited for."""
