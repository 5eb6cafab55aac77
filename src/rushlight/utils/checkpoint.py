"""torch.utils.checkpoint: memory for time.  Part of a network keeps nothing for backward but its inputs, and is run again there.

    y = checkpoint(block, x, use_reentrant=False)         as block(x), with the gradients of block(x)

https://docs.pytorch.org/docs/stable/checkpoint.html
"""
import warnings

from ..amp import autocast, get_autocast_dtype, is_autocast_enabled
from ..autograd import Function, backward
from ..autograd.modes import enable_grad
from ..operators.random import get_rng_state, set_rng_state
from ..random import fork_rng
from ..tensors.tensor import Tensor
from ._pytree import tree_flatten, tree_unflatten


class _Again(Function):
    @staticmethod
    def forward(ctx, function, keeps_state, anchor, *inputs):
        ctx.function = function
        ctx.autocast = autocast("cpu", get_autocast_dtype("cpu"), is_autocast_enabled("cpu"))
        ctx.state = get_rng_state() if keeps_state else None
        ctx.inputs = [None if isinstance(x, Tensor) else x for x in inputs]
        ctx.places = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]
        ctx.save_for_backward(*[x for x in inputs if isinstance(x, Tensor)])
        return function(*inputs)

    @staticmethod
    def backward(ctx, *grads):
        inputs = list(ctx.inputs)
        for i, x in zip(ctx.places, ctx.saved_tensors):
            inputs[i] = x.detach().requires_grad_(x.requires_grad)
        with enable_grad(), fork_rng(enabled=ctx.state is not None), ctx.autocast:
            if ctx.state is not None:
                set_rng_state(ctx.state)
            results = ctx.function(*inputs)
        wanted = [(r, g) for r, g in zip(results, grads) if isinstance(r, Tensor) and r.requires_grad and g is not None]
        if not wanted:
            raise RuntimeError("checkpoint: none of the results has requires_grad=True, so there is nothing to go back through")
        backward(*map(list, zip(*wanted)))
        return (None, None, None, *(x.grad if isinstance(x, Tensor) else None for x in inputs))


def checkpoint(function, *args, use_reentrant=None, context_fn=None, determinism_check="default", debug=False, early_stop=True,
               preserve_rng_state=True, **kwargs):
    """`function(*args, **kwargs)`, of which backward keeps the arguments only and computes the rest again.

    Gradients flow to tensors among the arguments, in containers too, and to the parameters that `function` uses.  `preserve_rng_state`: the
    second run draws the random numbers of the first (dropout).  `use_reentrant`, `context_fn`, `determinism_check`, `debug` and `early_stop` choose among
    PyTorch's ways to do the same; there is one way here.
    """
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly.", stacklevel=2)
    anchor = Tensor([0.0]).requires_grad_()  # so that parameters get their gradients where no argument needs one
    leaves, structure = tree_flatten((args, kwargs))
    made = []

    def flat(*leaves):
        args, kwargs = tree_unflatten(leaves, structure)
        results, form = tree_flatten(function(*args, **kwargs))
        made.append(form)
        return tuple(results)
    results = _Again.apply(flat, preserve_rng_state, anchor, *leaves)
    return tree_unflatten(results, made[0])


def checkpoint_sequential(functions, segments, input, use_reentrant=None, preserve_rng_state=True, **kwargs):
    """The modules of a Sequential (or a list of functions) one after the other, in `segments` checkpoints; the last is run plainly.

    Raises: ValueError for fewer than one segment.
    """
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)
    if segments < 1 or segments > len(functions):
        raise ValueError(f"checkpoint_sequential: {len(functions)} functions cannot be run in {segments} segments")
    size = len(functions) // segments

    def run(part):
        def forward(x):
            for function in part:
                x = function(x)
            return x
        return forward
    end = size * (segments - 1)
    for start in range(0, end, size):
        input = checkpoint(run(functions[start:start + size]), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return run(functions[end:])(input)
