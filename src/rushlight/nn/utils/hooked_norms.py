"""weight_norm and spectral_norm as forward pre-hooks, the form that came before parametrizations.

    weight_norm(layer)      layer.weight_g, layer.weight_v       before each forward  layer.weight = g v / |v|
    spectral_norm(layer)    layer.weight_orig, _u and _v         before each forward  layer.weight = W / (u^T W v)

New code uses parametrizations.py; checkpoints and models with these names are read and run by this file.
"""
import warnings

import rushlight as torch

from .. import functional as F
from ..parameter import Parameter, is_lazy
from .parametrizations import as_matrix, default_dim, norm_except


def _hook_of(module, kind, name):
    """(id, hook) of that kind on that tensor, or (None, None)."""
    found = [(key, hook) for key, hook in module._forward_pre_hooks.items() if isinstance(hook, kind) and hook.name == name]
    return found[0] if found else (None, None)


def _refuse_second(module, kind, word, name):
    if _hook_of(module, kind, name)[1] is not None:
        raise RuntimeError(f"Cannot register two {word} hooks on the same parameter {name}")


def _refuse_lazy(weight, kind, what):
    if is_lazy(weight):
        raise ValueError(f"The module passed to `{kind}` can't have uninitialized parameters. Make sure to run the dummy forward before "
                         f"applying {what} normalization")


# Weight normalization ------------------------------------------------------------------------------------------------

class WeightNorm:
    """The hook that computes a weight from its length and direction."""

    def __init__(self, name, dim):
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module):
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / norm_except(v, self.dim))

    def __call__(self, module, inputs):
        setattr(module, self.name, self.compute_weight(module))

    def remove(self, module):
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))


def weight_norm(module, name="weight", dim=0):
    """As `parametrizations.weight_norm`, with the parameters `name_g` and `name_v` (https://arxiv.org/abs/1602.07868)."""
    warnings.warn("`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.", FutureWarning,
                  stacklevel=2)
    _refuse_second(module, WeightNorm, "weight_norm", name)
    hook, weight = WeightNorm(name, dim), getattr(module, name)
    _refuse_lazy(weight, "WeightNorm", "weight")
    del module._parameters[name]
    module.register_parameter(name + "_g", Parameter(norm_except(weight, hook.dim).data))
    module.register_parameter(name + "_v", Parameter(weight.data))
    hook(module, None)
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module, name="weight"):
    """The weight as one parameter again, with its present value."""
    key, hook = _hook_of(module, WeightNorm, name)
    if hook is None:
        raise ValueError(f"weight_norm of '{name}' not found in {module}")
    hook.remove(module)
    del module._forward_pre_hooks[key]
    return module


# Spectral normalization ----------------------------------------------------------------------------------------------

class SpectralNorm:
    """The hook that divides a weight by its largest singular value, and takes a step of the power iteration in training."""

    _version = 1

    def __init__(self, name="weight", n_power_iterations=1, dim=0, eps=1e-12):
        if n_power_iterations <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute_weight(self, module, do_power_iteration):
        weight, u, v = (getattr(module, self.name + suffix) for suffix in ("_orig", "_u", "_v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with torch.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(torch.mv(matrix.t(), u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(torch.mv(matrix, v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()  # backward reads these, also after the next forward
        return weight / torch.dot(u, torch.mv(matrix, v))

    def __call__(self, module, inputs):
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))

    def remove(self, module):
        with torch.no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))


class _SpectralNormVersion:
    """Notes in a state_dict which version of SpectralNorm wrote it."""

    def __init__(self, norm):
        self.norm = norm

    def __call__(self, module, state_dict, prefix, local_metadata):
        local_metadata.setdefault("spectral_norm", {})[self.norm.name + ".version"] = self.norm._version


class _SpectralNormUpgrade:
    """Reads what the first version saved: the weight itself, and no `v`."""

    def __init__(self, norm):
        self.norm = norm

    def __call__(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        norm, key = self.norm, prefix + self.norm.name
        if local_metadata.get("spectral_norm", {}).get(norm.name + ".version") is not None:
            return
        if key not in state_dict and all(key + suffix in state_dict for suffix in ("_orig", "_u", "_v")):
            return
        missing = [key + suffix for suffix in ("_orig", "", "_u") if key + suffix not in state_dict]
        if missing:
            missing_keys += missing if strict else []
            return
        with torch.no_grad():
            original = state_dict[key + "_orig"]
            sigma = (original / state_dict.pop(key)).mean()
            matrix, u = as_matrix(original, norm.dim), state_dict[key + "_u"]
            v = (matrix.t() @ matrix).pinverse() @ (matrix.t() @ u)
            state_dict[key + "_v"] = v * (sigma / torch.dot(u, torch.mv(matrix, v)))


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """As `parametrizations.spectral_norm`, with the parameter `name_orig` and the buffers `name_u` and `name_v`
    (https://arxiv.org/abs/1802.05957).

    >>> nn.utils.spectral_norm(nn.Linear(20, 40)).weight_u.size()
    torch.Size([40])
    """
    _refuse_second(module, SpectralNorm, "spectral_norm", name)
    norm = SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    _refuse_lazy(weight, "SpectralNorm", "spectral")
    with torch.no_grad():
        u, v = (F.normalize(weight.new_empty(n).normal_(0, 1), dim=0, eps=eps) for n in as_matrix(weight, norm.dim).shape)
    delattr(module, name)
    module.register_parameter(name + "_orig", weight)
    setattr(module, name, weight.data)
    module.register_buffer(name + "_u", u)
    module.register_buffer(name + "_v", v)
    module.register_forward_pre_hook(norm)
    module._register_state_dict_hook(_SpectralNormVersion(norm))
    module._register_load_state_dict_pre_hook(_SpectralNormUpgrade(norm))
    return module


def remove_spectral_norm(module, name="weight"):
    """The weight as one parameter again, with its present value."""
    key, norm = _hook_of(module, SpectralNorm, name)
    if norm is None:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    norm.remove(module)
    del module._forward_pre_hooks[key]
    for hooks, kind in ((module._state_dict_hooks, _SpectralNormVersion), (module._load_state_dict_pre_hooks, _SpectralNormUpgrade)):
        for key, hook in list(hooks.items()):
            if isinstance(hook, kind) and hook.norm is norm:
                del hooks[key]
    return module
