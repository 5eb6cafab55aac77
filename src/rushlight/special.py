"""torch.special: the rarer functions of one or two numbers, by name.  Their definitions are in operators/special.py."""
from .operators.special import NAMESPACE as _namespace

globals().update(_namespace)
__all__ = sorted(_namespace)
