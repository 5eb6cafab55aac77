"""A loop as one step: its body is scheduled once, like a program of its own, and its kernels are launched again for each turn.

    h[t] = tanh(g[t] + h[t - 1] @ w)      ->     w packed; T times: k0 contraction, tanh

                      slot of g        slot of h[t - 1]          slot of h[t]
    before turn 0     g[0]             the state to begin with   h[0]
    after a turn      one turn on      where h[t] was            one turn on

The body's leaves and targets are parts of the loop's own inputs and results, each with a `Place`: where it is in the first turn, how far it
moves with each, or whose place it takes.  A state is read where the turn before wrote it, so none is ever copied.  What the body multiplies
with in every turn is packed once, in front of the loop; so is, in a program that was unrolled by hand, what many of its small products
multiply with (`with_shared_packing`).  Start with `loop_steps`.
"""
import dataclasses
from dataclasses import dataclass

from ..ir.extents import extent_value
from ..ir.graph import Node, leaf, row_major, topological
from .expressions import Buffer, MustStore, is_int, key, one_memory, same
from .products import Prologue
from .steps import LoopStep, PackStep

MOST_ROWS = 64    # of products for which a shared B is packed apart: of larger ones that is a small part


@dataclass
class Place:
    """Where a leaf or target of a body is: in `buffer`, in the first turn from element `first` on, `stride` elements further on in each; or
    after the first turn, where the target of that number was in the turn before."""
    buffer: Buffer
    first: object = 0
    stride: object = 0
    follows: int | None = None


def loop_steps(call, parts, buffer_of, memory, schedule):
    """The steps that make a loop: `parts` are the nodes of its results that are wanted, `memory(dtype, shape)` gives more of the arena,
    `schedule(wanted)` the Plan that makes nodes: (node, strides) of each."""
    body, turns = call.attributes
    targets = {p.attributes[0]: buffer_of(p) for p in parts}
    nodes = {p.attributes[0]: p for p in parts}
    for number in range(body.states):
        if number in targets:
            _must_be_rows(nodes[number], targets[number].strides[1:], targets[number].shape[1:])
        else:
            targets[number] = memory(body.results[number].dtype, (turns, *body.results[number].shape))
    numbers = sorted(targets)  # those of the states come first
    places, leaves = {}, []
    for number, node in enumerate(call.inputs):
        buffer = buffer_of(node)
        if number < body.states:
            _must_be_rows(node, buffer.strides, buffer.shape)
            place, strides = Place(buffer, follows=number), row_major(buffer.shape)
        elif number < body.states + body.slices:
            place, strides = _part_of_turn(buffer, turns, body.backwards), buffer.strides[1:]
        else:
            place, strides = Place(buffer), buffer.strides
        places["leaf", number] = place
        leaves.append((strides, buffer.dtype))
    roots = _with_strides([body.results[n] for n in numbers], leaves)
    outputs = [(node, targets[number].strides[1:]) for node, number in zip(roots, numbers)]
    for n, number in enumerate(numbers):
        places["target", n] = _part_of_turn(targets[number], turns, body.backwards)
    plan = schedule(outputs)
    for buffer in plan.arena:
        places["arena", buffer.number] = Place(memory(buffer.dtype, buffer.shape))
    packed = []
    steps = [_with_packed_operand(step, places, memory, packed) for step in plan.steps]
    reads = [p.buffer for (kind, _), p in places.items() if kind == "leaf"]
    writes = [p.buffer for (kind, _), p in places.items() if kind != "leaf"]
    return [*packed, LoopStep(turns, steps, places, reads, writes)]


def _must_be_rows(node, strides, shape):
    """A state lies where it is given in the first turn, and where it was written in the others: always row by row."""
    if not all(same(a, b) for a, b in zip(strides, row_major(shape))):
        raise MustStore(node, "a state lies row by row")


def _part_of_turn(buffer, turns, backwards):
    stride = buffer.strides[0]
    return Place(buffer, (turns - 1) * stride, stride * -1) if backwards else Place(buffer, 0, stride)


def _with_strides(roots, leaves):
    """The roots over leaves that lie as these do: (strides, dtype) by number."""
    new = {}
    for node in topological(roots):
        if node.primitive == "leaf":
            number = node.attributes[0]
            new[node] = leaf(number, node.shape, node.dtype, leaves[number][0])
        else:
            new[node] = Node(node.primitive, tuple(new[i] for i in node.inputs), node.attributes, node.shape, node.dtype)
    return [new[r] for r in roots]


def _with_packed_operand(step, places, memory, packed):
    """A product in a loop whose B is the same in every turn, and would be packed each time, reads it packed by a step in `packed`.

        before   T times: h @ w               after   p = w packed; T times: h @ p
    """
    if not _packs(step):
        return step
    buffer, offset = step.b
    place = places.get((buffer.kind, buffer.number))
    if buffer.kind != "leaf" or place.follows is not None or not is_int(place.stride, 0):
        return step
    source = Buffer(place.buffer.kind, place.buffer.number, buffer.dtype, buffer.shape, buffer.strides, buffer.storage)
    packed.append(_packing(step, (source, offset), place.buffer, memory))
    result = packed[-1].result
    inside = Buffer("leaf", len(places), result.dtype, result.shape)
    places["leaf", inside.number] = Place(result)
    return _reading(step, inside)


def with_shared_packing(steps, memory, least):
    """At least so many products of few rows with the same B, such as those of a network that is unrolled by hand, read it packed once.

        before   h0 @ w; h1 @ w; h2 @ w; ...      after   p = w packed; h0 @ p; h1 @ p; h2 @ p; ...
    """
    users = {}
    for step in steps:
        node = getattr(step, "node", None)
        if (node is not None and node.primitive == "contraction" and not isinstance(step.b, Prologue)
                and extent_value(node.shape[-2]) <= MOST_ROWS):
            buffer, offset = step.b
            name = buffer.kind, buffer.number, node.dtype, key(offset), tuple(map(key, (*buffer.shape, *buffer.strides)))
            users.setdefault(name, []).append(step)
    shared = {}  # a step, by identity, -> the steps that read the same B
    for same_b in users.values():
        if len(same_b) >= least and all(map(_packs, same_b)):
            shared.update((id(step), same_b) for step in same_b)
    result, packed = [], {}
    for step in steps:
        if id(step) in shared:
            first = shared[id(step)][0]
            if step is first:
                packed[id(first)] = _packing(step, step.b, next(r for r in step.reads if one_memory(r, step.b[0])), memory)
                result.append(packed[id(first)])
            step = _reading(step, packed[id(first)].result)
        result.append(step)
    return result


def _packs(step):
    """Whether a step is a product of two matrices that packs all of B."""
    return getattr(step, "when_packed", None) is not None


def _packing(step, b, memory_of_b, memory):
    packed, binding = step.when_packed, step.binding
    result = memory(packed.result.dtype, binding.extents(packed.result.shape))
    return PackStep(step.node.dtype, b, binding.extent(packed.k), binding.extent(packed.n), result, [memory_of_b], [result])


def _reading(step, result):
    """A product that reads its B there."""
    packed = step.when_packed
    reads = [result if one_memory(r, step.b[0]) else r for r in step.reads]
    return dataclasses.replace(packed.step, node=step.node, a=step.a, b=(result, 0), reads=reads, writes=step.writes,
                               binding=step.binding.also(packed.result, result))
