"""What programs say to PyTorch's own compiler and back ends.  It is taken, so that they run unchanged; what cannot be had is an error."""
import contextlib

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


def get_deterministic_debug_mode():
    """What `set_deterministic_debug_mode` was last told, as a number; 2 ("error") before."""
    return 0 if not _deterministic[0] else 1 if _deterministic[1] else 2


def get_device_module(device=None):
    """The module that is about a kind of device: torch.cpu, torch.cuda ..."""
    import importlib
    kind = "cpu" if device is None else str(device).partition(":")[0]
    try:
        return importlib.import_module(f"{__package__}.{kind}")
    except ModuleNotFoundError:
        raise RuntimeError(f"Invalid device string: '{device}'") from None


# ---------------------------------------------------------------------------------------------------------------------
# torch.compiler and torch._dynamo: what programs say to whoever turns Python into graphs.  Nothing does that here.

def is_compiling():
    """Whether this runs to be turned into a graph: no, calls are recorded as they are made."""
    return False


is_dynamo_compiling = is_exporting = is_dynamo_supported = is_compiling


def is_compile_supported(device_type):
    """Whether PyTorch's compiler works for a kind of device: no."""
    return False


def disable(fn=None, recursive=True, *, reason=None):
    """`fn` itself: it is run as it is anyway.  Without `fn`, a decorator."""
    return (lambda function: function) if fn is None else fn


def allow_in_graph(fn):
    """`fn` itself."""
    return fn


assume_constant_result = disallow_in_graph = forbid_in_graph = nested_compile_region = wrap_numpy = allow_in_graph


def substitute_in_graph(original_fn, **_):
    """A decorator that changes nothing."""
    return lambda function: function


def reset():
    """Does nothing: what was compiled stays right, and is dropped when there is much of it."""


graph_break = cudagraph_mark_step_begin = reset


def mark_dynamic(tensor, index=None, **_):
    """Does nothing: no size is ever taken for constant."""


maybe_mark_dynamic = mark_static = mark_static_address = mark_dynamic


def list_backends(exclude_tags=()):
    """The names of back ends that `compile` can be given: []."""
    return []


@contextlib.contextmanager
def set_stance(stance="default", **_):
    """A block in which PyTorch's compiler compiles less, or nothing; nothing changes here."""
    yield


class TransformGetItemToIndex(contextlib.nullcontext):
    """A block in which x[i] may be asked for with an `i` that vmap goes over; it may everywhere."""


class OptimizedModule:
    """The class of what PyTorch's `compile` makes of a module.  Here that is the module itself, so nothing is an instance."""

    def __init__(self, *_):
        raise RuntimeError("torch._dynamo.OptimizedModule: torch.compile(module) is the module itself")


class _Settings:
    """Settings of PyTorch's compiler: any can be set and read; `patch` sets some within a block.  None changes anything."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    @contextlib.contextmanager
    def patch(self, changes=None, **more):
        """A block in which these settings are others."""
        before = dict(vars(self))
        vars(self).update(changes if isinstance(changes, dict) else {}, **more)
        try:
            yield
        finally:
            vars(self).clear()
            vars(self).update(before)


config = _Settings()
