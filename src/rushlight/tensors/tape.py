"""What a tensor carries for autograd.  The engine is two floors up (autograd/); a tensor only keeps its things for it."""


class Tape:
    """requires_grad   whether gradients are wanted for it
    grad            the accumulated gradient, or None
    history         (trace, value): where it came from; None for a leaf
    hooks           functions of its gradient, by handle number; `accumulated` those to run after accumulation
    retains         whether a tensor that is no leaf keeps its gradient
    node            its `grad_fn` object, made when asked for
    version         how often it was written to, where writes through it do not count for backward (`x.data`); else None
    """

    __slots__ = ("requires_grad", "grad", "history", "hooks", "accumulated", "retains", "node", "version")

    def __init__(self):
        self.requires_grad, self.grad, self.history = False, None, None
        self.hooks, self.accumulated, self.retains, self.node = None, None, False, None
        self.version = None


def tape_of(tensor):
    """The tensor's tape, made when it has none."""
    if tensor._tape is None:
        tensor._tape = Tape()
    return tensor._tape
