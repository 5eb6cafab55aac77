"""Optimizer: parameters in groups, a state for each parameter, and a step that changes them from their gradients.

    optimizer = SGD([{"params": body}, {"params": head, "lr": 0.1}], lr=0.01)     two groups, two learning rates
    loss.backward(); optimizer.step(); optimizer.zero_grad()

`Optimizer` keeps groups and state, saves and loads them and runs the hooks; a subclass of your own defines `step`.  The ones
here are `UpdateRule`s: they define what happens to one group's parameters.  An update is a few in-place operations a
parameter, in PyTorch's order; the learning rate and everything made from it are run-time numbers, and what is recorded runs
together with the backward pass when the step ends.
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


def _with_hooks(step):
    """`step` between the hooks of its optimizer and the global ones; what it recorded runs when it ends."""
    if getattr(step, "hooked", False):
        return step

    @functools.wraps(step)
    def hooked_step(self, *args, **kwargs):
        self._opt_called = True  # learning-rate schedulers warn when they come first
        if not (self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or _global_pre_hooks or _global_post_hooks):
            result = step(self, *args, **kwargs)
            here.recorder.flush()  # the step's own intermediate values are gone by now: none of them is stored
            return result
        args = (self, *args)  # hooks see, and may replace, the optimizer as the first argument
        for hook in (*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
            replacement = hook(self, args, kwargs)
            if replacement is not None:
                if not (isinstance(replacement, tuple) and len(replacement) == 2):
                    raise RuntimeError(f"{step} must return None or a tuple of (new_args, new_kwargs), but got {replacement}.")
                args, kwargs = replacement
        result = step(*args, **kwargs)
        here.recorder.flush()
        for hook in (*self._optimizer_step_post_hooks.values(), *_global_post_hooks.values()):
            hook(self, args, kwargs)
        return result

    hooked_step.hooked = True
    return hooked_step


class Optimizer:
    """The base of all optimizers.

    `params`: tensors, (name, tensor) pairs, or dictionaries with "params" and settings of their own; `defaults`: the settings
    of a group that says nothing else.  `state` is a dictionary for each parameter.
    """

    def __init__(self, params, defaults):
        self.defaults = defaults
        for name in _HOOK_DICTIONARIES:
            setattr(self, name, OrderedDict())
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

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.step)

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
            "state": {numbers[id(key)] if isinstance(key, torch.Tensor) else key: self._saved(value) for key, value in self.state.items()},
            "param_groups": groups,
        }
        for hook in self._optimizer_state_dict_post_hooks.values():
            replacement = hook(self, state_dict)
            state_dict = state_dict if replacement is None else replacement
        return state_dict

    def _saved(self, parameter_state):
        """How one parameter's state is saved."""
        return parameter_state

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

    # ----------------------------------------------------------------------------------------------------------- hooks

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
    """An optimizer whose step goes through the groups and updates each by a rule."""

    def step(self, closure=None):
        """Change every parameter that has a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            for group in self.param_groups:
                self.update(group, [parameter for parameter in group["params"] if parameter.grad is not None])
        return loss

    def update(self, group, parameters):
        """Change `parameters`, which all have gradients, by the settings of their group."""
        raise NotImplementedError


def number(value):
    """A setting that may be a one-element tensor, as a Python number."""
    return value.item() if isinstance(value, torch.Tensor) else value


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
