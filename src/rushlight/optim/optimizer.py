"""Optimizer: parameters in groups, a state for each parameter, and a step that changes them from their gradients.

    optimizer = SGD([{"params": body}, {"params": head, "lr": 0.1}], lr=0.01)     two groups, two learning rates
    loss.backward(); optimizer.step(); optimizer.zero_grad()

`Optimizer` keeps groups and state, saves and loads them and runs the hooks; a subclass of your own defines `step`.  The ones
here are `UpdateRule`s: each says what a parameter's state is before the first step (`initial_state`) and what a step does to a
parameter and its state (`update_of` a group: the formula with the group's settings).

An update is a few in-place operations, in PyTorch's order.  The learning rate, the number of the step and everything made from
them are Python numbers, and so run-time arguments of what is recorded: a new one compiles nothing.  What a step records runs
together with the backward pass before it when the step ends.  Only where there are many parameters it runs in batches:

    16 matrices | 16 matrices | 3 matrices | 16 vectors ...        the second batch is the trace of the first, seen before
"""
import functools
import warnings
from collections import OrderedDict, defaultdict
from copy import deepcopy

import rushlight as torch

from ..runtime.recorder import here
from ..utils.gradients import forget_gradients
from ..utils.hooks import RemovableHandle

_global_pre_hooks = OrderedDict()
_global_post_hooks = OrderedDict()

_HOOK_DICTIONARIES = (
    "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks", "_optimizer_state_dict_pre_hooks", "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks", "_optimizer_load_state_dict_post_hooks",
)


class _Required:
    """The default of a setting that has none."""

    def __repr__(self):
        return "<required parameter>"


required = _Required()


def register_optimizer_step_pre_hook(hook):
    """`hook(optimizer, args, kwargs)` before every optimizer's step; (args, kwargs) returned replace the arguments."""
    return _register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook):
    """`hook(optimizer, args, kwargs)` after every optimizer's step."""
    return _register(_global_post_hooks, hook)


def _register(hooks, hook, prepend=False):
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class Optimizer:
    """The base of all optimizers.

    `params`: tensors, (name, tensor) pairs, or dictionaries with "params" and settings of their own; `defaults`: the settings
    of a group that says nothing else.  `state` is a dictionary for each parameter.
    """

    def __init__(self, params, defaults):
        self.defaults = defaults
        for name in _HOOK_DICTIONARIES:
            setattr(self, name, OrderedDict())
        self._patch_step_function()
        if isinstance(params, torch.Tensor):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, "
                            f"but got {params.type()}")
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def step(self, closure=None):
        """Change the parameters once.  `closure` computes the loss again, for optimizers that ask for it several times."""
        raise NotImplementedError

    def zero_grad(self, set_to_none=True):
        """Forget all gradients, or fill them with zeros."""
        for group in self.param_groups:
            forget_gradients(group["params"], set_to_none)

    # ---------------------------------------------------------------------------------------------------------- groups

    def add_param_group(self, param_group):
        """Add parameters with settings of their own, as for layers that are unfrozen later."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but the ordering of tensors in "
                            "sets will change between runs. Please use a list instead.")
        params = [params] if isinstance(params, torch.Tensor) else list(params)
        names = [entry[0] for entry in params if isinstance(entry, tuple)]
        if names and len(names) != len(params):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        params = [entry[1] if isinstance(entry, tuple) else entry for entry in params]
        param_group["params"] = params
        if names:
            param_group["param_names"] = names
        for parameter in params:
            if not isinstance(parameter, torch.Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {_qualified_name(type(parameter))}")
            if not (self.defaults.get("differentiable") or parameter.is_leaf or parameter.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)

        ids = {id(parameter) for parameter in params}
        if len(ids) != len(params):
            warnings.warn("optimizer contains a parameter group with duplicate parameters; in future, this will cause an error",
                          stacklevel=3)
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                kind = "with names" if names else "without names"
                raise ValueError("all optimizer param groups should be with/without names. "
                                 f"cannot add param group {kind} to the optimizer")
            if any(id(parameter) in ids for parameter in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    # --------------------------------------------------------------------------------------------------- save and load

    def state_dict(self):
        """Groups and state, with parameters as numbers in the order in which they were given."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers = {}
        groups = []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            groups.append({name: value for name, value in group.items() if name != "params"})
            groups[-1]["params"] = [numbers[id(parameter)] for parameter in group["params"]]
        state_dict = {
            "state": {numbers[id(key)] if isinstance(key, torch.Tensor) else key: value for key, value in self.state.items()},
            "param_groups": groups,
        }
        for hook in self._optimizer_state_dict_post_hooks.values():
            replacement = hook(self, state_dict)
            state_dict = state_dict if replacement is None else replacement
        return state_dict

    def load_state_dict(self, state_dict):
        """Take groups and state from what `state_dict` gave; parameters are matched by their order."""
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replacement = hook(self, state_dict)
            state_dict = state_dict if replacement is None else replacement

        saved_groups = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        parameters = {}  # by their number in the saved state
        for group, saved in zip(self.param_groups, saved_groups):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group")
            parameters.update(zip(saved["params"], group["params"]))
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])

        state = defaultdict(dict)
        for number, value in state_dict["state"].items():
            if number in parameters:
                state[parameters[number]] = _like_parameter(parameters[number], value)
            else:
                state[number] = value
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self):
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state):
        self.__dict__.update(state)
        for name in _HOOK_DICTIONARIES:
            self.__dict__.setdefault(name, OrderedDict())
        self._patch_step_function()

    # ----------------------------------------------------------------------------------------------------------- hooks

    def _patch_step_function(self):
        """Put the class's step between the hooks, once."""
        if not getattr(type(self).step, "hooked", False):
            type(self).step = self.profile_hook_step(type(self).step)

    @staticmethod
    def profile_hook_step(func):
        """`func`, a step, between the hooks of its optimizer and the global ones; what it recorded runs when it ends."""
        @functools.wraps(func)
        def hooked_step(self, *args, **kwargs):
            if not (self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or _global_pre_hooks or _global_post_hooks):
                result = func(self, *args, **kwargs)
                here.recorder.flush()  # the step's own intermediate values are gone by now: none of them is stored
                return result
            args = (self, *args)  # hooks see, and may replace, the optimizer as the first argument
            for hook in (*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
                replacement = hook(self, args, kwargs)
                if replacement is not None:
                    if not (isinstance(replacement, tuple) and len(replacement) == 2):
                        raise RuntimeError(f"{func} must return None or a tuple of (new_args, new_kwargs), but got {replacement}.")
                    args, kwargs = replacement
            result = func(*args, **kwargs)
            here.recorder.flush()
            for hook in (*self._optimizer_step_post_hooks.values(), *_global_post_hooks.values()):
                hook(self, args, kwargs)
            return result

        hooked_step.hooked = True
        return hooked_step

    def register_step_pre_hook(self, hook):
        """`hook(optimizer, args, kwargs)` before each step; (args, kwargs) returned replace the arguments."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook):
        """`hook(optimizer, args, kwargs)` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook, prepend=False):
        """`hook(optimizer)` before state_dict."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend=False):
        """`hook(optimizer, state_dict)` after state_dict; a result replaces it."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend=False):
        """`hook(optimizer, state_dict)` before load_state_dict; a result replaces it."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend=False):
        """`hook(optimizer)` after load_state_dict."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def __repr__(self):
        lines = []
        for i, group in enumerate(self.param_groups):
            lines += ["", f"Parameter Group {i}"]
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return f"{type(self).__name__} (" + "\n".join(lines) + "\n)"


class UpdateRule(Optimizer):
    """An optimizer that changes each parameter by a formula of its gradient and of a state of its own.

    `nonnegative` names the settings that may not be below zero.  `saved_numbers` are the entries of a parameter's state that are
    one number, kept in a float32 tensor as in PyTorch.  Without `keeps_state` there is no `initial_state`.  With `complex_as_real`,
    updates see a complex parameter, its gradient and its state as tensors of (real, imaginary) pairs.
    """

    nonnegative = ("lr", "eps", "weight_decay")
    saved_numbers = ("step",)
    keeps_state = True
    complex_as_real = True

    def __init__(self, params, defaults):
        rate_of(defaults["lr"])
        for name in self.nonnegative:
            if not 0.0 <= number(defaults[name]):
                raise ValueError(f"Invalid {_WORDS.get(name, f'{name} value')}: {defaults[name]}")
        for i, beta in enumerate(defaults.get("betas", ())):
            if not 0.0 <= number(beta) < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        super().__init__(params, defaults)
        if defaults.get("fused"):
            if defaults["differentiable"]:
                raise RuntimeError("`fused` does not support `differentiable`")
            if defaults["foreach"]:
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for name in self.defaults.keys() & _LATER_SETTINGS.keys():
                group.setdefault(name, _LATER_SETTINGS[name])
        for parameter_state in self.state.values():
            for name in self.saved_numbers:
                if name in parameter_state and not isinstance(parameter_state[name], torch.Tensor):
                    parameter_state[name] = number_tensor(parameter_state[name])

    def step(self, closure=None):
        """Change every parameter that has a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(self.defaults.get("differentiable", False)):
            for group in self.param_groups:
                pairs = [(parameter, gradient) for parameter in group["params"] if (gradient := parameter.grad) is not None]
                _check_group(group, pairs)
                update = self.update_of(group)
                for i, batch in enumerate(batches(pairs)):
                    if len(batch) < len(pairs):
                        here.recorder.flush(is_cut=i > 0)  # every batch begins where the first began
                    self._update_batch(group, update, batch)
        return loss

    def _update_batch(self, group, update, pairs):
        states = self._states(group, [parameter for parameter, _ in pairs]) if self.keeps_state else [None] * len(pairs)
        maximize, as_real = group.get("maximize"), self.complex_as_real
        for (parameter, gradient), state in zip(pairs, states):
            if maximize:
                gradient = -gradient
            if as_real and parameter.is_complex():
                parameter, gradient = torch.view_as_real(parameter), torch.view_as_real(gradient)
                state = {name: torch.view_as_real(x) if x.is_complex() else x for name, x in state.items()}
            update(parameter, gradient, state)

    def _states(self, group, parameters):
        """The parameters' states, in memory as before every other step: then the first step records what the others record."""
        states = [self.state[parameter] for parameter in parameters]
        if not all(states):
            for parameter, state in zip(parameters, states):
                if not state:
                    state.update(self.initial_state(group, parameter))
            here.recorder.flush(is_cut=True)
        elif group.get("differentiable"):  # the last step may have saved these tensors for backward
            for state in states:
                state.update({name: value.clone() for name, value in state.items() if name not in self.saved_numbers})
        return states

    def initial_state(self, group, parameter):
        """The state of a parameter before its first step."""
        raise NotImplementedError

    def update_of(self, group):
        """The function (parameter, gradient, state) that makes a step by the settings of a group; the gradient points upwards."""
        raise NotImplementedError


_WORDS = {"lr": "learning rate", "eps": "epsilon value"}  # what messages call settings
_LATER_SETTINGS = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False, "fused": None, "amsgrad": False,
                   "nesterov": False, "centered": False, "momentum": 0, "decoupled_weight_decay": False}  # what older saved states lack
BATCH = 16  # parameters that are updated in one trace, where there are more than twice as many


def batches(pairs):
    """(parameter, gradient) pairs in batches in which all have the same number of dimensions; a single one where they are few."""
    if len(pairs) <= 2 * BATCH:
        return [pairs]
    alike = {}
    for pair in pairs:
        alike.setdefault(pair[0].dim(), []).append(pair)
    return [like[i:i + BATCH] for like in alike.values() for i in range(0, len(like), BATCH)]


def _check_group(group, pairs):
    if group.get("capturable") and pairs:
        raise AssertionError("If capturable=True, params and state_steps must be on supported devices: ['cuda', 'xpu', 'hpu', 'xla'].")
    if group.get("fused") and not all(parameter.is_floating_point() for parameter, _ in pairs):
        raise RuntimeError("`fused=True` requires all the params to be floating point Tensors of supported devices")


def number(value):
    """A setting as a Python number.  A one-element tensor stays one where gradients flow to it."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.reshape(()) if value.requires_grad else value.item()


def rate_of(lr):
    """A learning rate as a number; ValueError where it is a tensor of more."""
    if isinstance(lr, torch.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    return number(lr)


def number_tensor(value):
    """A number as it is kept in a parameter's state."""
    return torch.tensor(float(value), dtype=torch.float64 if torch.get_default_dtype() is torch.float64 else torch.float32)


def counted(state):
    """Count one more step in a parameter's state; returns how many it has made."""
    step = state["step"]
    count = step._overwrite(1.0, add=True)
    return rewritten(step, step.item() + 1.0) if count is None else count


def rewritten(tensor, value):
    """Let a tensor of one element hold another number; returns it as it is kept."""
    kept = tensor._overwrite(value)
    if kept is None:
        with torch.no_grad():
            kept = tensor.fill_(value).item()
    return kept


def decay_of(group):
    """The function (parameter, gradient) -> gradient that applies a group's weight decay, or None where there is none.

    It adds to the gradient that of weight_decay / 2 |parameter|^2, or, decoupled from it, shrinks the parameter itself.
    """
    decay = number(group["weight_decay"])
    if isinstance(decay, torch.Tensor):
        return lambda parameter, gradient: gradient.addcmul(parameter.clone(), decay)
    if decay == 0:
        return None
    if not group.get("decoupled_weight_decay"):
        return lambda parameter, gradient: gradient.add(parameter, alpha=decay)
    remainder = 1 - number(group["lr"]) * decay

    def shrink(parameter, gradient):
        parameter.mul_(remainder)
        return gradient
    return shrink


def add_scaled(parameter, update, scale):
    """parameter += scale update"""
    if isinstance(scale, torch.Tensor):  # gradients flow to it
        parameter.addcmul_(update, scale)
    else:
        parameter.add_(update, alpha=scale)


def add_quotient(parameter, numerator, denominator, scale):
    """parameter += scale numerator / denominator"""
    if isinstance(scale, torch.Tensor):
        parameter.add_(scale * numerator / denominator)
    else:
        parameter.addcdiv_(numerator, denominator, value=scale)


def _like_parameter(parameter, value, name=None):
    """A loaded state with its tensors in the parameter's dtype and on its device; the step count stays as it is."""
    if isinstance(value, torch.Tensor):
        if name == "step":
            return value
        return value.to(device=parameter.device, dtype=parameter.dtype if parameter.is_floating_point() else value.dtype)
    if isinstance(value, dict):
        return {key: _like_parameter(parameter, entry, key) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_like_parameter(parameter, entry) for entry in value)
    return value


def _qualified_name(cls):
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
