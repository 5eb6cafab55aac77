"""torch._foreach_*: an operator on every tensor of a list, as optimizers written for PyTorch call it.

    torch._foreach_add_(parameters, gradients, alpha=-0.1)         for p, g in zip(...): p.add_(g, alpha=-0.1)

The calls are recorded one after the other and run together, so there is nothing to be won by another way.  Arguments that are lists or
tuples go with the tensors, one each; others go to every call.
"""
from .definition import EXPORTED, exported
from .norms import vector_norm

_NAMES = """abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min copy cos cosh div erf erfc exp expm1 floor frac lerp lgamma log
    log10 log1p log2 maximum minimum mul neg pow reciprocal round rsqrt sigmoid sign sin sinh sqrt sub tan tanh trunc zero""".split()
_CALLED = {"maximum": "clamp_min", "minimum": "clamp_max"}  # which also take numbers


def _foreach(name, in_place):
    method = _CALLED.get(name, name) + ("_" if in_place else "")

    def foreach(self, *args, **kwargs):
        tensors = list(self)
        if not tensors and name != "zero":
            raise RuntimeError("Tensor list must have at least one tensor.")
        for a in (*args, *kwargs.values()):
            if isinstance(a, (list, tuple)) and len(a) != len(tensors):
                raise RuntimeError(f"Tensor lists must have the same number of tensors, got {len(tensors)} and {len(a)}")
        results = []
        for i, tensor in enumerate(tensors):
            mine = [a[i] if isinstance(a, (list, tuple)) else a for a in args]
            further = {key: a[i] if isinstance(a, (list, tuple)) else a for key, a in kwargs.items()}
            if name in ("addcdiv", "addcmul") and len(mine) == 3:
                further["value"] = mine.pop()
            if name == "lerp" and "weight" not in further and "scalar" in further:
                further["weight"] = further.pop("scalar")
            if name == "copy" and not in_place:
                results.append(mine[0].to(tensor.dtype, copy=True))
                continue
            results.append(getattr(tensor, method)(*mine, **further))
        return None if in_place else tuple(results)

    foreach.__name__ = foreach.__qualname__ = f"_foreach_{name}" + ("_" if in_place else "")
    foreach.__doc__ = f"`{method}` on every tensor of a list" + ("." if in_place else "; the results as a tuple.")
    return foreach


@exported
def _foreach_norm(self, ord=2, dtype=None):
    """The norm of every tensor of a list, as a tuple."""
    return tuple(vector_norm(t, ord, dtype=dtype) for t in self)


@exported
def _foreach_max(self):
    """The largest element of every tensor of a list, as a tuple."""
    return tuple(t.max() for t in self)


for _name in _NAMES:
    for _in_place in (False, True):
        if _name != "zero" or _in_place:
            _made = _foreach(_name, _in_place)
            EXPORTED[_made.__name__] = _made
