"""Loops over time: what they mean, how they are made, and what recurrent layers make of them."""
import re

import numpy as np
import pytest
from families import agree, compiled, launch, run

import rushlight as torch
from rushlight import nn
from rushlight.compiler.memory_plan import share_slots
from rushlight.compiler.native import threads
from rushlight.compiler.program import Output, Program
from rushlight.compiler.repetition import LoopStep
from rushlight.ir import graph
from rushlight.ir.dtypes import bfloat16, float32, float64
from rushlight.ir.extents import Assumptions, symbol
from rushlight.runtime.recorder import here


def numbers(*shape, dtype=float32, seed=0):
    return (np.random.default_rng(seed).normal(size=shape) / max(1, shape[-1]) ** 0.5).astype(dtype.numpy)


def carried(turns, n, h, dtype=float32, backwards=False, strides=None):
    """h' = tanh(x[t] + h @ w.T), and of each turn two parts beside each other: (states, parts)."""
    x, first, w = graph.leaf(0, (turns, n, h), dtype), graph.leaf(1, (n, h), dtype, strides), graph.leaf(2, (h, h), dtype)

    def step(states, slices, invariants):
        (state,), (x,), (w,) = states, slices, invariants
        new = graph.elementwise("tanh", graph.elementwise("add", graph.contraction(state, graph.permute(w, (1, 0))), x))
        return [new, graph.cat((graph.elementwise("mul", new, state), graph.elementwise("exp", x)), 1)]
    return graph.loop(turns, [first], [x], [w], step, backwards)


def leaves_of(turns, n, h, dtype=float32):
    return [numbers(turns, n, h, dtype=dtype), numbers(n, h, dtype=dtype, seed=1), numbers(h, h, dtype=dtype, seed=2)]


# The primitive -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("turns, n, h", [(1, 1, 1), (5, 3, 4), (2, 17, 33), (3, 40, 7), (4, 1, 70), (3, 0, 5), (0, 2, 3)])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_loop_is_its_step_again_and_again(turns, n, h, backwards):
    roots, leaves = carried(turns, n, h, backwards=backwards), leaves_of(turns, n, h)
    agree(roots, run(roots, leaves), leaves)
    total = [graph.reduce("sum", roots[1], (0,))]  # the states are in nobody's hands, and nothing is kept but the sum
    agree(total, run(total, leaves), leaves)


@pytest.mark.parametrize("dtype", [float64, bfloat16])
def test_other_dtypes_and_sums_of_several_blocks(dtype):
    roots, leaves = carried(3, 20, 530, dtype), leaves_of(3, 20, 530, dtype)
    if dtype is bfloat16:
        roots = roots[:1]
    agree(roots, run(roots, leaves), leaves)


def test_a_second_run_begins_with_the_first_state_again():
    roots, leaves = carried(4, 3, 5), leaves_of(4, 3, 5)
    program = compiled(roots)
    for _ in range(3):
        agree(roots, launch(program, roots, leaves), leaves)


def test_a_state_that_does_not_lie_row_by_row_is_copied_first():
    roots = carried(3, 4, 6, strides=(1, 4))
    leaves = leaves_of(3, 4, 6)
    leaves[1] = np.asfortranarray(leaves[1])
    agree(roots, run(roots, leaves), leaves)


def test_a_loop_may_begin_where_another_ends():
    states, parts = carried(3, 4, 6)
    last = graph.reshape(graph.slice(states, (2, 0, 0), (1, 4, 6)), (4, 6))
    wide = graph.permute(graph.reshape(parts, (3, 4, 2, 6)), (2, 0, 1, 3))
    xs = graph.reshape(graph.slice(wide, (1, 0, 0, 0), (1, 3, 4, 6)), (3, 4, 6))
    again = graph.loop(3, [last], [xs], [], lambda s, x, _: [graph.elementwise("maximum", s[0], x[0])], True)
    agree(again, run(again, leaves_of(3, 4, 6)), leaves_of(3, 4, 6))


def test_two_states_that_trade_places():
    first, second = graph.leaf(0, (3, 5), float32), graph.leaf(1, (3, 5), float32)
    sequence = graph.leaf(2, (6, 3, 5), float32)
    roots = graph.loop(6, [first, second], [sequence], [], lambda s, x, _: [s[1], graph.elementwise("add", s[0], x[0])])
    leaves = [numbers(3, 5), numbers(3, 5, seed=1), numbers(6, 3, 5, seed=2)]
    agree(roots, run(roots, leaves), leaves)


def test_a_program_of_one_number_of_turns_serves_all():
    values = (6, 4, 9)
    with Assumptions((), values):
        turns, n, h = (symbol(i, v) for i, v in enumerate(values))
        roots = carried(turns, n, h)
        program = Program([Output(r) for r in roots])
    for sizes in (values, (2, 4, 9), (9, 11, 5), (30, 2, 2)):
        leaves = leaves_of(*sizes)
        agree(roots, launch(program, roots, leaves, (), sizes), leaves, (), sizes)


def test_what_every_turn_multiplies_with_is_packed_once_and_the_text_says_so():
    text = compiled(carried(3, 20, 70)[:1]).explain(())
    lines = [line for line in text.splitlines() if "operations" not in line]
    assert lines[-7:] == [
        "k0 packing: leaf2 -> t1",
        "k1 loop of 3 turns: leaf1, leaf0, leaf2, t1 -> out0, t0",
        "        contraction+tanh: out0[turn - 1], t1, leaf0[turn] -> out0[turn]",
        "            for i < 20:",
        "              for j < 70 by 16:",
        "                a = nothing yet, for product",
        "                out0[turn][70*i + j] = tanh((a + leaf0[turn][70*i + j]))"]
    assert "64.4 kB read, 22.4 kB written, 596 k operations" in text


def test_parts_beside_each_other_are_written_one_by_one():
    """Else each place would ask which part it belongs to, and compute both."""
    x = graph.leaf(0, (5, 7), float32)
    y = [graph.cat((graph.elementwise("exp", x), graph.elementwise("sin", x)), 1)]
    program = compiled(y)
    step, = program.plan.steps
    assert not any(e.op == "where" for e in step.nest.expressions())
    agree(y, launch(program, y, [numbers(5, 7)]), [numbers(5, 7)])


@pytest.mark.parametrize("count", [2, 16, 17, 40])
def test_many_parts_are_several_kernels(count):
    parts = [graph.leaf(i, (3, 2), float32) for i in range(count)]
    y, leaves = [graph.cat(parts, 0)], [numbers(3, 2, seed=i) for i in range(count)]
    program = compiled(y)
    assert len(program.plan.steps) == -(-count // 16)
    agree(y, launch(program, y, leaves), leaves)


def test_products_are_added_up_each_where_it_is_made():
    leaves = [numbers(40, 30, seed=i) for i in range(4)] + [numbers(30, 50, seed=i) for i in range(4)]
    a, b = [graph.leaf(i, (40, 30), float32) for i in range(4)], [graph.leaf(4 + i, (30, 50), float32) for i in range(4)]
    total = graph.contraction(a[0], b[0])
    for x, y in zip(a[1:], b[1:]):
        total = graph.elementwise("add", total, graph.contraction(x, y))
    program = compiled([total])
    assert [s.name for s in program.plan.steps] == ["contraction"] + ["contraction+add"] * 3
    assert all(len(s.reads) <= 3 for s in program.plan.steps)
    agree([total], launch(program, [total], leaves), leaves)


def test_a_slot_names_each_size_once_however_often_it_is_used_again():
    """Their maximum of maxima would have no end."""
    class Step:
        def __init__(self, reads, writes):
            self.reads, self.writes = reads, writes
    from rushlight.compiler.expressions import Buffer
    with Assumptions((), (5, 6)):
        sizes = symbol(0, 5), symbol(1, 6)
        buffers = [Buffer("arena", i, float32, (sizes[i % 2], 3 + i % 2)) for i in range(3000)]
        slots, found = share_slots([Step([a], [b]) for a, b in zip(buffers, buffers[1:])], buffers)
    assert max(map(len, found)) <= 2 and len(found) <= 4
    assert all(slots[i] != slots[i + 1] for i in range(1, 2998))


# Layers --------------------------------------------------------------------------------------------------------------

def step_of(layer, optimizer, x, lengths=None):
    given = torch.from_numpy(x)
    optimizer.zero_grad()
    output, last = layer(given if lengths is None else nn.utils.rnn.pack_padded_sequence(given, lengths, enforce_sorted=False))
    loss = ((output if lengths is None else output.data) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize("packed", [False, True])
def test_other_lengths_and_batches_compile_nothing(packed):
    torch.manual_seed(0)
    layer = nn.LSTM(3, 24, bidirectional=True)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def run_with(turns, rows):
        lengths = [turns, *np.random.default_rng(turns).integers(1, turns, rows - 1).tolist()] if packed else None
        return step_of(layer, optimizer, numbers(turns, rows, 3), lengths)
    for _ in range(3):
        run_with(30, 30)
    before = here.recorder.programs
    assert all(np.isfinite(run_with(*sizes)) for sizes in ((25, 30), (23, 33), (41, 18)))
    assert here.recorder.programs == before


def test_weights_after_some_steps_are_the_same_with_one_thread_and_with_two():
    found = []
    before = torch.get_num_threads()
    try:
        for count in (1, 2):
            threads.set_num_threads(count)
            torch.manual_seed(0)
            layer = nn.GRU(5, 70, 2)
            optimizer = torch.optim.Adam(layer.parameters())
            for _ in range(3):
                step_of(layer, optimizer, numbers(6, 33, 5))
            found.append([p.detach().numpy().tobytes() for p in layer.parameters()])
    finally:
        threads.set_num_threads(before)
    assert found[0] == found[1]


def test_without_gradients_nothing_is_kept_of_the_turns():
    layer, x = nn.LSTM(3, 4), torch.from_numpy(numbers(5, 2, 3))
    with torch.no_grad():
        text = str(torch.explain(layer(x)[0]))
    loop = next(line for line in text.splitlines() if " loop of " in line)
    assert loop.count("out") + loop.partition("->")[2].count(", t") <= 3  # h for the caller, c, and the sums of a turn; no gates


def test_an_empty_sequence_is_refused_and_an_empty_batch_is_not():
    layer = nn.RNN(3, 4)
    with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0 in RNN"):
        layer(torch.zeros(0, 2, 3))
    output, last = layer(torch.zeros(5, 0, 3))
    assert output.shape == (5, 0, 4) and last.shape == (1, 0, 4)


def test_a_step_of_a_layer_is_a_handful_of_kernels_whatever_its_length():
    layer, x = nn.GRU(3, 4), torch.from_numpy(numbers(50, 2, 3))
    (layer(x)[0] ** 2).sum().backward()
    text = str(torch.explain(layer.weight_hh_l0.grad))
    assert text.count(" loop of ") <= 2 and len(re.findall(r"^k\d+ ", text, re.MULTILINE)) < 25


def test_the_reference_interpreter_runs_loops_too():
    plan = compiled(carried(3, 4, 6)).plan
    assert [type(s) is LoopStep for s in plan.steps].count(True) == 1
    roots, leaves = carried(3, 4, 6, float64), leaves_of(3, 4, 6, float64)
    h = leaves[1]
    for t in range(3):
        h = np.tanh(leaves[0][t] + h @ leaves[2].T)
    np.testing.assert_allclose(launch(compiled(roots), roots, leaves)[0][-1], h, rtol=1e-12)


def test_a_part_of_parts_beside_each_other_is_read_without_asking_which():
    """What the gradient of a stack reads, in each of many steps: to ask each time would take the square of their number."""
    with Assumptions((), (5, 4)):
        n, m = symbol(0, 5), symbol(1, 4)
        parts = [graph.leaf(i, (n, m), float32) for i in range(5)]
        y = graph.elementwise("exp", graph.cat(parts, 1))
        cut = [graph.slice(y, (0, m * i), (n, m)) for i in (0, 2, 4)]
        across = graph.slice(y, (0, m * 2 - 1), (n, m + 1))
        program = Program([Output(r) for r in (*cut, across)])
    chosen = [sum(e.op == "where" for e in step.nest.expressions()) for step in program.plan.steps]
    assert sorted(chosen) == [0, 1]  # only what lies across two parts
    leaves = [numbers(5, 4, seed=i) for i in range(5)]
    agree([*cut, across], launch(program, [*cut, across], leaves, (), (5, 4)), leaves, (), (5, 4))


def test_what_several_small_products_multiply_with_is_packed_once():
    w, first = graph.leaf(0, (70, 70), float32), graph.leaf(1, (20, 70), float32)
    h, roots = first, []
    for _ in range(5):
        h = graph.elementwise("tanh", graph.contraction(h, graph.permute(w, (1, 0))))
        roots.append(h)
    program = compiled(roots)
    assert [s.name for s in program.plan.steps] == ["packing"] + ["contraction+tanh"] * 5
    assert [s.name for s in compiled(roots[:3]).plan.steps] == ["contraction+tanh"] * 3
    leaves = [numbers(70, 70), numbers(20, 70, seed=1)]
    agree(roots, launch(program, roots, leaves), leaves)


def test_a_weight_that_is_updated_in_place_was_packed_before():
    w, x = graph.leaf(0, (70, 70), float32), [graph.leaf(i, (20, 70), float32) for i in range(1, 6)]
    products = [graph.contraction(a, w) for a in x]
    changed = graph.elementwise("add", w, w)
    with Assumptions():
        program = Program([Output(changed, None, 0), *map(Output, products)])
    leaves = [numbers(70, 70), *(numbers(20, 70, seed=i) for i in range(1, 6))]
    before, results = leaves[0].copy(), [np.empty((20, 70), np.float32) for _ in products]
    program.run([a.ctypes.data for a in leaves], [leaves[0].ctypes.data, *(r.ctypes.data for r in results)], (), ())
    agree(products, results, [before, *leaves[1:]])
    np.testing.assert_array_equal(leaves[0], 2 * before)
