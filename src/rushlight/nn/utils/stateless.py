"""Calling a module with other parameters and buffers than its own.

    functional_call(net, {"0.weight": w}, (x,))  ==  net(x) with w in the place of net[0].weight

This makes of a module a function of its parameters, which `torch.func.grad` and its kin differentiate.  The tensors are put in place for
the time of the call; what the call assigns to a buffer comes back in the dictionary it was given in
(https://docs.pytorch.org/docs/stable/generated/torch.func.functional_call.html).
"""
import contextlib
import warnings
from collections.abc import Sequence

import rushlight as torch

from ..batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d

_ABSENT = object()


def _place_of(module, path):
    """(owner, name) of the tensor at a dotted path."""
    path, _, name = path.rpartition(".")
    return module.get_submodule(path), name


def _swap(owner, name, tensor):
    """Put `tensor` (or nothing, where it is _ABSENT) under `name`, whatever its class, and return what was there."""
    if tensor is not _ABSENT and tensor is not None and not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    for registry in (owner._parameters, owner._buffers):
        if name in registry:
            before = registry[name]
            if tensor is _ABSENT:
                del registry[name]
            else:
                registry[name] = tensor
            return before
    before = getattr(owner, name, _ABSENT)
    if before is not _ABSENT and before is not None and not isinstance(before, torch.Tensor):
        raise TypeError(f"attribute `{name}`: {before} is not an instance of torch.Tensor")
    if tensor is not _ABSENT:
        setattr(owner, name, tensor)
    elif before is not _ABSENT:
        delattr(owner, name)
    return before


def _with_tied(module, tensors):
    """`tensors`, and each also under the other names that its tensor has in the module."""
    names_of = {}
    for name, tensor in (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)):
        names_of.setdefault(id(tensor), []).append(name)
    whole = dict(tensors)
    for names in names_of.values():
        given = [name for name in names if name in tensors]
        if len(given) > 1 and len({id(tensors.get(name)) for name in names}) != 1:
            raise ValueError(f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using "
                             "tie_weights=False")
        if given:
            whole.update(dict.fromkeys(names, tensors[given[0]]))
    return whole


def _check_names(module, tensors):
    names = {name for name, _ in (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))}
    errors = [f"{title} key(s): {', '.join(map(repr, sorted(keys)))}."
              for title, keys in (("Unexpected", tensors.keys() - names), ("Missing", names - tensors.keys())) if keys]
    if errors:
        raise RuntimeError("Error(s) in reparametrizing for {}:\n\t{}".format(module._get_name(), "\n\t".join(errors)))


@contextlib.contextmanager
def in_place_of_own(module, tensors, tie_weights=True, strict=False):
    """Inside, `tensors` (by dotted name) stand where the module has its own."""
    whole = _with_tied(module, tensors) if tie_weights else dict(tensors)
    if strict:
        _check_names(module, whole)
    before = {}
    try:
        for name, tensor in whole.items():
            owner, attribute = _place_of(module, name)
            before[name] = owner, attribute, _swap(owner, attribute, tensor)
        yield
    finally:
        for name, (owner, attribute, own) in reversed(before.items()):
            now = _swap(owner, attribute, own)
            if name in tensors and now is not tensors[name]:
                tensors[name] = now


def call(module, tensors, args=None, kwargs=None, tie_weights=True, strict=False):
    """`module(*args, **kwargs)` with `tensors`, a dictionary or several with different keys, in place of its own.

    `tie_weights`: what is given for one name of a tensor counts for its other names too; `strict`: every parameter and buffer has to be
    given, and nothing else.

    >>> torch.func.functional_call(nn.Linear(2, 1), {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, torch.tensor([1.0, 2.0]))
    tensor([3.])
    """
    if isinstance(tensors, Sequence):
        if not all(isinstance(part, dict) for part in tensors):
            raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
        keys = [key for part in tensors for key in part]
        repeated = list(dict.fromkeys(key for key in keys if keys.count(key) > 1))
        if repeated:
            raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
        tensors = {key: tensor for part in tensors for key, tensor in part.items()}
    elif not isinstance(tensors, dict):
        raise ValueError(f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(tensors)}")
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with in_place_of_own(module, tensors, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """The old place of `torch.func.functional_call`."""
    warnings.warn("`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future version of "
                  "PyTorch. Please use `torch.func.functional_call` instead which is a drop-in replacement.", FutureWarning, stacklevel=2)
    return call(module, parameters_and_buffers, args, kwargs, tie_weights, strict)


def stack_module_state(models):
    """(parameters, buffers) of models of one class, each stacked along a new first dimension: what `vmap` takes for an ensemble
    (https://docs.pytorch.org/docs/stable/generated/torch.func.stack_module_state.html).

    >>> parameters, buffers = stack_module_state([nn.Linear(2, 3), nn.Linear(2, 3)])
    >>> parameters["weight"].shape
    torch.Size([2, 3, 2])
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any(model.training != models[0].training for model in models):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(model) is not type(models[0]) for model in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    stacked = []
    for named in (type(models[0]).named_parameters, type(models[0]).named_buffers):
        states = [dict(named(model)) for model in models]
        stacked.append({name: _stack([state[name] for state in states]) for name in states[0]})
    return tuple(stacked)


def _stack(tensors):
    """One tensor of all; a leaf that requires gradients where all of them do."""
    if any(tensor.requires_grad != tensors[0].requires_grad for tensor in tensors):
        raise RuntimeError("Expected gradients to be computed for all tensors or for none of them, in order to stack them")
    return torch.stack([tensor.detach() for tensor in tensors]).requires_grad_(tensors[0].requires_grad)


def replace_all_batch_norm_modules_(root):
    """Have every batch normalization in `root` use its batch's statistics and keep none, in place: then `vmap` can go along the batch
    (https://docs.pytorch.org/docs/stable/generated/torch.func.replace_all_batch_norm_modules_.html)."""
    for module in root.modules():
        if isinstance(module, (BatchNorm1d, BatchNorm2d, BatchNorm3d)):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
