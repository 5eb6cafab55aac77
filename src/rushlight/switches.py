"""What programs say to PyTorch's own compiler and back ends.  It is taken, so that they run unchanged; what cannot be had is an error."""
_deterministic = [True, False]  # what was asked for: the algorithms, and only a warning
_precision = ["highest"]


def compile(model=None, *, fullgraph=False, dynamic=None, backend="inductor", mode=None, options=None, disable=False):
    """`model` itself, a function or a module: everything is compiled here, as it was written.  Without `model`, a decorator.
    https://docs.pytorch.org/docs/stable/generated/torch.compile.html

    >>> double = torch.compile(lambda x: x + x)
    >>> double(torch.ones(2))
    tensor([2., 2.])
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    return (lambda function: function) if model is None else model


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Taken as it is: all algorithms here are deterministic, whether it is asked for or not."""
    _deterministic[:] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled():
    """What `use_deterministic_algorithms` was last told; True before."""
    return _deterministic[0]


def is_deterministic_algorithms_warn_only_enabled():
    """Whether `use_deterministic_algorithms` was told to warn only."""
    return _deterministic[1]


def set_deterministic_debug_mode(debug_mode):
    """Taken as it is, like `use_deterministic_algorithms`."""
    use_deterministic_algorithms(debug_mode not in (0, "default"), warn_only=debug_mode in (1, "warn"))


def set_float32_matmul_precision(precision):
    """Taken as it is: products of float32 are always computed in float32 ("highest"), which the other settings allow."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"set_float32_matmul_precision: {precision!r} is none of 'highest', 'high' and 'medium'")
    _precision[0] = precision


def get_float32_matmul_precision():
    """What `set_float32_matmul_precision` was last told; "highest" before."""
    return _precision[0]


def set_flush_denormal(mode):
    """Whether tiny numbers can be taken for zero: False, they never are."""
    return False


def set_num_interop_threads(count):
    """Taken as it is: calls are run one after the other, each on all threads."""
    if count < 1:
        raise RuntimeError("set_num_interop_threads: expects a positive number of threads")


def get_num_interop_threads():
    """How many calls run side by side: one."""
    return 1


def compiled_with_cxx11_abi():
    """Nothing here is compiled from C++."""
    return False
