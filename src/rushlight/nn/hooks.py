"""Hooks of a Module, and the call that runs them.

    pre hooks -> [input gate] -> forward -> forward hooks -> [output gate] -> result
                      |                                           |
    backward hooks <- grad_input   <-   backward   <-   grad_output -> backward pre hooks

`HookedCalls` is the part of Module that keeps hooks and calls.  Its `__call__` looks at five dictionaries and, when all
are empty, goes straight to `forward`; everything else lives in `call_with_hooks`.  The gates are identities on the tape:
what backward brings them is what the hooks see and may replace.
"""
import warnings
from collections import OrderedDict

import rushlight as torch

from ..utils.hooks import RemovableHandle

# Hooks of all modules at once.  `_global_call_hooks` holds the ids of those that a call has to look at, so that a call
# without any has one dictionary to test.
_global_call_hooks = OrderedDict()
_global_forward_pre_hooks = OrderedDict()
_global_forward_hooks = OrderedDict()
_global_backward_pre_hooks = OrderedDict()
_global_backward_hooks = OrderedDict()
_global_forward_hooks_with_kwargs = OrderedDict()
_global_forward_hooks_always_called = OrderedDict()
parameter_registration = OrderedDict()
buffer_registration = OrderedDict()
module_registration = OrderedDict()


def _register(hooks, hook, flags=(), prepend=False):
    """Add `hook` to `hooks` and its id to each of `flags`; the handle takes them all back."""
    handle = RemovableHandle(hooks, extra_dict=list(flags))
    hooks[handle.id] = hook
    for flag in flags:
        flag[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_forward_pre_hook(hook):
    """`hook(module, args)` before every module's forward; a result that is not None replaces `args`."""
    return _register(_global_forward_pre_hooks, hook, [_global_call_hooks])


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """`hook(module, args, output)` after every module's forward; a result that is not None replaces the output."""
    flags = [_global_call_hooks]
    flags += [_global_forward_hooks_with_kwargs] if with_kwargs else []
    flags += [_global_forward_hooks_always_called] if always_call else []
    return _register(_global_forward_hooks, hook, flags)


def register_module_full_backward_pre_hook(hook):
    """`hook(module, grad_output)` whenever the gradient of a module's output has been computed."""
    return _register(_global_backward_pre_hooks, hook, [_global_call_hooks])


def register_module_full_backward_hook(hook):
    """`hook(module, grad_input, grad_output)` whenever the gradients of a module's inputs have been computed."""
    return _register(_global_backward_hooks, hook, [_global_call_hooks])


register_module_backward_hook = register_module_full_backward_hook


def register_module_parameter_registration_hook(hook):
    """`hook(module, name, parameter)` when any module registers a parameter; a result replaces it."""
    return _register(parameter_registration, hook)


def register_module_buffer_registration_hook(hook):
    """`hook(module, name, buffer)` when any module registers a buffer; a result replaces it."""
    return _register(buffer_registration, hook)


def register_module_module_registration_hook(hook):
    """`hook(module, name, submodule)` when any module registers a submodule; a result replaces it."""
    return _register(module_registration, hook)


def replaced_by(registration_hooks, module, name, value):
    """`value`, or what the registration hooks put in its place."""
    for hook in registration_hooks.values():
        replacement = hook(module, name, value)
        if replacement is not None:
            value = replacement
    return value


class HookedCalls:
    """The part of Module that registers hooks and runs `forward` between them."""

    def __call__(self, *args, **kwargs):
        if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks or _global_call_hooks:
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def _call_impl(self, *args, **kwargs):
        return call_with_hooks(self, args, kwargs)

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """`hook(module, args)` before forward, `hook(module, args, kwargs)` if `with_kwargs`.

        What it returns, unless None, replaces the arguments: one value or a tuple, or (args, kwargs).
        """
        return _register(self._forward_pre_hooks, hook, [self._forward_pre_hooks_with_kwargs] if with_kwargs else [], prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """`hook(module, args, output)` after forward, `hook(module, args, kwargs, output)` if `with_kwargs`.

        What it returns, unless None, replaces the output.  `always_call`: also when forward raised.
        """
        flags = [self._forward_hooks_with_kwargs] if with_kwargs else []
        flags += [self._forward_hooks_always_called] if always_call else []
        return _register(self._forward_hooks, hook, flags, prepend)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """`hook(module, grad_output)` when the output's gradient is there; a result that is not None replaces it."""
        return _register(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """`hook(module, grad_input, grad_output)` when the inputs' gradients are there; a result replaces `grad_input`."""
        return _register(self._backward_hooks, hook, prepend=prepend)

    register_backward_hook = register_full_backward_hook  # PyTorch's older form saw the gradients of the last operation only


# ---------------------------------------------------------------------------------------------------------------------
# The call with hooks

def call_with_hooks(module, args, kwargs):
    """`module.forward(*args, **kwargs)` with every hook of the module and every global one."""
    called = set()  # ids of the forward hooks that ran, for the case that something raises
    result = None
    try:
        args, kwargs = _run_forward_pre_hooks(module, args, kwargs)
        gates = None
        backward_hooks = (*_global_backward_hooks.values(), *module._backward_hooks.values())
        backward_pre_hooks = (*_global_backward_pre_hooks.values(), *module._backward_pre_hooks.values())
        if backward_hooks or backward_pre_hooks:
            gates = BackwardGates(module, backward_hooks, backward_pre_hooks)
            args = gates.around_inputs(args)
        result = module.forward(*args, **kwargs)
        for hook_id, hook in _forward_hooks_of(module):
            called.add(hook_id)
            replacement = _call_forward_hook(module, hook_id, hook, args, kwargs, result)
            if replacement is not None:
                result = replacement
        return result if gates is None else gates.around_outputs(result)
    except Exception:
        _run_always_called_hooks(module, called, args, kwargs, result)
        raise


def _run_forward_pre_hooks(module, args, kwargs):
    for hook in (*_global_forward_pre_hooks.values(),):  # a hook may remove itself
        args = _as_arguments(hook(module, args), args)
    for hook_id, hook in (*module._forward_pre_hooks.items(),):
        if hook_id not in module._forward_pre_hooks_with_kwargs:
            args = _as_arguments(hook(module, args), args)
            continue
        replacement = hook(module, args, kwargs)
        if replacement is not None:
            if not (isinstance(replacement, tuple) and len(replacement) == 2):
                raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {replacement}.")
            args, kwargs = replacement
    return args, kwargs


def _as_arguments(replacement, args):
    if replacement is None:
        return args
    return replacement if isinstance(replacement, tuple) else (replacement,)


def _forward_hooks_of(module):
    return (*_global_forward_hooks.items(), *module._forward_hooks.items())


def _call_forward_hook(module, hook_id, hook, args, kwargs, result):
    if hook_id in module._forward_hooks_with_kwargs or hook_id in _global_forward_hooks_with_kwargs:
        return hook(module, args, kwargs, result)
    return hook(module, args, result)


def _run_always_called_hooks(module, called, args, kwargs, result):
    """After an exception: the hooks that asked for it and have not run.  Their own exceptions become warnings."""
    for hook_id, hook in _forward_hooks_of(module):
        always = hook_id in module._forward_hooks_always_called or hook_id in _global_forward_hooks_always_called
        if not always or hook_id in called:
            continue
        try:
            replacement = _call_forward_hook(module, hook_id, hook, args, kwargs, result)
            result = result if replacement is None else replacement
        except Exception as error:
            warnings.warn("module forward hook with ``always_call=True`` raised an exception that was silenced as another "
                          f"error was raised in forward: {error}", stacklevel=4)


# ---------------------------------------------------------------------------------------------------------------------
# Backward hooks

class Gate(torch.autograd.Function):
    """The identity on its tensors; backward asks `passing(grads)` what to hand on.

    A tensor nobody used has no gradient, None; with `materialize` it has one of zeros.
    """

    @staticmethod
    def forward(ctx, passing, materialize, *tensors):
        ctx.passing = passing
        ctx.set_materialize_grads(materialize)
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tensors

    @staticmethod
    def backward(ctx, *grads):
        return None, None, *ctx.passing(grads)


class BackwardGates:
    """One call's two gates, and the gradients on their way from the output gate to the input gate."""

    def __init__(self, module, hooks, pre_hooks):
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.input_places = None   # where tensors stand among the inputs; None: no input requires a gradient
        self.output_places = None
        self.n_inputs = self.n_outputs = 0
        self.grad_output = None    # what the output gate saw, until the input gate has used it

    def around_inputs(self, args):
        self.n_inputs = len(args)
        gated, self.input_places = self._gated(self._inputs_passed, args, materialize=True)
        return gated

    def around_outputs(self, result):
        if not isinstance(result, (torch.Tensor, tuple)):
            warnings.warn("For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                          f"but received {type(result)}", stacklevel=4)
        outputs = result if isinstance(result, tuple) else (result,)
        self.n_outputs = len(outputs)
        gated, self.output_places = self._gated(self._outputs_passed, outputs, materialize=False)
        return gated if isinstance(result, tuple) else gated[0]

    def _gated(self, passing, values, materialize):
        places = [i for i, value in enumerate(values) if isinstance(value, torch.Tensor)]
        if not (torch.is_grad_enabled() and any(values[i].requires_grad for i in places)):
            return values, None
        gated = list(values)
        for i, tensor in zip(places, Gate.apply(passing, materialize, *[values[i] for i in places])):
            gated[i] = tensor
        return tuple(gated) if type(values) is tuple else type(values)(*gated), places

    def _outputs_passed(self, grads):
        grad_output = _spread(grads, self.output_places, self.n_outputs)
        for hook in self.pre_hooks:
            replacement = hook(self.module, grad_output)
            if replacement is not None:
                replacement = replacement if isinstance(replacement, tuple) else (replacement,)
                if len(replacement) != len(grad_output):
                    raise RuntimeError("Backward pre hook returned an invalid number of grad_output, "
                                       f"got {len(replacement)}, but expected {len(grad_output)}")
                grad_output = replacement
        if self.input_places is None:
            self._call_without_input_gradients(grad_output)
        else:
            self.grad_output = grad_output
        return tuple(grad_output[i] for i in self.output_places)

    def _call_without_input_gradients(self, grad_output):
        warnings.warn("Full backward hook is firing when gradients are computed with respect to module outputs "
                      "since no inputs require gradients.", stacklevel=4)
        for hook in self.hooks:
            replacement = hook(self.module, (None,) * self.n_inputs, grad_output)
            if replacement is not None and not (isinstance(replacement, tuple) and all(grad is None for grad in replacement)):
                raise RuntimeError("Backward hook for Modules where no input requires gradient should always return None "
                                   "or None for all gradients.")

    def _inputs_passed(self, grads):
        if self.grad_output is None:  # this gradient came past the output gate, as in a double backward
            return grads
        grad_input = _spread(grads, self.input_places, self.n_inputs)
        for hook in self.hooks:
            replacement = hook(self.module, grad_input, self.grad_output)
            if replacement is not None:
                replacement = replacement if isinstance(replacement, tuple) else (replacement,)
                if len(replacement) != len(grad_input):
                    raise RuntimeError("Backward hook returned an invalid number of grad_input, "
                                       f"got {len(replacement)}, but expected {len(grad_input)}")
                grad_input = replacement
        self.grad_output = None
        return tuple(grad_input[i] for i in self.input_places)


def _spread(grads, places, length):
    """The gradients at their places in a tuple of that length, None elsewhere."""
    spread = [None] * length
    for i, grad in zip(places, grads):
        spread[i] = grad
    return tuple(spread)
