"""torch.linalg: linear algebra, by name.  The definitions are in operators/matrices.py and operators/linalg.py."""
from .operators.matrices import NAMESPACE as _namespace

globals().update(_namespace)
__all__ = sorted(_namespace)
