"""torch.nn.functional: layers as functions.  Their definitions are operators and live in operators/, one place each."""
from ..operators.functional import *  # noqa: F403
