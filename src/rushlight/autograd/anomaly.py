"""detect_anomaly: which call of the forward pass made a NaN in backward.

    with torch.autograd.detect_anomaly():
        loss = model(x).log().sum()
        loss.backward()                 RuntimeError: Function 'LogBackward0' returned nan values in its 0th output.
                                        and a warning that shows the line that called log

A mode (tensors/dispatch.py) sees every call: it notes where the node of each result came from, and before a backward it puts a
check behind every node that will be gone through.
"""
import contextlib
import warnings

from ..tensors.dispatch import TorchFunctionMode
from ..tensors.tensor import Tensor

_NOTE = "traceback_"


class _Anomaly(TorchFunctionMode):
    def __init__(self, check_nan):
        self.check_nan = check_nan

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        goes_back = func.__name__ in ("backward", "grad") and (not args or not isinstance(args[0], type))
        if not goes_back:
            import traceback  # with what it needs it would be a part of every import of ours
            result = func(*args, **kwargs)
            for made in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(made, Tensor) and made.requires_grad and made.grad_fn is not None:
                    made.grad_fn.metadata.setdefault(_NOTE, traceback.format_list(_users(traceback.extract_stack())))
            return result
        outputs = args[0] if args else kwargs.get("tensors", kwargs.get("outputs"))
        handles = [node.register_hook(self._check(node)) for node in _nodes(outputs)] if self.check_nan else []
        try:
            return func(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()

    @staticmethod
    def _check(node):
        def check(grad_inputs, grad_outputs):
            for number, grad in enumerate(grad_inputs):
                if isinstance(grad, Tensor) and bool(grad.isnan().any()):
                    _show(node)
                    raise RuntimeError(f"Function '{node.name()}' returned nan values in its {number}th output.")
        return check


def _users(stack):
    """The frames of a stack that are the user's."""
    package = __name__.partition(".")[0]
    return [frame for frame in stack if f"/{package}/" not in frame.filename and not frame.filename.startswith(f"<{package}")]


def _show(node):
    lines = node.metadata.get(_NOTE)
    if lines is None:
        warnings.warn(f"Error detected in {node.name()}. No forward pass information available. Enable detect anomaly during forward "
                      "pass for more information.", stacklevel=2)
    else:
        warnings.warn(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{''.join(lines)}", stacklevel=2)


def _nodes(outputs):
    """Every node behind these tensors that backward goes through, but for the leaves."""
    waiting = [t.grad_fn for t in (outputs if isinstance(outputs, (tuple, list)) else (outputs,)) if isinstance(t, Tensor)]
    found = {}
    while waiting:
        node = waiting.pop()
        if node is not None and id(node) not in found and hasattr(node, "metadata"):
            found[id(node)] = node
            waiting += [following for following, _ in node.next_functions]
    return list(found.values())


_switched = []


def is_anomaly_enabled():
    """Whether backward is being looked at."""
    return bool(_switched)


def _switch(on, check_nan=True):
    while _switched:
        _switched.pop().__exit__(None, None, None)
    if on:
        _switched.append(_Anomaly(check_nan).__enter__())


class set_detect_anomaly(contextlib.AbstractContextManager):
    """Look at every backward from now on, or no longer; in a `with`, until its end."""

    def __init__(self, mode, check_nan=True):
        self.before = [(True, m.check_nan) for m in _switched] or [(False,)]
        _switch(mode, check_nan)

    def __exit__(self, *_):
        _switch(*self.before[0])


class detect_anomaly(contextlib.AbstractContextManager):
    """A block in which a backward that makes a NaN raises RuntimeError, with a warning that shows the call of the forward pass that the NaN
    comes from.  `check_nan`: False shows only where errors come from.  Everything is slower inside.
    https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.detect_anomaly
    """

    def __init__(self, check_nan=True):
        self.check_nan = check_nan
        warnings.warn("Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.",
                      stacklevel=2)

    def __enter__(self):
        self.inner = set_detect_anomaly(True, self.check_nan)

    def __exit__(self, *error):
        self.inner.__exit__(*error)
