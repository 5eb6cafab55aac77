"""torch.backends: switches of PyTorch's back ends.  They can be read and set, so that programs run unchanged; there is only one back end
here, it is deterministic, and none of them changes what it does.

    import torch.backends.cudnn as cudnn
    cudnn.benchmark = True
"""
import contextlib
import sys
import types


def _switches(name, available, **values):
    """A module of that name, so that it can be imported as PyTorch's can."""
    made = sys.modules[f"{__name__}.{name}"] = types.ModuleType(f"{__name__}.{name}", f"What PyTorch keeps in torch.backends.{name}.")
    vars(made).update(is_available=lambda: available, is_built=lambda: available, **values)

    @contextlib.contextmanager
    def flags(**during):
        """Sets switches in a `with` block."""
        before = {switch: getattr(made, switch) for switch in during if hasattr(made, switch)}
        vars(made).update(during)
        try:
            yield
        finally:
            for switch in during:
                delattr(made, switch)
            vars(made).update(before)

    made.flags = flags
    return made


__path__ = []  # its modules are made here, none is a file
cudnn = _switches("cudnn", False, enabled=False, benchmark=False, deterministic=True, allow_tf32=False, version=lambda: None)
cuda = _switches("cuda", False, matmul=types.SimpleNamespace(allow_tf32=False))
mps = _switches("mps", False)
mkl, mkldnn, openmp = _switches("mkl", False), _switches("mkldnn", False, enabled=False), _switches("openmp", False)
