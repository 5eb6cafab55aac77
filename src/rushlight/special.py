"""torch.special: the rarer functions of one or two numbers, by name.  Their definitions are in operators/special.py."""
from .operators.special import NAMESPACE as _namespace
from .tensors.pickling import answer_by_name as _answer_by_name

globals().update(_namespace)
_answer_by_name(__name__, _namespace)
__all__ = sorted(_namespace)
