"""Convolutions as they are compiled: every kernel, stride, dilation and group against the reference, what they read, write and keep, and
that bits and code do not depend on what they should not."""
import itertools

import numpy as np
import pytest
from families import agree, compiled, launch, numbers, run

from rushlight.compiler import depthwise, explain
from rushlight.compiler.native import jit, target, threads
from rushlight.compiler.rewrites import rewrite
from rushlight.ir import graph, reference
from rushlight.ir.dtypes import bfloat16, float16, float32, float64, int8, int32
from rushlight.ir.extents import symbol
from rushlight.ir.graph import elementwise


@pytest.fixture
def restore_threads():
    count = threads.get_num_threads()
    yield
    threads.set_num_threads(count)


def pair(x, w, counts, stride, dilation, before, groups, dtype=float32):
    """A convolution and the correlation that is its weights' gradient, and their leaves."""
    image, weights = graph.leaf(0, x, dtype), graph.leaf(1, w, dtype)
    results = graph.leaf(2, (x[0], w[0], *counts), dtype)
    how = stride, dilation, before, groups
    return [graph.convolution(image, weights, counts, *how), graph.correlation(results, image, w[2:], *how)], [
        numbers(*x, dtype=dtype), numbers(*w, dtype=dtype, seed=1), numbers(x[0], w[0], *counts, dtype=dtype, seed=2)]


def compare(roots, leaves):
    """Against the reference, as far as sums of so many numbers can agree."""
    for result, wanted in zip(run(roots, leaves), reference.evaluate(roots, dict(enumerate(leaves)))):
        size = max(np.abs(wanted).max(initial=0), 1)
        np.testing.assert_allclose(result / size, wanted / size, rtol=0, atol=1e-6)


CASES = {
    "a row": ((2, 3, 7), (8, 3, 3), (5,), (1,), (1,), (0,), 1),
    "rows that are runs of memory": ((3, 9, 11, 13), (16, 9, 3, 3), (11, 13), (1, 1), (1, 1), (1, 1), 1),
    "rows that end in the image": ((2, 5, 12, 21), (8, 5, 3, 5), (10, 17), (1, 1), (1, 1), (0, 0), 1),
    "every other place": ((2, 6, 17, 38), (9, 6, 3, 3), (9, 19), (2, 2), (1, 1), (1, 1), 1),
    "every third, of places apart": ((2, 6, 23, 31), (12, 3, 3, 2), (8, 10), (3, 3), (2, 2), (2, 1), 2),
    "one place": ((3, 7, 6, 5), (10, 7, 1, 1), (3, 3), (2, 2), (1, 1), (0, 0), 1),
    "a volume": ((2, 4, 5, 6, 7), (10, 2, 3, 2, 3), (3, 7, 7), (2, 1, 1), (1, 1, 1), (1, 1, 1), 2),
    "mirrored": ((2, 5, 12, 11), (8, 5, 3, 3), (12, 11), (1, 1), (-3, -1), (-3, -1), 1),
    "mirrored, every other row": ((2, 3, 5, 9, 11), (6, 3, 3, 3, 2), (5, 3, 11), (1, 3, 1), (-2, -1, -4), (-2, -1, -3), 1),
    "beyond the image on all sides": ((1, 3, 4, 5), (8, 3, 3, 3), (17, 23), (1, 1), (1, 1), (9, 7), 1),
    "cut off": ((2, 3, 30, 30), (8, 3, 3, 3), (20, 22), (1, 1), (1, 1), (-4, -5), 1),
    "images smaller than a vector": ((9, 8, 2, 3), (16, 8, 3, 3), (2, 3), (1, 1), (1, 1), (1, 1), 1),
    "several blocks of k": ((2, 150, 9, 9), (40, 150, 3, 3), (9, 9), (1, 1), (1, 1), (1, 1), 1),
    "a large kernel": ((1, 3, 40, 20), (7, 3, 31, 11), (40, 20), (1, 1), (1, 1), (15, 5), 1),
    "each channel by itself": ((2, 6, 20, 21), (12, 1, 5, 3), (10, 7), (2, 3), (1, 1), (1, 1), 6),
    "each channel of a volume": ((2, 6, 4, 20, 21), (18, 1, 5, 3, 2), (3, 10, 7), (1, 2, 3), (2, 1, 1), (3, 1, 1), 6),
    "each channel of a large image": ((1, 2, 50, 70), (2, 1, 3, 3), (50, 70), (1, 1), (1, 1), (1, 1), 2),
    "few results of many channels": ((2, 70, 7, 5), (3, 70, 3, 3), (7, 5), (1, 1), (1, 1), (1, 1), 1),
    "no image": ((0, 3, 7, 5), (8, 3, 3, 3), (7, 5), (1, 1), (1, 1), (1, 1), 1),
    "no image, each channel by itself": ((0, 3, 7, 5), (3, 1, 3, 3), (7, 5), (1, 1), (1, 1), (1, 1), 3),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_form_gives_what_the_reference_says(case):
    compare(*pair(*case))


@pytest.mark.parametrize("dtype", [float64, float16, bfloat16, int8, int32], ids=lambda d: d.name)
@pytest.mark.parametrize("groups", [1, 6])
def test_every_dtype(dtype, groups):
    roots, leaves = pair((2, 6, 7, 9), (12, 6 // groups, 3, 3), (7, 9), (1, 1), (1, 1), (1, 1), groups, dtype)
    agree(roots, run(roots, leaves), leaves)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[1::4])
def test_operands_are_read_as_they_lie(order):
    """Permuted in memory; no copy is made of images and weights."""
    back = tuple(order.index(d) for d in range(4))
    x, w = (graph.permute(graph.leaf(i, tuple(shape[d] for d in order), float32), back) for i, shape in ((0, (2, 6, 9, 10)), (1, (8, 6, 3, 3))))
    root = graph.convolution(x, w, (9, 10), (1, 1), (1, 1), (1, 1), 1)
    leaves = [numbers(*n.inputs[0].shape, seed=s) for s, n in enumerate((x, w))]
    agree([root], run([root], leaves), leaves)
    assert len(compiled([root]).plan.steps) == 1


def test_no_windows_are_written_to_memory():
    roots, _ = pair((2, 8, 9, 9), (16, 8, 3, 3), (9, 9), (1, 1), (1, 1), (1, 1), 1)
    assert compiled(roots).plan.arena == []


def test_what_follows_is_done_with_each_finished_tile():
    x, w, b, other = (graph.leaf(i, s, float32) for i, s in enumerate(((2, 8, 9, 7), (16, 8, 3, 3), (16,), (2, 16, 9, 7))))
    y = graph.convolution(x, w, (9, 7), (1, 1), (1, 1), (1, 1), 1)
    row = graph.expand(graph.reshape(b, (1, 16, 1, 1)), y.shape)
    root = elementwise("maximum", elementwise("add", elementwise("mul", y, row), other), row)
    leaves = [numbers(*n.shape, seed=i) for i, n in enumerate((x, w, b, other))]
    agree([root], run([root], leaves), leaves)
    step, = compiled([root]).plan.steps
    assert step.name == "convolution+maximum"


def test_nan_and_infinity_stay_where_windows_meet_them():
    """Zeros around the image are never multiplied by what lies elsewhere in memory, nor one image by the next."""
    x, w = np.ones((2, 3, 5, 6), np.float32), np.ones((8, 3, 3, 3), np.float32)
    x[0, 1, 2, 5], x[1, 0, 4, 0] = np.nan, np.inf
    root = graph.convolution(graph.leaf(0, x.shape, float32), graph.leaf(1, w.shape, float32), (5, 6), (1, 1), (1, 1), (1, 1), 1)
    y, = run([root], [x, w])
    near = np.zeros((2, 5, 6), bool)
    near[0, 1:4, 4:], near[1, 3:, :2] = True, True
    assert (np.isfinite(y) == ~near[:, None]).all()


PARTS = {"16 parts": ((37, 3, 16, 15), (8, 3, 3, 3)), "4 parts, the last one smaller": ((9, 30, 16, 16), (130, 30, 3, 3)),
         "each channel by itself": ((33, 4, 17, 17), (4, 1, 3, 3)), "one image short of a part": ((4, 64, 23, 25), (64, 64, 3, 3))}


@pytest.mark.parametrize("x, w", PARTS.values(), ids=PARTS)
def test_few_sums_over_many_images_are_made_in_parts(x, w):
    (_, root), leaves = pair(x, w, x[2:], (1, 1), (1, 1), (1, 1), x[1] // w[1])
    total, = rewrite([root])
    assert total.primitive == "reduce.sum" and total.inputs[0].primitive == "correlations"
    compare([root], leaves)


def test_many_sums_are_not_cut():
    (_, root), _ = pair((32, 200, 9, 9), (200, 200, 3, 3), (9, 9), (1, 1), (1, 1), (1, 1), 1)
    assert rewrite([root]) == [root]


SAME = {"packed": ((5, 40, 14, 15), (70, 40, 3, 3), 1), "depthwise": ((20, 40, 14, 15), (80, 1, 3, 3), 40), "grouped": ((3, 12, 30, 31), (48, 6, 3, 3), 2)}


@pytest.mark.parametrize("x, w, groups", SAME.values(), ids=SAME)
def test_the_same_bits_with_one_thread_and_two_fused_and_not(x, w, groups, restore_threads):
    roots, leaves = pair(x, w, x[2:], (1, 1), (1, 1), (1, 1), groups)
    roots = [elementwise("mul", r, r) for r in roots]
    results = []
    for fuse, count in itertools.product((True, False), (1, 2)):
        threads.set_num_threads(count)
        results.append([r.tobytes() for r in launch(compiled(roots, fuse=fuse), roots, leaves)])
    assert results[1:] == results[:1] * 3


def test_results_do_not_depend_on_whether_windows_are_packed(monkeypatch):
    """Weights may lie so that they have to be packed: the numbers are those of the form that packs nothing."""
    roots, leaves = pair((3, 12, 14, 15), (12, 3, 3, 3), (14, 15), (1, 1), (1, 1), (1, 1), 4)
    straight, = run(roots[:1], leaves)
    monkeypatch.setattr(depthwise, "MOST_ROWS", 0)
    assert run(roots[:1], leaves)[0].tobytes() == straight.tobytes()


@pytest.mark.parametrize("groups", [1, 8])
def test_an_image_gives_the_same_bits_in_a_batch_and_alone(groups):
    roots, leaves = pair((5, 8, 11, 13), (16, 8 // groups, 3, 3), (11, 13), (1, 1), (1, 1), (1, 1), groups)
    together, = run(roots[:1], leaves)
    for i in range(5):
        alone, _ = pair((1, 8, 11, 13), (16, 8 // groups, 3, 3), (11, 13), (1, 1), (1, 1), (1, 1), groups)
        assert run(alone[:1], [leaves[0][i:i + 1].copy(), leaves[1]])[0].tobytes() == together[i].tobytes()


def test_one_code_for_all_sizes_kernels_strides_and_dilations(monkeypatch):
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", "")
    texts, compile = [], jit.compile

    def noted(text, *more, **rest):
        texts.append(text)
        return compile(text, *more, **rest)
    shapes = [((1, 9, 7, 8), (24, 9, 3, 3), (7, 8), (1, 1), (1, 1), (1, 1), 1), ((2, 11, 9, 30), (25, 11, 5, 2), (3, 7), (2, 3), (1, 2), (0, 1), 1),
              ((4, 20, 40), (30, 20, 7), (38,), (1,), (1,), (2,), 1)]
    run(*pair(*shapes[0]))
    monkeypatch.setattr(jit, "compile", noted)
    for shape in shapes[1:]:
        roots, leaves = pair(*shape)
        compare(roots[:1], leaves)
    assert texts == []


def test_extents_may_be_run_time_numbers():
    n, h, c = symbol(0, 3), symbol(1, 10), symbol(2, 5)
    x, w = graph.leaf(0, (n, c, h, 9), float32), graph.leaf(1, (12, c, 3, 3), float32)
    root = graph.convolution(x, w, (h, 9), (1, 1), (1, 1), (1, 1), 1)
    program = compiled([root], (3, 10, 5))
    for integers in ((3, 10, 5), (2, 17, 5), (5, 4, 40)):
        leaves = [numbers(integers[0], integers[2], integers[1], 9), numbers(12, integers[2], 3, 3)]
        agree([root], launch(program, [root], leaves, (), integers), leaves, (), integers)


def test_explain_counts_its_operations():
    roots, _ = pair((2, 8, 9, 9), (16, 8, 3, 3), (9, 9), (1, 1), (1, 1), (1, 1), 1)
    assert [explain.operations(s, ()) for s in compiled(roots).plan.steps] == [2 * 2 * 16 * 81 * 8 * 9] * 2


@pytest.mark.parametrize("machine", [target.x86_64("avx512"), target.x86_64("sse2"), target.aarch64()], ids=lambda t: t.level)
def test_other_processors_get_code_for_it(machine, monkeypatch):
    from rushlight.compiler import convolution, microkernel, products
    from rushlight.compiler.program import Output, schedule
    monkeypatch.setattr(convolution, "host", lambda: machine)
    monkeypatch.setattr(products, "host", lambda: machine)
    monkeypatch.setattr(microkernel, "panel_address", lambda *_: 0)
    for groups in (1, 8):
        roots, _ = pair((2, 8, 9, 9), (16, 8 // groups, 3, 3), (9, 9), (1, 1), (1, 1), (1, 1), groups)
        for step in schedule([Output(r) for r in roots]).steps:
            source = convolution.Convolution(step.node, step.a, step.b, step.nest)
            _, slots = source.canonical()
            assert "kernel:" in jit.emit_assembly(source.emit(slots), machine)
