"""torch._check and its like: conditions that programs state so that PyTorch's compiler may rely on them, and symbolic numbers.

Here a size is always a plain number when users see it, so a condition is looked at at once, and `sym_max` is `max`.
"""
import builtins


class SymInt:
    """A whole number that is not known yet: in PyTorch, a size while a graph is made.  There are none here."""


class SymFloat:
    """A number that is not known yet.  There are none here."""


class SymBool:
    """A condition that is not known yet.  There are none here."""


def _check_with(error_type, cond, message=None):
    """Raise `error_type` with what `message()` says unless `cond` holds."""
    if not isinstance(cond, builtins.bool):
        raise TypeError(f"cond must be a bool, but got {type(cond)}")
    if not cond:
        text = "Expected cond to be True, but got False."
        if message is not None and not callable(message):
            raise TypeError("message must be a callable")
        raise error_type(text + " (Could this error message be improved? If so, please report an enhancement request to PyTorch.)"
                         if message is None else str(message()))


def _check(cond, message=None):
    """RuntimeError unless `cond` holds."""
    _check_with(RuntimeError, cond, message)


def _check_index(cond, message=None):
    """IndexError unless `cond` holds."""
    _check_with(IndexError, cond, message)


def _check_value(cond, message=None):
    """ValueError unless `cond` holds."""
    _check_with(ValueError, cond, message)


def _check_type(cond, message=None):
    """TypeError unless `cond` holds."""
    _check_with(TypeError, cond, message)


def _check_not_implemented(cond, message=None):
    """NotImplementedError unless `cond` holds."""
    _check_with(NotImplementedError, cond, message)


def _check_is_size(i, message=None, *, max=None):
    """RuntimeError unless `i` is not negative."""
    _check(i >= 0, message)


def _assert(condition, message):
    """AssertionError with `message` unless the condition (a bool, or a tensor of one element) holds."""
    if not condition:
        raise AssertionError(message)


def sym_int(a):
    """`a` cut to a whole number."""
    return int(a)


def sym_float(a):
    """`a` as a float."""
    return float(a)


def sym_not(a):
    """Not `a`."""
    return not a


def sym_max(a, b):
    """The larger; a float where either is one."""
    return float(max(a, b)) if isinstance(a, float) or isinstance(b, float) else max(a, b)


def sym_min(a, b):
    """The smaller; a float where either is one."""
    return float(min(a, b)) if isinstance(a, float) or isinstance(b, float) else min(a, b)


def sym_sum(args):
    """The sum."""
    return sum(args)


def sym_ite(b, t, f):
    """`t` if `b`, else `f`."""
    return t if b else f
