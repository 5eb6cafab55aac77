"""What a tensor looks like when it is printed: PyTorch's `repr`, character for character, from an array and a few facts.

    tensor([[1.0000, 2.5000],        one `Notation` for all numbers: integers, fixed or scientific, as wide as the widest
            [   inf, 0.0010]],       one row a line, broken at `linewidth`, with "..." for what is past the edges
           requires_grad=True)       suffixes, on the same line while they fit

Start with `tensor_repr`.  A complex array has two notations, one for each part.
"""
import contextlib
import math
import types

import numpy as np

from rushlight.ir import dtypes

_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options = types.SimpleNamespace(**_PROFILES["default"], sci_mode=None)


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """Set how tensors are printed from now on; what is None stays as it is.

    precision   digits after the point (4 at first)
    threshold   the number of elements past which only the edges are shown (1000)
    edgeitems   how many elements are shown at each edge of each dimension (3)
    linewidth   characters in a line, where lines may be broken (80)
    profile     "default", "short" or "full": values for all of these, which the other arguments then change
    sci_mode    scientific notation always or never; None, here too, leaves it to the numbers
    """
    for name, value in _PROFILES.get(profile or "", {}).items():
        setattr(_options, name, value)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions():
    """The options as a dictionary that `set_printoptions` takes."""
    return dict(vars(_options))


@contextlib.contextmanager
def printoptions(**options):
    """The options of `set_printoptions`, for the length of a with block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def tensor_repr(array, dtype, *, requires_grad=False, grad_fn_name=None, device="cpu", default_device="cpu", class_name="tensor",
                default_dtype=dtypes.float32, shape=None):
    """The `repr` of a tensor whose values are `array`; of one without values (device "meta") where `array` is None."""
    prefix = class_name + "("
    shape = tuple(array.shape) if shape is None else tuple(shape)
    plain = {default_dtype, dtypes.complex128 if default_dtype is dtypes.float64 else dtypes.complex64, dtypes.int64, dtypes.bool_}
    suffixes = []
    if device.split(":")[0] != default_device:
        suffixes.append(f"device='{device}'")
    if array is None:
        text, shows_shape, shows_dtype = "...", True, dtype is not default_dtype
    elif 0 in shape:  # no elements to tell an integer dtype by
        text, shows_shape, shows_dtype = "[]", len(shape) != 1, dtype is not default_dtype
    else:
        text, shows_shape, shows_dtype = _values(array, dtype, len(prefix)), not _options.edgeitems, dtype not in plain
    if shows_shape:
        suffixes.append(f"size={shape}")
    if shows_dtype:
        suffixes.append(f"dtype={dtype}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(prefix + text, suffixes, len(prefix))


def tensor_format(array, spec, **facts):
    """`format(tensor, spec)`: a single element as the Python number it is, anything else as its `tensor_repr` if there is no spec."""
    dtype = dtypes.of_numpy(array.dtype)
    if array.ndim == 0:
        return format(_python_values(array, dtype), spec)
    if spec:
        raise TypeError("unsupported format string passed to Tensor.__format__")
    return tensor_repr(array, dtype, **facts)


def _with_suffixes(text, suffixes, indent):
    """Put each suffix on the last line if it fits there, else on a line of its own."""
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


def _python_values(array, dtype):
    """The elements as nested lists of Python numbers, also for the types that NumPy only knows from ml_dtypes."""
    return (array.astype(np.float64) if dtype.kind == "f" else array).tolist()


def _values(array, dtype, indent):
    """The nested brackets; every line after the first starts at `indent`."""
    summarize = array.size > _options.threshold
    shown = _edges(array) if summarize else array
    if dtype.kind == "c":
        real, imaginary = (Notation.of(part, dtypes.float64) for part in (np.real(shown), np.imag(shown)))
        width = real.width + imaginary.width + 1

        def write(value):
            second = imaginary.write(value.imag).lstrip() + "j"
            return real.write(value.real) + (second if second[0] in "+-" else "+" + second)
    else:
        notation = Notation.of(shown, dtype)
        width, write = notation.width, notation.write
    return _block(array, dtype, indent, summarize, width + 2, write)


def _edges(array):
    """The elements that a summary shows."""
    edge = _options.edgeitems
    if not edge:
        return array if array.ndim < 2 else array[:0]
    for axis, extent in enumerate(array.shape):
        if extent > 2 * edge:
            array = np.take(array, [*range(edge), *range(extent - edge, extent)], axis)
    return array


def _block(array, dtype, indent, summarize, width, write):
    """Brackets around one dimension: rows one below the other, or, for the last one, elements side by side."""
    if array.ndim == 0:
        return write(_python_values(array, dtype))
    edge = _options.edgeitems
    shortened = summarize and (array.shape[0] > 2 * edge or not edge)
    parts = [array[:edge], array[len(array) - edge:]] if shortened else [array]
    if array.ndim > 1:
        parts = [[_block(row, dtype, indent + 1, summarize, width, write) for row in part] for part in parts]
        rows = [*parts[0], "...", *parts[1]] if shortened else parts[0]
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(rows) + "]"
    parts = [[write(value) for value in _python_values(part, dtype)] for part in parts]
    if shortened:
        words = [*parts[0], " ...", *parts[1]] if edge else ["..."]
    else:
        words = parts[0]
    in_line = max(1, math.floor((_options.linewidth - indent) / width))
    lines = [", ".join(words[i:i + in_line]) for i in range(0, len(words), in_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


class Notation:
    """How the numbers of one tensor are written: `spec` is the format of each, `point` follows a finite one, `width` is common."""

    def __init__(self, spec="", point="", width=1):
        self.spec, self.point, self.width = spec, point, width

    @classmethod
    def of(cls, array, dtype):
        """The notation that suits these values: zeros and what is not finite have no say in it."""
        if dtype.kind != "f":
            return cls(width=max((len(str(value)) for value in _python_values(array.reshape(-1), dtype)), default=1))
        values = array.astype(np.float64).reshape(-1)
        values = values[np.isfinite(values) & (values != 0)]
        if not values.size:
            return cls(".0f", ".")
        smallest, largest = float(np.abs(values).min()), float(np.abs(values).max())
        scientific = _options.sci_mode
        if scientific is None:
            scientific = largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4
        if scientific:
            notation = cls(f".{_options.precision}e")
        elif (values == np.ceil(values)).all():
            notation = cls(".0f", ".")
        else:
            notation = cls(f".{_options.precision}f")
        notation.width = max(len(notation.write(value)) for value in values.tolist())
        return notation

    def write(self, value):
        text = format(value, self.spec)
        if self.point and math.isfinite(value):
            text += self.point
        return text.rjust(self.width)
