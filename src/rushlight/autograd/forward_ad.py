"""Forward mode: derivatives that come along with values (https://docs.pytorch.org/docs/stable/generated/torch.autograd.forward_ad.html).

    with dual_level():
        x = make_dual(primal, tangent)
        y, dy = unpack_dual(f(x))           dy = f'(primal) tangent

A dual is the primal as a tensor that gradients are recorded for; its level keeps the tangent.  The derivative of a result along the
tangents follows when it is unpacked, by going back twice: w -> <(dy/dx)^T w, tangent> is linear in w, and its gradient is dy/dx tangent.
So every operator that can be differentiated has a forward mode, and inside a level results say that they require gradients.

Start with `make_dual`.
"""
import functools
from typing import NamedTuple

from ..operators.factories import zeros_like
from ..tensors.tensor import Tensor
from .engine import grad
from .modes import enable_grad


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` gives; `tangent` is None where none belongs to the tensor."""
    primal: Tensor
    tangent: Tensor | None


class _Level:
    """The duals made so far, with their tangents; `tracked`: gradients are wanted for a primal or a tangent too."""

    def __init__(self):
        self.duals, self.tangents, self.tracked = [], [], False

    def add(self, dual, tangent, tracked):
        self.duals.append(dual)
        self.tangents.append(tangent)
        self.tracked = self.tracked or tracked

    def tangent_of(self, tensor):
        """The derivative of a tensor along the tangents, or None."""
        for dual, tangent in zip(self.duals, self.tangents):
            if tensor is dual:
                return tangent
        if not self.duals or not tensor.requires_grad:
            return None
        with enable_grad():
            seed = zeros_like(tensor.detach()).requires_grad_()
            back = grad(tensor, self.duals, seed, create_graph=True, allow_unused=True)
            pairs = [(g, t) for g, t in zip(back, self.tangents) if g is not None]
            if not pairs:
                return None
            pairs = [(g, t) for g, t in pairs if g.requires_grad]
            if not pairs:
                return zeros_like(tensor.detach())
            return grad([g for g, _ in pairs], seed, [t for _, t in pairs], create_graph=self.tracked, retain_graph=True)[0]


_levels = []


def enter_dual_level():
    """Begin a level; returns its number, which is 0: there is one at a time."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append(_Level())
    return 0


def exit_dual_level(*, level=None):
    """End the level: its duals are ordinary tensors again."""
    if not _levels or level not in (None, 0):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was created. This is not supported.")
    for dual in _levels.pop().duals:
        if dual.is_leaf:
            dual.requires_grad_(False)


class dual_level:
    """Inside, tensors can be made duals; also a decorator."""

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *error):
        exit_dual_level()

    def __call__(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with dual_level():
                return function(*args, **kwargs)
        return wrapped


def make_dual(tensor, tangent, *, level=None):
    """`tensor` with a tangent of its shape, by which what is computed from it has tangents too."""
    if not _levels:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first.")
    for name, t in (("primal", tensor), ("tangent", tangent)):
        if not (t.is_floating_point() or t.is_complex()):
            raise ValueError(f"Expected {name} to be floating point or complex, but got: {t.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError("Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
                           f"supported. Tensor is of size {list(tensor.shape)} while the given forward gradient is of size "
                           f"{list(tangent.shape)}.")
    tracked = tensor.requires_grad
    with enable_grad():
        dual = tensor.view_as(tensor) if tracked else tensor.detach().requires_grad_()
    _levels[-1].add(dual, tangent, tracked or tangent.requires_grad)
    return dual


def unpack_dual(tensor, *, level=None):
    """(primal, tangent) of a tensor; the tangent is None where it was not made from a dual."""
    if not _levels:
        return UnpackedDualTensor(tensor, None)
    tangent = _levels[-1].tangent_of(tensor)
    return UnpackedDualTensor(tensor if tangent is None or _levels[-1].tracked else tensor.detach(), tangent)
