"""torch.accelerator as a CPU build of PyTorch has it: there is none.

    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
"""


def is_available():
    """Whether there is an accelerator: no."""
    return False


def device_count():
    """The number of accelerators: 0."""
    return 0


def current_accelerator(check_available=False):
    """The device of the accelerator: None."""
    return None
