"""Loop nests: which loops merge, what a task is, what the order of summation is, and which nests are one piece of machine code."""
import re

import numpy as np
from families import compiled, launch, numbers, run, spread

from rushlight.compiler.explain import loops_of
from rushlight.compiler.loops import canonical
from rushlight.compiler.native.target import host
from rushlight.compiler.program import Output, compile_program
from rushlight.ir import graph
from rushlight.ir.dtypes import float32, float64, int8, int64
from rushlight.ir.extents import symbol
from rushlight.ir.graph import elementwise


def step(node, integers=()):
    """The one step that makes a node."""
    one, = compiled([node], integers).plan.steps
    return one


def nest(node, integers=()):
    return step(node, integers).nest


def text(node, integers=()):
    """Its loops without the sizes of vectors, which differ from one processor to another, and those of tasks."""
    lines = [re.sub(r"tasks of \d+", "tasks of <some>", line) for line in loops_of(step(node, integers), integers) if not line.startswith("note")]
    return "\n".join(lines).replace(" by 16:", ":").replace(" by 32:", ":")


def test_rows_without_gaps_are_one_loop():
    assert text(elementwise("exp", graph.leaf(0, (4, 8), float32))) == """\
for i < 32:
  out0[i] = exp(leaf0[i])"""


def test_an_innermost_axis_that_fills_no_vector_is_not_the_one_that_goes_by_vectors():
    shuffled = graph.permute(graph.reshape(graph.leaf(0, (2, 100), float32), (2, 100)), (1, 0))
    assert text(elementwise("exp", shuffled)) == """\
for i < 2:    tasks of <some>
  for j < 100:
    out0[2*j + i] = exp(leaf0[100*i + j])"""
    assert text(elementwise("exp", graph.permute(graph.leaf(0, (2, 3), float32), (1, 0)))).endswith("out0[2*i + j] = exp(leaf0[3*j + i])")


def test_tiles_are_mirrored_where_neighbours_lie_the_other_way_round():
    for n, m in ((70, 90), (9, 200), (64, 64), (1, 33), (130, 8)):
        for dtype in (float32, float64, int8):
            x, array = graph.leaf(0, (n, m), dtype), numbers(n, m, dtype=int64).astype(dtype.numpy)
            for flipped in ((0,), (1,), (0, 1)):
                got, = run([graph.flip(graph.permute(x, (1, 0)), flipped)], [array])
                np.testing.assert_array_equal(got, np.flip(array.T, flipped))
    mirrored = nest(graph.flip(graph.permute(graph.leaf(0, (70, 90), float32), (1, 0)), (0,)))
    assert "mirrored" in canonical(mirrored)[0] and "mirrored" not in canonical(nest(graph.permute(graph.leaf(0, (70, 90), float32), (1, 0))))[0]


def test_a_sliced_matrix_stays_two_loops_and_says_why():
    sliced = elementwise("exp", graph.slice(graph.leaf(0, (4, 8), float32), (0, 0), (4, 6)))
    assert text(sliced) == """\
for i < 4:    tasks of <some>
  for j < 6:
    out0[6*i + j] = exp(leaf0[8*i + j])"""
    assert nest(sliced).notes == ["two loops stay two: an operand has a gap between its rows"]


def test_a_long_loop_is_cut_into_tasks():
    n, m = symbol(0, 100), symbol(1, 50)
    assert text(elementwise("exp", graph.leaf(0, (n, m), float32)), (100, 50)) == """\
for i < ((32767 + n0*n1) // (32768)):    tasks of <some>
  for 32768*i <= j < min(32768*i + 32768, n0*n1):
    out0[j] = exp(leaf0[j])"""


def test_what_no_cache_would_keep_is_written_past_them_wherever_it_begins():
    size = host().streamed_bytes // 8
    root = elementwise("neg", graph.leaf(0, (symbol(0, size),), float32))
    program = compiled([root], (size,))
    assert program.plan.steps[0].nest.streams and "note: written past the caches" in program.explain((size,))
    source = np.arange(size, dtype=np.float32)
    for count, shift in ((size, 0), (size - 5, 0), (size - 16, 1), (100, 0)):  # the last is small, though its code is the same
        room = np.full(count + 64, 7, np.float32)
        start = -room.ctypes.data % 64 // 4 + shift
        program.run((source.ctypes.data,), (room.ctypes.data + 4 * start,), (), (count,))
        np.testing.assert_array_equal(room[start:start + count], -source[:count])
        assert (room[:start] == 7).all() and (room[start + count:] == 7).all()


def test_what_is_small_or_written_over_its_input_goes_through_the_caches():
    size = host().streamed_bytes // 8
    assert not nest(elementwise("neg", graph.leaf(0, (1000,), float32))).streams
    over = graph.leaf(0, (size,), float32, storage=0)
    step, = compile_program([Output(elementwise("neg", over), None, 0)]).plan.steps
    assert not step.nest.streams


def test_a_running_sum_along_rows_goes_from_turn_to_turn_in_the_wider_float():
    n, m = symbol(0, 100), symbol(1, 50)
    assert text(graph.scan("sum", graph.leaf(0, (n, m), float32), 1), (100, 50)) == """\
for i < n0:    tasks of <some>
  a = nothing yet, for sum
  for j < n1:
    e0 = a + float64(leaf0[n1*i + j])
    a = e0
    out0[n1*i + j] = float32(e0)"""


def test_a_running_sum_down_columns_keeps_a_row_in_scratch():
    n, m = symbol(0, 100), symbol(1, 50)
    assert text(graph.scan("max", graph.leaf(0, (n, m), float32), 0), (100, 50)) == """\
for i < ((255 + n1) // (256)):    tasks of <some>
  for 256*i <= j < min(256*i + 256, n1):
    row0[j + -256*i] = -inf
  for k < n0:
    for 256*i <= j < min(256*i + 256, n1):
      e0 = maximum(row0[j + -256*i], leaf0[n1*k + j])
      row0[j + -256*i] = e0
      out0[n1*k + j] = e0"""


def test_nests_that_differ_in_sizes_only_are_one_text():
    def of(*shape):
        return canonical(nest(elementwise("exp", graph.slice(graph.leaf(0, (shape[0], shape[1] + 2), float32), (0, 0), shape))))[0]
    assert of(4, 60) == of(9, 310)


def test_nests_that_differ_in_what_they_compute_are_two_texts():
    x = graph.leaf(0, (4, 8), float32)
    texts = {canonical(nest(elementwise(name, x)))[0] for name in ("exp", "log", "neg")}
    assert len(texts) == 3


def test_the_order_of_a_sum_along_rows_follows_from_the_length_alone():
    """Lane l of 16 adds up the elements l, l + 16, ...; the lanes are folded in halves."""
    row = numbers(1, 77)[0]
    lanes = np.zeros(16, np.float32)
    for start in range(0, 77, 16):
        part = row[start:start + 16]
        lanes[:len(part)] += part
    while len(lanes) > 1:
        lanes = lanes[:len(lanes) // 2] + lanes[len(lanes) // 2:]
    for rows in (1, 3, 500):
        x = graph.leaf(0, (rows, 77), float32)
        alone = graph.reduce("sum", x, (1,))
        beside = graph.reduce("sum", elementwise("exp", x), (1,))
        for roots in ([alone], [alone, beside]):
            result = launch(compiled(roots), roots, [np.tile(row, (rows, 1))])[0]
            assert set(result.tolist()) == {lanes[0].item()}


def test_the_order_of_a_sum_down_columns_is_row_after_row():
    x = numbers(100, 33)
    total = np.zeros(33, np.float32)
    for row in x:
        total += row
    roots = [graph.reduce("sum", graph.leaf(0, (100, 33), float32), (0,))]
    np.testing.assert_array_equal(launch(compiled(roots), roots, [x])[0], total)


def test_values_scattered_to_one_place_are_added_in_their_order():
    values = numbers(200, 3)
    total = np.zeros(3, np.float32)
    for row in values:
        total += row
    x, i = spread(graph.constant(0, float32), (5, 3)), graph.leaf(0, (200,), graph.dtypes.int64)
    roots = [graph.scatter("add", x, (i,), (0,), graph.leaf(1, (200, 3), float32))]
    result, = launch(compiled(roots), roots, [np.full(200, 4), values])
    np.testing.assert_array_equal(result[4], total)
    assert not result[:4].any()


def test_a_sum_of_floats_is_the_same_whether_a_permutation_is_pending_or_lies_in_memory():
    x = numbers(30, 50)
    pending = graph.permute(graph.leaf(0, (30, 50), float32), (1, 0))
    stored = graph.leaf(0, (50, 30), float32, (1, 50))
    for axes in ((0,), (1,), (0, 1)):
        sums = [[graph.reduce("sum", node, axes)] for node in (pending, stored)]
        first, second = (launch(compiled(roots), roots, [x])[0].tobytes() for roots in sums)
        assert first == second
