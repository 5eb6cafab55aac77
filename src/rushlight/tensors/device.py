"""Where tensors lie and how: `device`, `layout`, `memory_format`: small values that PyTorch programs hand around.

    device("cuda:1")                 parsed anywhere; `usable` refuses what there is no backend for
    contiguous_format, channels_last the orders that a copy can be laid out in; `dimension_order` says which one is meant

Start with `device`; `usable` is what every `device=` argument goes through.
"""
import threading

KNOWN = ("cpu", "cuda", "meta", "mps", "xpu", "xla", "hpu", "ipu", "mtia", "privateuseone")
_contexts = threading.local()


class device:
    """`device("cpu")`, `device("cuda", 1)`, `device("cuda:1")`: a kind of processor and, where there are several, its number.

    >>> device("cuda:1").index
    1
    """

    __slots__ = ("type", "index")

    def __init__(self, device=None, index=None, *, type=None):
        name = type if device is None else device
        if isinstance(name, device_class):
            name, index = name.type, name.index
        if isinstance(name, int) and not isinstance(name, bool):
            name, index = "cuda", name
        if not isinstance(name, str):
            raise TypeError(f"device(): argument 'type' must be str, not {name.__class__.__name__}")
        kind, colon, number = name.partition(":")
        if kind not in KNOWN:
            raise RuntimeError(f"Expected one of {', '.join(KNOWN)} device type at start of device string: {name}")
        if colon:
            if not number.isdigit() or (len(number) > 1 and number[0] == "0"):
                raise RuntimeError(f"Invalid device string: '{name}'")
            if index is not None:
                raise RuntimeError(f"type (string) must not include an index because index was passed explicitly: {name}")
            index = int(number)
        if index is not None and index < 0:
            raise RuntimeError(f"Device index must not be negative, but got {index}")
        self.type, self.index = kind, index

    def __repr__(self):
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{number})"

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other):
        return isinstance(other, device_class) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __reduce__(self):
        return device_class, (str(self),)

    def __enter__(self):
        """Within `with device(...)`, new tensors go there."""
        mode = None
        if usable(self) is META:
            from .meta import new_tensors_on_meta
            mode = new_tensors_on_meta().__enter__()
        _contexts.stack = [*getattr(_contexts, "stack", ()), (self, mode)]
        return self

    def __exit__(self, *error):
        *_contexts.stack, (_, mode) = _contexts.stack
        if mode is not None:
            mode.__exit__(*error)

    def __call__(self, function):
        def wrapped(*args, **kwargs):
            with self:
                return function(*args, **kwargs)
        return wrapped


device_class = device  # parameters are called `device`, as in PyTorch
CPU, META = device("cpu"), device("meta")


def usable(wanted, with_memory=False):
    """The device that is meant by a `device=` argument; an error where no backend is there for it, or it has no memory where that is
    needed."""
    if wanted is None or wanted is CPU:
        return CPU
    if not isinstance(wanted, device):
        wanted = device(wanted)
    if wanted.type == "cpu":
        return CPU
    if wanted.type == "meta" and not with_memory:
        return META
    if wanted.type == "cuda":
        raise AssertionError(f"device '{wanted}' is not available: this is Rushlight's CPU build (torch.cuda.is_available() is False)")
    raise NotImplementedError(f"device '{wanted}' is not available: Rushlight computes on 'cpu'")


_default_device = [CPU]


def get_default_device():
    """Where new tensors go when nothing is said."""
    stack = getattr(_contexts, "stack", ())
    return stack[-1][0] if stack else _default_device[0]


def set_default_device(wanted):
    """Set it."""
    _default_device[0] = usable(wanted, with_memory=True)


class _Named:
    """A value that is nothing but its name; there is one of each."""

    __slots__ = ("name",)
    made = {}

    def __init__(self, name):
        self.name = name
        self.made[name] = self

    def __repr__(self):
        return "torch." + self.name

    def __reduce__(self):
        return _named, (self.name,)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


def _named(name):
    return _Named.made[name]


class layout(_Named):
    """How a tensor's elements are stored: `strided`, always."""

    __slots__ = ()


class memory_format(_Named):
    """The order in which a dense tensor's dimensions lie in memory."""

    __slots__ = ()


strided, sparse_coo = layout("strided"), layout("sparse_coo")
contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
channels_last, channels_last_3d = memory_format("channels_last"), memory_format("channels_last_3d")


def dimension_order(wanted, ndim):
    """The dimensions from the outermost to the innermost for a memory format; RuntimeError where the rank does not fit."""
    if wanted is contiguous_format:
        return tuple(range(ndim))
    rank = {channels_last: 4, channels_last_3d: 5}[wanted]
    if ndim != rank:
        raise RuntimeError(f"required rank {rank} tensor to use {wanted.name} format, but this one has {ndim} dimensions")
    return (0, *range(2, rank), 1)


def only_strided(wanted):
    """Refuse layouts other than strided."""
    if wanted is not None and wanted is not strided:
        if not isinstance(wanted, layout):
            raise TypeError(f"argument 'layout' must be torch.layout, not {type(wanted).__name__}")
        raise NotImplementedError(f"layout {wanted}: Rushlight has strided tensors only")
