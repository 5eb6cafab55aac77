"""`rushlight.explain`: what would run if a tensor were looked at now.

    >>> y = (x @ w).relu()
    >>> torch.explain(y)
    pending: 2 calls over 2 tensors in memory; looking at it makes 1 value
    sizes   n0 = 64, n1 = 784, ...
    ...
    k0 contraction+maximum: leaf0, leaf1 -> out0
            ...

Nothing is observed: the tensor stays pending.  Times are of a run on the side, whose results go nowhere.
"""
from sys import getrefcount

import numpy as np

from ..runtime import plan as plans
from ..runtime.memory import Block


class Explanation(str):
    """A text that shows itself as it is."""

    def __repr__(self):
        return str(self)


def explain(tensor):
    """The graph, kernels, loops, bytes, operations and times of what a pending tensor waits for, as text."""
    value = tensor._state
    if value is None or tensor._place is not None and tensor._place.storage.block is not None and value.node.primitive == "leaf":
        return Explanation(f"nothing is pending: the tensor lies in memory, {tensor.dtype} {tuple(tensor.shape)} with strides "
                           f"{tensor.stride()}")
    recorder = value.owner
    with recorder.lock:
        trace, step = recorder.trace, recorder.at
        plan = plans.make(recorder, trace, step, (*map(getrefcount, trace.handles), trace.freed_mark))
        lines = [f"pending: {_some(len(trace.handles), 'call')} over {_some(len(trace.leaves), 'tensor')} in memory; "
                 f"looking at it makes {_some(len(plan.outputs), 'value')}"]
        if plan.cold:
            lines.append("it is new: the first time it runs call by call, and as below when it comes again")
            plans.compile_plan(recorder, plan, step, trace.integers)
        integers = tuple(trace.integers)
        if isinstance(plan.program, plans.compiler().Program):
            times = _times(plan, trace, integers)
            lines.append(plan.program.explain(integers, times))
        else:
            lines.append(plan.program.explain(integers))
        return Explanation("\n".join(lines))


def _some(count, what):
    return f"{count} {what}{'' if count == 1 else 's'}"


def _times(plan, trace, integers):
    """The seconds of each step, from the better of two runs into memory of their own."""
    pointers = [t._place.address if t._place.storage.block is not None else 0 for t in trace.leaves]
    blocks = [Block(count * itemsize) for (_, _, count), (_, itemsize, _) in zip(plan.layouts(integers)[0], plan.outputs)]
    for leaf, output in plan.program.plan.same:  # what would be written in place is copied first
        place = trace.leaves[leaf]._place
        blocks[output] = Block(place.span() * place.dtype.itemsize)
        Block.array(blocks[output], place.dtype.numpy, place.shape, place.strides, 0)[...] = place.array()
        pointers[leaf] = blocks[output].address
    targets = [b.address for b in blocks]
    runs = [plan.program.timed(pointers, targets, trace.scalars, integers) for _ in range(2)]
    return np.min(runs, axis=0).tolist()
