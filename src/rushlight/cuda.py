"""torch.cuda as a CPU build of PyTorch has it: there is no GPU, and what only makes sense with one does nothing or says so.

    device = "cuda" if torch.cuda.is_available() else "cpu"
"""


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


def __getattr__(name):
    if name == "amp":  # its older place
        from . import amp
        return amp
    raise AttributeError(f"module 'rushlight.cuda' has no attribute '{name}'")


synchronize = get_device_name = get_device_properties = set_device = memory_allocated = current_device
