"""Saving and loading a Module's tensors by name.

    state_dict()       module tree  ->  {"0.weight": tensor, "0.bias": tensor, ...}, sharing memory with the module
    load_state_dict()  the same names  ->  copied into the module (or put in its place, with `assign`)

`StateDicts` is the part of Module that does this.  Both walk the tree and let each module handle its own level
(`_save_to_state_dict`, `_load_from_state_dict`), which subclasses override; all mismatches of a load are collected and
reported in one error.
"""
from collections import OrderedDict, namedtuple
from collections.abc import Mapping

import rushlight as torch

from ..utils.hooks import RemovableHandle
from .parameter import Parameter, is_lazy

EXTRA_STATE = "_extra_state"  # the key of what get_extra_state returns


class _IncompatibleKeys(namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """Which names a load_state_dict missed, and which it did not know."""

    __slots__ = ()

    def __repr__(self):
        return super().__repr__() if self.missing_keys or self.unexpected_keys else "<All keys matched successfully>"

    __str__ = __repr__


class StateDicts:
    """The part of Module that turns it into a dictionary of tensors and back."""

    _version = 1  # a subclass counts up when the names or meanings of its saved tensors change

    def get_extra_state(self):
        """What to save beside the tensors; a subclass that overrides this overrides `set_extra_state` too."""
        raise RuntimeError("get_extra_state must be overridden together with set_extra_state")

    def set_extra_state(self, state):
        """Takes back what `get_extra_state` gave."""
        raise RuntimeError("set_extra_state must be overridden together with get_extra_state")

    # ------------------------------------------------------------------------------------------------------------- save

    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """Every parameter and persistent buffer by its dotted name; with `keep_vars` the very objects, else detached."""
        if args:  # PyTorch still takes the three by position
            destination, prefix, keep_vars = (*args, *(destination, prefix, keep_vars)[len(args):])
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata

        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars)
        for hook_id, hook in self._state_dict_hooks.items():
            replacement = hook(self, destination, prefix, local_metadata)
            if replacement is not None:
                if hook_id in self._public_hook_ids:
                    raise RuntimeError("state_dict post-hook must return None")
                destination = replacement
        return destination

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        """This module's own tensors into `destination`, without its submodules'."""
        for name, tensor in self._own_state().items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not StateDicts.get_extra_state:
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def _own_state(self):
        state = {name: parameter for name, parameter in self._parameters.items() if parameter is not None}
        state.update((name, buffer) for name, buffer in self._buffers.items()
                     if buffer is not None and name not in self._non_persistent_buffers_set)
        return state

    # ------------------------------------------------------------------------------------------------------------- load

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copy the tensors of `state_dict` into this module and its submodules.

        `strict`: names missing on either side are an error.  `assign`: take the tensors themselves instead of copying.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)  # a copy: hooks may rename keys
        if metadata is not None:
            state_dict._metadata = metadata
        incompatible = _IncompatibleKeys([], [])
        errors = []
        _load(self, state_dict, "", metadata or {}, assign, incompatible, errors)

        if strict:
            for title, keys in (("Missing", incompatible.missing_keys), ("Unexpected", incompatible.unexpected_keys)):
                if keys:
                    quoted = ", ".join(f'"{key}"' for key in keys)
                    at = 1 if title == "Unexpected" and incompatible.missing_keys else 0
                    errors.insert(at, f"{title} key(s) in state_dict: {quoted}. ")
        if errors:
            raise RuntimeError("Error(s) in loading state_dict for {}:\n\t{}".format(type(self).__name__, "\n\t".join(errors)))
        return incompatible

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        """This module's own tensors out of `state_dict`; what does not fit goes into the three lists."""
        for hook_id, hook in self._load_state_dict_pre_hooks.items():
            module = (self,) if hook_id in self._public_hook_ids else ()
            hook(*module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        own = self._own_state()
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, tensor in own.items():
            key = prefix + name
            if key in state_dict:
                error = self._load_tensor(name, tensor, key, state_dict[key], assign)
                if error:
                    error_msgs.append(error)
            elif strict:
                missing_keys.append(key)

        extra_key = prefix + EXTRA_STATE
        if type(self).set_extra_state is not StateDicts.set_extra_state:
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)

        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_key:
                    first, *rest = key[len(prefix):].split(".", 1)
                    if first not in (self._modules if rest else own):
                        unexpected_keys.append(key)

    def _load_tensor(self, name, tensor, key, saved, assign):
        """`saved` into the parameter or buffer `tensor`; returns what went wrong, or None."""
        if not isinstance(saved, torch.Tensor):
            return (f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from '
                    f"checkpoint but received {type(saved)}")
        if is_lazy(tensor):  # what is lazy only here has its shape by now (LazyModuleMixin)
            return None
        if tensor.dim() == 0 and tuple(saved.shape) == (1,):  # how very old checkpoints hold a number
            saved = saved[0]
        if saved.shape != tensor.shape:
            return (f"size mismatch for {key}: copying a param with shape {saved.shape} from checkpoint, "
                    f"the shape in current model is {tensor.shape}.")
        try:
            with torch.no_grad():
                if not assign:
                    tensor.copy_(saved)
                elif not isinstance(tensor, Parameter):
                    setattr(self, name, saved)
                elif isinstance(saved, Parameter):
                    setattr(self, name, saved.requires_grad_(tensor.requires_grad))
                else:
                    setattr(self, name, Parameter(saved, requires_grad=tensor.requires_grad))
        except Exception as error:
            return (f'While copying the parameter named "{key}", whose dimensions in the model are {tensor.size()} and '
                    f"whose dimensions in the checkpoint are {saved.size()}, an exception occurred : {error.args}.")
        return None

    # ------------------------------------------------------------------------------------------------------------ hooks
    # PyTorch has older forms of two of these, which libraries use: their hooks take no module, or may return a dictionary.

    def register_state_dict_pre_hook(self, hook):
        """`hook(module, prefix, keep_vars)` before this module's part of a state_dict is written."""
        return self._add_hook(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook):
        """`hook(module, state_dict, prefix, local_metadata)` after; it changes `state_dict` in place."""
        return self._add_hook(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook):
        """`hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)` before."""
        return self._add_hook(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook):
        """`hook(module, incompatible_keys)` after; it may change the lists of keys in place."""
        return self._add_hook(self._load_state_dict_post_hooks, hook)

    def _register_state_dict_hook(self, hook):
        return self._add_hook(self._state_dict_hooks, hook, public=False)

    def _register_load_state_dict_pre_hook(self, hook, with_module=False):
        return self._add_hook(self._load_state_dict_pre_hooks, hook, public=with_module)

    def _add_hook(self, hooks, hook, public=True):
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if public:
            self._public_hook_ids.add(handle.id)
        return handle


def consume_prefix_in_state_dict_if_present(state_dict, prefix):
    """Take `prefix` from the names in `state_dict`, in place: what DataParallel saved becomes what its module loads."""
    for names in (state_dict, getattr(state_dict, "_metadata", {})):
        for name in list(names):
            if name.startswith(prefix) or name and name == prefix.replace(".", ""):
                names[name[len(prefix):]] = names.pop(name)


def _load(module, state_dict, prefix, metadata, assign, incompatible, errors):
    """One module and what is below it."""
    local_metadata = metadata.get(prefix[:-1], {})
    if assign:
        local_metadata["assign_to_params_buffers"] = assign
    module._load_from_state_dict(state_dict, prefix, local_metadata, True, *incompatible, errors)
    for name, child in module._modules.items():
        if child is not None:
            below = prefix + name + "."
            _load(child, {key: value for key, value in state_dict.items() if key.startswith(below)}, below, metadata, assign,
                  incompatible, errors)
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, incompatible) is not None:
            raise AssertionError("Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                                 "values, if incompatible_keys need to be modified, it should be done inplace.")
