"""The tensor types of old programs: `torch.FloatTensor(2, 3)`, `isinstance(x, torch.LongTensor)`, `x.type(torch.HalfTensor)`.

There is one class, Tensor; each of these is its dtype under another name.
"""
from ..ir import dtypes
from . import creation
from .tensor import Tensor


class _TensorType(type):
    """A class whose instances are all tensors of one dtype."""

    def __instancecheck__(cls, x):
        return isinstance(x, Tensor) and x.dtype is cls.dtype

    def __call__(cls, *data, device=None):
        return creation.legacy(data, cls.dtype)


NAMES = {"Float": dtypes.float32, "Double": dtypes.float64, "Half": dtypes.float16, "BFloat16": dtypes.bfloat16, "Byte": dtypes.uint8,
         "Char": dtypes.int8, "Short": dtypes.int16, "Int": dtypes.int32, "Long": dtypes.int64, "Bool": dtypes.bool_,
         "ComplexFloat": dtypes.complex64, "ComplexDouble": dtypes.complex128}
TYPES = {name + "Tensor": _TensorType(name + "Tensor", (), {"dtype": dtype, "__module__": "torch"})
         for name, dtype in NAMES.items() if not name.startswith("Complex")}


_WORDS = {dtype: word for word, dtype in NAMES.items()}


def word_of(dtype):
    """What PyTorch's messages call a dtype: "Float", "Long"."""
    return _WORDS.get(dtype, dtype.name)


def dtype_of_type(wanted):
    """The dtype that a tensor type, its name, a dtype or a Python number type stands for."""
    if isinstance(wanted, str):
        name = wanted.removeprefix("torch.").removesuffix("Tensor")
        if name not in NAMES or not wanted.startswith("torch."):
            raise ValueError(f"invalid type: '{wanted}'")
        return NAMES[name]
    return getattr(wanted, "dtype", None) or {float: dtypes.float64, int: dtypes.int64, bool: dtypes.bool_}.get(wanted, wanted)


def name_of_type(dtype):
    """"torch.FloatTensor" for float32."""
    return "torch." + next(name for name, d in NAMES.items() if d is dtype) + "Tensor"


def set_default_tensor_type(t):
    """Make a floating tensor type's dtype the default."""
    creation.set_default_dtype(dtype_of_type(t))
