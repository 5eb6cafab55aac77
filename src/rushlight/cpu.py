"""torch.cpu: the one device there is, in the words of torch.cuda."""
import contextlib
import time

from . import amp  # noqa: F401


def is_available():
    """Whether tensors can lie in main memory: yes."""
    return True


is_initialized = is_available


def device_count():
    """The number of CPUs that tensors can lie on: 1."""
    return 1


def current_device():
    """The name of the current CPU."""
    return "cpu"


def synchronize(device=None):
    """Nothing has to be waited for."""


def set_device(device):
    """There is one device to choose."""


class Stream:
    """An order of work.  There is one, in which calls stand as they were made."""

    def __init__(self, device=None, priority=-1, **_):
        self.device = device

    def wait_stream(self, stream):
        """Nothing has to be waited for."""

    wait_event = record_event = synchronize = wait_stream

    def query(self):
        """Whether all is done: yes."""
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


class Event:
    """A moment; `elapsed_time(later)` is in milliseconds."""

    def __init__(self, device=None, *, enable_timing=False, **_):
        self.time = None

    def record(self, stream=None):
        """It is now."""
        self.time = time.perf_counter()

    def wait(self, stream=None):
        """Nothing has to be waited for."""

    def synchronize(self):
        """Nothing has to be waited for."""

    def query(self):
        """Whether it has come: yes."""
        return True

    def elapsed_time(self, end_event):
        """Milliseconds from this moment to another."""
        if self.time is None or end_event.time is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return 1000 * (end_event.time - self.time)


def current_stream(device=None):
    """The one order of work."""
    return _stream


def stream(stream):
    """A block whose work stands in this order."""
    return contextlib.nullcontext() if stream is None else stream


_stream = Stream()
StreamContext = stream
