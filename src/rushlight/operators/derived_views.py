"""What follows from every view: a copy (`select_copy`), the inverse (`select_scatter`), the tensor itself changed (`transpose_`).

    select_copy(x, 0, 1)          x.select(0, 1).clone()
    select_scatter(x, src, 0, 1)  y = x.clone(); y.select(0, 1).copy_(src); y
    x.t_()                        x lies where x.t() lies

Start with `_scatter`.
"""
from ..tensors.tape import tape_of
from ..tensors.tensor import Tensor
from .conversion import alias, clone_as, contiguous_format, copy_
from .definition import attach, check_writable, exported, write_out
from .reinterpretation import view_as_complex, view_as_real
from .shaping import narrow, permute, select, slice_dim, squeeze, t, transpose, unsqueeze
from .splitting import split, split_with_sizes, unbind
from .windows import as_strided, diagonal, unfold

# ---------------------------------------------------------------------------------------------------------------------
# Copies

def _copying(name, function, method=False):
    def copying(input, *args, out=None, **kwargs):
        result = function(input, *args, **kwargs)
        if isinstance(result, Tensor):
            made = clone_as.operator.call(result, contiguous_format)
            return made if out is None else write_out(clone_as.operator, out, made)
        made = tuple(clone_as.operator.call(r, contiguous_format) for r in result)
        if out is None:
            return made
        for o, r in zip(out, made, strict=True):
            write_out(clone_as.operator, o, r)
        return None
    copying.__name__, copying.__doc__ = name + "_copy", f"`{name}`, copied to memory of its own."
    exported(copying, method=method)


def _slice(input, dim=0, start=None, end=None, step=1):
    return slice_dim.operator.call(input, dim, start, end, step)


def _view_or_dtype(input, size=None, dtype=None):
    return input.view(size if size is not None else dtype)


for _name, _view in {"alias": lambda x: alias.operator.call(x), "as_strided": as_strided, "detach": lambda x: x.detach(),
                     "diagonal": diagonal, "expand": lambda x, size, implicit=False: x.expand(size), "narrow": narrow, "permute": permute,
                     "select": select, "slice": _slice, "split": split, "split_with_sizes": split_with_sizes, "squeeze": squeeze, "t": t,
                     "transpose": transpose, "unbind": unbind, "unfold": unfold, "view_as_complex": view_as_complex,
                     "view_as_real": view_as_real, "unsqueeze": unsqueeze, "view": _view_or_dtype}.items():
    _copying(_name, _view, method=_name == "narrow")


# ---------------------------------------------------------------------------------------------------------------------
# Inverses

def _scatter(name, input, src, view):
    """A copy of the input in which the view that `view` makes holds `src`."""
    out = clone_as.operator.call(input, contiguous_format)
    target = view(out)
    if tuple(target.shape) != tuple(src.shape):
        raise RuntimeError(f"{name}: expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = "
                           f"{list(target.shape)}")
    copy_(target, src)
    return out


@exported(method=True)
def select_scatter(input, src, dim, index):
    """The input with `src` at one index of a dimension."""
    return _scatter("select_scatter", input, src, lambda x: select(x, dim, index))


@exported(method=True)
def slice_scatter(input, src, dim=0, start=None, end=None, step=1, *, out=None):
    """The input with `src` at start:end:step of a dimension."""
    made = _scatter("slice_scatter", input, src, lambda x: _slice(x, dim, start, end, step))
    return made if out is None else write_out(clone_as.operator, out, made)


@exported(method=True)
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """The input with `src` on a diagonal."""
    return _scatter("diagonal_scatter", input, src, lambda x: diagonal(x, offset, dim1, dim2))


@exported(method=True)
def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """The input with `src` at any strides of its memory."""
    offset = input.storage_offset() if storage_offset is None else storage_offset
    return _scatter("as_strided_scatter", input, src, lambda x: as_strided(x, size, stride, offset))


# ---------------------------------------------------------------------------------------------------------------------
# The tensor itself

def become(tensor, view):
    """Let a tensor lie where a view of it lies, with the view's history."""
    place = view._stored()
    tensor._stored()
    tensor._place = place
    if view._tape is not None and view._tape.requires_grad:
        tape = tape_of(tensor)
        tape.requires_grad, tape.history, tape.node = True, view._tape.history, None
    return tensor


def _changing(name, function):
    def changing(self, *args, **kwargs):
        check_writable(self)
        return become(self, function(self, *args, **kwargs))
    changing.__name__, changing.__doc__ = name + "_", f"`{name}` of the tensor itself."
    attach(name + "_", changing)


for _name, _view in {"t": t, "transpose": transpose, "swapaxes": transpose, "swapdims": transpose, "squeeze": squeeze,
                     "unsqueeze": unsqueeze, "as_strided": as_strided}.items():
    _changing(_name, _view)
for _name in ("as_strided_", "detach_", "fill_", "resize_as_", "zero_"):
    exported(getattr(Tensor, _name), name=_name)
