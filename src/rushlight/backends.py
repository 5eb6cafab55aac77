"""torch.backends: switches of PyTorch's back ends.  They can be read and set, so that programs run unchanged; there is only one back end
here, it is deterministic, and none of them changes what it does."""
import types


def _switches(available, **values):
    return types.SimpleNamespace(is_available=lambda: available, is_built=lambda: available, **values)


cudnn = _switches(False, enabled=False, benchmark=False, deterministic=True, allow_tf32=False, version=lambda: None)
cuda = _switches(False, matmul=types.SimpleNamespace(allow_tf32=False))
mps = _switches(False)
mkl, mkldnn, openmp = _switches(False), _switches(False, enabled=False), _switches(False)
