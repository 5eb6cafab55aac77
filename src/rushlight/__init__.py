"""Rushlight: a deep-learning framework in Python all the way down.  `import rushlight as torch`.

The house has floors; each imports only those below it:

    7 cli
    6 nn optim distributions serialization utils datasets drawing
    5 autograd   4 operators   3 tensors   2 runtime   1 compiler   0 ir

The modules beside the floors are PyTorch's namespaces (fft, linalg, special, signal, func ...), which gather what the floors define;
amp, testing and overrides hold code of their own, and switches, backends, cuda and jit answer programs that ask about other machinery.

To read it, follow ARCHITECTURE.md.
"""
from . import autograd, operators
from ._paths import open_below as _open_below
from .autograd.mapping import vmap
from .autograd.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .ir.dtypes import NAMED as _named_dtypes
from .ir.dtypes import DType as dtype
from .ir.dtypes import (
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .ir.dtypes import bool_ as bool
from .ir.limits import finfo, iinfo
from .operators.definition import ALL as _operators
from .operators.definition import EXPORTED as _exported
from .operators.random import Generator, default_generator
from .runtime.memory import OutOfMemoryError
from .tensors.bridge import asarray, from_dlpack
from .tensors.creation import as_tensor, from_numpy, get_default_dtype, set_default_dtype, tensor
from .tensors.device import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    get_default_device,
    layout,
    memory_format,
    preserve_format,
    set_default_device,
    sparse_coo,
    strided,
)
from .tensors.explaining import explain
from .tensors.legacy import TYPES as _tensor_types
from .tensors.legacy import set_default_tensor_type
from .tensors.pickling import answer_by_name as _answer_by_name
from .tensors.printing import set_printoptions
from .tensors.size import Size
from .tensors.storages import TYPES as _storage_types
from .tensors.storages import TypedStorage, UntypedStorage, from_file
from .tensors.tensor import Tensor

__version__ = "0.1.0"
torch = __import__(__name__)  # PyTorch's package has itself as an attribute, and annotations say torch.torch.Tensor

e, pi, inf, nan, newaxis = 2.718281828459045, 3.141592653589793, float("inf"), float("nan"), None
float, double, half, int, long, short, cfloat, cdouble = (float32, float64, float16, int32, int64, int16, complex64, complex128)

for _function in _operators.values():
    if _function.namespace:
        for _name in (_function.operator.name, *_function.names):
            globals()[_name] = _function
globals().update(_exported)
_answer_by_name(__name__, _exported)
globals().update(_tensor_types)
globals().update(_storage_types, Storage=_storage_types["FloatStorage"])
globals().update(_named_dtypes)

_SUBMODULES = frozenset("""_C accelerator amp backends cli cpu cuda datasets distributed distributions drawing fft func futures fx hub jit
    library linalg masked mps mtia multiprocessing nn onnx optim overrides profiler quasirandom random return_types serialization signal special switches
    testing utils version xpu""".split())
_LATER = {name: module for module, names in {
    ".amp": """GradScaler autocast get_autocast_dtype get_autocast_cpu_dtype get_autocast_gpu_dtype is_autocast_cpu_enabled
        is_autocast_cache_enabled is_autocast_enabled""",
    "._C": "PyTorchFileReader",
    ".autograd.modes": "is_inference_mode_enabled",
    ".checks": "SymBool SymFloat SymInt _assert _check _check_index _check_is_size _check_not_implemented _check_type _check_value _check_with "
               "sym_float sym_int sym_ite sym_max sym_min sym_not sym_sum",
    ".cpu": "Event Stream",
    ".futures": "Future",
    ".higher_order": "cond while_loop",
    ".jit": "ScriptModule",
    ".library": "classes ops",
    ".compiler.native.threads": "get_num_threads set_num_threads",
    ".drawing": "draw",
    ".serialization": "load save",
    ".switches": """compile use_deterministic_algorithms are_deterministic_algorithms_enabled
        is_deterministic_algorithms_warn_only_enabled set_deterministic_debug_mode set_float32_matmul_precision
        get_float32_matmul_precision set_flush_denormal set_num_interop_threads get_num_interop_threads
        compiled_with_cxx11_abi get_deterministic_debug_mode get_device_module""",
}.items() for name in names.split()}


def __getattr__(name):
    """Submodules, and what needs the compiler, are imported when they are first asked for."""
    if name in _SUBMODULES or name in _LATER:
        import importlib
        found = importlib.import_module(_LATER.get(name, "." + name), __name__)
        return getattr(found, name) if name in _LATER else found
    return _below(name)


_below = _open_below(__name__)  # PyTorch's other paths
