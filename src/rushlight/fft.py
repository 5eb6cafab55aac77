"""torch.fft: discrete Fourier transforms, by name.  The definitions are in operators/fourier.py."""
from .operators.fourier import NAMESPACE as _namespace
from .tensors.pickling import answer_by_name as _answer_by_name

globals().update(_namespace)
_answer_by_name(__name__, _namespace)
__all__ = sorted(_namespace)
