"""The limits of the element types: `finfo` for floating and complex ones, `iinfo` for integers."""
import math

import ml_dtypes
import numpy as np

from . import dtypes


class finfo:
    """What a floating dtype can hold: bits, eps, max, min, tiny (smallest_normal), resolution.

    >>> finfo(float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type=dtypes.float32):
        if not isinstance(type, dtypes.DType):
            raise TypeError(f"finfo(): argument 'type' (position 1) must be torch.dtype, not {type.__class__.__name__}")
        if type.kind not in "fc":
            raise TypeError("torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'")
        dtype = type.to_real()
        limits = ml_dtypes.finfo(getattr(ml_dtypes, dtype.name, None) or dtype.numpy)  # also of dtypes that no tensor has
        self.bits, self.dtype = 8 * dtype.itemsize, dtype.name
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.smallest_normal)
        self.resolution = 10.0 ** -int(limits.nmant * math.log10(2))  # of that many decimal digits a number keeps each

    def __repr__(self):
        numbers = ", ".join(f"{name}={getattr(self, name):g}" for name in ("resolution", "min", "max", "eps", "smallest_normal", "tiny"))
        return f"finfo({numbers}, dtype={self.dtype})"

    def __eq__(self, other):
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self):
        return hash(self.dtype)


class iinfo:
    """What an integer dtype can hold: bits, max, min.

    >>> iinfo(int8).max
    127
    """

    def __init__(self, type):
        if not isinstance(type, dtypes.DType):
            raise TypeError(f"iinfo(): argument 'type' (position 1) must be torch.dtype, not {type.__class__.__name__}")
        if type.kind not in "iu":
            raise TypeError(f"torch.iinfo() requires an integer input type, not {type}")
        limits = np.iinfo(type.numpy)
        self.bits, self.dtype, self.min, self.max = 8 * type.itemsize, type.name, int(limits.min), int(limits.max)

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"

    def __eq__(self, other):
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self):
        return hash(self.dtype)
