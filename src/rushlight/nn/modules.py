"""`torch.nn.modules`: the paths under which PyTorch keeps its layers, so that what names them there is found.

    from torch.nn.modules.batchnorm import _BatchNorm        isinstance(layer, torch.nn.modules.conv._ConvNd)

Each path is one of our files, or is made here from several.  Nothing is defined here but `utils`.
"""
import sys
import types

from . import (
    activation,
    adaptive,
    attention,
    batchnorm,
    containers,
    conv,
    distance,
    dropout,
    hooks,
    lazy,
    linear,
    loss,
    module,
    normalization,
    padding,
    pooling,
    recurrent,
    sparse,
    vision,
)
from .hooks import (  # noqa: F401
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from .state import consume_prefix_in_state_dict_if_present

_PATHS = {
    "activation": (activation, attention), "adaptive": (adaptive,), "batchnorm": (batchnorm, lazy), "channelshuffle": (vision,),
    "container": (containers,), "conv": (conv, lazy), "distance": (distance,), "dropout": (dropout,), "flatten": (linear,),
    "fold": (vision,), "instancenorm": (batchnorm, lazy), "lazy": (lazy,), "linear": (linear, lazy, attention),
    "linear_cross_entropy_options": (loss,), "loss": (loss,), "module": (module, hooks), "normalization": (normalization,),
    "padding": (padding,), "pixelshuffle": (vision,), "pooling": (pooling,), "rnn": (recurrent,), "sparse": (sparse,),
    "transformer": (attention,), "upsampling": (vision,),
}


def _repeated(times):
    """PyTorch's `_single`, `_pair`, ...: a number that often, a sequence as a tuple."""
    return lambda value: conv.per_dimension(value, times)


def _made(path, members):
    made = sys.modules[f"{__name__}.{path}"] = types.ModuleType(f"{__name__}.{path}", f"What PyTorch keeps in torch.nn.modules.{path}.")
    vars(made).update((name, value) for name, value in members.items() if not name.startswith("__"))
    globals()[path] = made


for _path, _files in _PATHS.items():
    _members = {name: value for file in _files for name, value in vars(file).items() if getattr(value, "__module__", None) == file.__name__}
    globals().update((name, value) for name, value in _members.items() if not name.startswith("_"))
    _made(_path, _members)
_made("utils", {"_single": _repeated(1), "_pair": _repeated(2), "_triple": _repeated(3), "_quadruple": _repeated(4), "_ntuple": _repeated,
                "consume_prefix_in_state_dict_if_present": consume_prefix_in_state_dict_if_present})
