"""torch.random: the default generator, and a context in which its state is put back."""
import contextlib

from .operators.random import default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state

__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


@contextlib.contextmanager
def fork_rng(devices=None, enabled=True, device_type="cuda"):
    """Put the state of the default generator back at the end of the block.  `devices` are GPUs, of which there is none.
    https://docs.pytorch.org/docs/stable/random.html#torch.random.fork_rng

    >>> with torch.random.fork_rng():
    ...     first = torch.rand(2)
    >>> torch.equal(first, torch.rand(2))
    True
    """
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)
