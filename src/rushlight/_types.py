"""torch.types: names for what annotations say of arguments."""
import builtins
import os
from collections.abc import Sequence
from typing import IO, Any

from .ir.dtypes import DType  # noqa: F401
from .tensors.device import device as _device
from .tensors.size import Size as _size_class
from .tensors.storages import UntypedStorage as Storage
from .tensors.tensor import Tensor

Number = (builtins.int, builtins.float, builtins.bool)
PySymType = ()
Device = _device | str | builtins.int | None
FileLike = str | os.PathLike | IO[bytes]
TensorOrTensors = Tensor | Sequence[Tensor]
_int, _float, _bool, _complex, _symbol = builtins.int, builtins.float, builtins.bool, builtins.complex, Any
_size = _size_class | list[builtins.int] | tuple[builtins.int, ...]
_dispatchkey, _layout, _qscheme = str, Any, Any
IntLikeType, FloatLikeType, BoolLikeType = builtins.int, builtins.float, builtins.bool
py_sym_types = PySymType
__all__ = ["Device", "FileLike", "Number", "Storage"]
