"""torch.linalg: linear algebra, by name.  The definitions are in operators/matrices.py and operators/linalg.py."""
from .operators.matrices import NAMESPACE as _namespace
from .tensors.pickling import answer_by_name as _answer_by_name

globals().update(_namespace)
_answer_by_name(__name__, _namespace)
__all__ = sorted(_namespace)
