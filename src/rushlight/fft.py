"""torch.fft: discrete Fourier transforms, by name.  The definitions are in operators/fourier.py."""
from .operators.fourier import NAMESPACE as _namespace

globals().update(_namespace)
__all__ = sorted(_namespace)
