"""The element types, and PyTorch's rules for mixing them.

    int32 + float16 -> float16      a category (bool < integral < floating < complex) wins over a width
    int32 + int64   -> int64        within a category the wider one wins
    tensor + 2.5    -> the tensor's own dtype, unless its category is below floating

Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion
"""
import ml_dtypes
import numpy as np


class DType:
    """An element type.  `itemsize` is in bytes; `numpy` is the matching `numpy.dtype`; `kind` is one of b, u, i, f, c."""

    __slots__ = ("name", "numpy", "itemsize", "kind")

    def __init__(self, name, numpy_type, kind):
        self.name, self.numpy, self.kind = name, np.dtype(numpy_type), kind
        self.itemsize = self.numpy.itemsize

    @property
    def is_floating_point(self):
        return self.kind == "f"

    @property
    def is_complex(self):
        return self.kind == "c"

    @property
    def is_signed(self):
        return self.kind in "ifc"

    @property
    def is_integral(self):
        """True for the integers and for bool, as PyTorch's `isIntegralType(include_bool)`."""
        return self.kind in "bui"

    def to_real(self):
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self):
        return {"float64": complex128, "complex128": complex128}.get(self.name, complex64)

    def __repr__(self):
        return "torch." + self.name

    def __reduce__(self):
        return of_name, (self.name,)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


bool_ = DType("bool", np.bool_, "b")
uint8 = DType("uint8", np.uint8, "u")
uint16, uint32, uint64 = DType("uint16", np.uint16, "u"), DType("uint32", np.uint32, "u"), DType("uint64", np.uint64, "u")
int8 = DType("int8", np.int8, "i")
int16 = DType("int16", np.int16, "i")
int32 = DType("int32", np.int32, "i")
int64 = DType("int64", np.int64, "i")
float16 = DType("float16", np.float16, "f")
bfloat16 = DType("bfloat16", ml_dtypes.bfloat16, "f")
float32 = DType("float32", np.float32, "f")
float64 = DType("float64", np.float64, "f")
complex64 = DType("complex64", np.complex64, "c")
complex128 = DType("complex128", np.complex128, "c")

ALL = (bool_, uint8, int8, int16, int32, int64, uint16, uint32, uint64, float16, bfloat16, float32, float64, complex64, complex128)
WIDE_UNSIGNED = (uint16, uint32, uint64)  # which mix with no other integers
_BY_NAME = {d.name: d for d in ALL}
_BY_NUMPY = {d.numpy: d for d in ALL}
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
_WIDTH = {d: i for i, d in enumerate(ALL)}


class NamedDType(DType):
    """A dtype that programs compare with; NotImplementedError where a tensor is to have it."""

    __slots__ = ()

    def __init__(self, name, itemsize, kind):
        self.name, self.itemsize, self.kind = name, itemsize, kind

    def __getattribute__(self, name):
        if name == "numpy":
            raise NotImplementedError(f"{self!r}: Rushlight has no tensors of this dtype")
        return object.__getattribute__(self, name)


NAMED = {name: NamedDType(name, itemsize, kind) for kind, itemsize, names in (
    ("f", 1, "float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2"), ("c", 4, "complex32"),
    ("i", 1, "qint8"), ("u", 1, "quint8 quint4x2"), ("i", 4, "qint32")) for name in names.split()}


def of_name(name):
    return _BY_NAME.get(name) or NAMED[name]


def of_numpy(dtype):
    """The DType of a `numpy.dtype`; TypeError where there is none."""
    found = _BY_NUMPY.get(dtype)
    if found is not None:
        return found
    try:
        return _BY_NUMPY[np.dtype(dtype).newbyteorder("=")]
    except KeyError:
        raise TypeError(
            f"can't convert np.ndarray of type {np.dtype(dtype)}. The only supported types are: float64, float32, "
            "float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool.") from None


def category(dtype):
    """0 bool, 1 integral, 2 floating, 3 complex: the higher one wins a promotion."""
    return _CATEGORY[dtype.kind]


def promote(a, b):
    """The dtype that holds the values of both, as `torch.promote_types`."""
    if a is b:
        return a
    if (a in WIDE_UNSIGNED or b in WIDE_UNSIGNED) and a.is_integral and b.is_integral:
        raise RuntimeError(f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote {a.name} and {b.name}")
    if category(a) != category(b):
        low, high = sorted((a, b), key=category)
        if high.kind == "c" and low.name == "float64":
            return complex128
        return high
    if {a.kind, b.kind} == {"u", "i"}:  # uint8 beside a signed type: the smallest signed type that holds both
        signed = a if a.kind == "i" else b
        return int16 if signed is int8 else signed
    if {a.name, b.name} == {"float16", "bfloat16"}:
        return float32
    return max(a, b, key=_WIDTH.__getitem__)


def can_cast(source, target):
    """Whether a result of dtype `source` may be written into `target`, as `torch.can_cast`."""
    if category(source) > category(target):
        return False
    return not (source.kind != "b" and target.kind == "b")
