"""Loop nests: what they look like, and every kind of them against the reference interpreter.

Sizes are those around the vector length; a kernel's bits may not depend on the number of threads, so every program runs with one and
with two.
"""
import numpy as np
import pytest

from rushlight.compiler.native import threads
from rushlight.compiler.program import Output, compile_program
from rushlight.ir import dtypes, reference
from rushlight.ir.graph import (
    cast,
    cat,
    constant,
    elementwise,
    expand,
    flip,
    gather,
    iota,
    leaf,
    pad,
    permute,
    reduce,
    reshape,
    slice,
)

SIZES = [0, 1, 15, 16, 17, 31, 32, 33, 1000]
ALL_DTYPES = [dtypes.bool_, dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64, dtypes.float16, dtypes.bfloat16,
              dtypes.float32, dtypes.float64]


def numbers(shape, dtype=dtypes.float32, seed=0):
    x = np.random.default_rng(seed).standard_normal(shape) * 3
    return (x > 0 if dtype is dtypes.bool_ else np.abs(x * 5) if dtype.kind == "u" else x).astype(dtype.numpy)


def leaf_of(number, array, dtype=dtypes.float32):
    return leaf(number, array.shape, dtype, tuple(s // array.itemsize for s in array.strides))


def run(node, arrays):
    """The value of a node by its compiled program, the same with one thread and with two."""
    program = compile_program([Output(node)])
    results, before = [], threads.get_num_threads()
    try:
        for count in (1, 2):
            threads.set_num_threads(count)
            results.append(np.full(node.shape, 77, node.dtype.numpy))
            program.run(tuple(a.ctypes.data for a in arrays), (results[-1].ctypes.data,), (), ())
    finally:
        threads.set_num_threads(before)
    assert results[0].tobytes() == results[1].tobytes()
    return results[0]


def check(node, *arrays, close=0.0):
    expected, = reference.evaluate([node], dict(enumerate(arrays)), (), ())
    result = run(node, arrays)
    if close:
        np.testing.assert_allclose(result.astype(np.float64), np.asarray(expected).astype(np.float64), rtol=close, atol=close)
    else:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 100])
def test_long_chains_of_large_elements_go_by_half_as_many(n):
    x = np.linspace(-3, 3, 3 * n).reshape(3, n)
    a = leaf(0, x.shape, dtypes.float64)
    check(elementwise("mul", elementwise("exp", a), elementwise("tanh", elementwise("mul", a, a))), x, close=1e-14)


def row(x, shape):
    return expand(reshape(x, (*(1,) * (len(shape) - 1), shape[-1])), shape)


def column(x, shape):
    return expand(reshape(x, (*shape[:-1], 1)), shape)


# ---------------------------------------------------------------------------------------------------------------------
# What they look like

def loops_of(node):
    """The pseudo-code of the kernels of a node, without the facts about bytes and times."""
    lines = compile_program([Output(node)]).explain(()).splitlines()
    return [line[8:] for line in lines if line.startswith("        ") and "operations" not in line and " = " not in line[:20]
            or line.startswith("        ") and ("[" in line.split("=")[0])]


def test_a_transposed_operand_is_read_through_transposed_tiles():
    x, y = leaf(0, (300, 200), dtypes.float32), leaf(1, (200, 300), dtypes.float32)
    assert loops_of(elementwise("add", permute(x, (1, 0)), y)) == [
        "for i < 4:    tasks of 8",
        "  for j < 5:",
        "    transpose row0[k, l] = leaf0[200*l + k]",
        "    for 64*i <= k < min(64*i + 64, 200):",
        "      for 64*j <= l < min(64*j + 64, 300) by 16:",
        "        out0[300*k + l] = row0[64*k + -4096*i + l + -64*j] + leaf1[300*k + l]",
        "note: two loops stay two: an operand has a gap between its rows",
    ]


def test_an_operand_across_the_rows_of_a_sum_is_transposed_by_a_kernel_of_its_own():
    x, y = leaf(0, (80, 90), dtypes.float32), leaf(1, (90, 80), dtypes.float32)
    lines = loops_of(reduce("sum", elementwise("mul", permute(x, (1, 0)), y), (1,)))
    assert [line.strip() for line in lines if "[" in line] == [
        "transpose row0[k, l] = leaf0[90*l + k]", "t0[80*k + l] = row0[64*k + -4096*i + l + -64*j]",
        "a <- sum (t0[80*i + j] * leaf1[80*i + j])", "out0[i] = a"]


def test_long_chains_over_many_elements_take_two_vectors_a_turn():
    def step(name, shape):
        return loops_of(elementwise(name, slice(leaf(0, (*shape[:-1], shape[-1] + 1), dtypes.float32), (0, 0), shape)))[1].split()[-1]
    assert step("tanh", (100, 1000)) == "32:"
    assert step("neg", (100, 1000)) == "16:"
    assert step("tanh", (3, 1000)) == "16:"
    assert step("tanh", (9000, 10)) == "16:"


def test_dear_work_is_cut_into_smaller_tasks():
    def elements(node):
        return int(loops_of(node)[0].split("< ")[1].split(":")[0])
    x = leaf(0, (1 << 20,), dtypes.float32)
    assert elements(elementwise("tanh", x)) > elements(elementwise("neg", x))


# ---------------------------------------------------------------------------------------------------------------------
# What they compute

@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda d: d.name)
def test_a_map_of_every_dtype(dtype, n):
    a, b = numbers(n, dtype), numbers(n, dtype, 1)
    check(elementwise("maximum", leaf_of(0, a, dtype), leaf_of(1, b, dtype)), a, b)


@pytest.mark.parametrize("n", [*SIZES, *(20000 + n for n in SIZES)])
def test_a_chain_long_enough_for_wide_turns(n):
    x = numbers(n)
    a = leaf_of(0, x)
    check(elementwise("add", elementwise("exp", elementwise("tanh", a)), a), x, close=1e-6)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", ["sum", "max", "min", "argmax", "argmin"])
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.int32, dtypes.int64, dtypes.float64], ids=lambda d: d.name)
def test_reductions_of_rows_and_columns(dtype, name, n):
    if n == 0 and name != "sum":
        return
    for shape, axis in [((3, n), 1), ((n, 3), 0), ((n, 40), 0), ((5, n, 2), 1)]:
        x = numbers(shape, dtype)
        check(reduce(name, leaf_of(0, x, dtype), (axis,)), x, close=1e-5)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 33, 1000])
def test_argmax_of_equals_infinities_and_nan(n):
    for fill in (-np.inf, 1.0, np.nan):
        x = np.full((2, n), fill, np.float32)
        x[1, n // 2:] = np.nan
        for name in ("argmax", "argmin"):
            check(reduce(name, leaf_of(0, x), (1,)), x)


def test_argmax_over_two_dimensions_apart():
    x = numbers((7, 4, 10))
    check(reduce("argmax", leaf_of(0, x), (0, 2)), x)


@pytest.mark.parametrize("n", SIZES[1:])
def test_softmax(n):
    for rows in (1, 5, 70, 20000 // n + 1):
        x = numbers((rows, n))
        a = leaf_of(0, x)
        e = elementwise("exp", elementwise("sub", a, column(reduce("max", a, (1,)), x.shape)))
        check(elementwise("div", e, column(reduce("sum", e, (1,)), x.shape)), x, close=1e-6)


@pytest.mark.parametrize("n", SIZES)
def test_broadcast_rows_and_columns(n):
    x, r, c = numbers((7, n)), numbers(n, seed=1), numbers(7, seed=2)
    check(elementwise("mul", elementwise("add", leaf_of(0, x), row(leaf_of(1, r), x.shape)), column(leaf_of(2, c), x.shape)), x, r, c)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda d: d.name)
def test_transposed_operands(dtype, n):
    for m in (1, 16, 37):
        x, y = numbers((n, m), dtype), numbers((m, n), dtype, 1)
        check(permute(leaf_of(0, x, dtype), (1, 0)), x)
        check(elementwise("maximum", permute(leaf_of(0, x, dtype), (1, 0)), leaf_of(1, y, dtype)), x, y)


@pytest.mark.parametrize("order", [(0, 2, 1, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2), (0, 3, 1, 2)])
def test_permutations(order):
    x = numbers((3, 18, 5, 35))
    check(permute(leaf_of(0, x), order), x)
    y = numbers([x.shape[d] for d in order], seed=1)
    check(elementwise("exp", elementwise("sub", permute(leaf_of(0, x), order), leaf_of(1, y))), x, y, close=1e-6)
    z = permute(leaf_of(0, x), order)
    check(elementwise("add", z, row(reduce("sum", z, (0, 1, 2)), z.shape)), x, close=1e-4)


def test_leaves_with_strides():
    base = numbers((70, 90))
    for x in (base[:, 10:60], base[::2, ::3], base.T, base.T[3:40, ::2], base[::-1][::1][:5].copy()[:, ::7], base[:, :1], base[:, 5:6].T):
        a = leaf_of(0, x)
        check(elementwise("add", a, constant_like(1.0, a)), x)
        check(reduce("sum", a, (0,)), x, close=1e-5)
        check(reduce("max", a, (1,)), x)


def constant_like(value, x):
    return expand(reshape(constant(value, x.dtype), (1,) * x.ndim), x.shape)


@pytest.mark.parametrize("n", SIZES[1:])
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.int8, dtypes.int64], ids=lambda d: d.name)
def test_padding_joining_and_flipping(dtype, n):
    x = numbers((3, n), dtype)
    a = leaf_of(0, x, dtype)
    check(pad(a, ((1, 0), (2, 3)), 1), x)
    check(cat((a, flip(a, (1,)), a), 1), x)
    check(cat((a, a), 0), x)
    check(slice(a, (0, n // 3), (3, n - n // 3)), x)
    check(pad(permute(a, (1, 0)), ((2, 1), (0, 4)), 0), x)


@pytest.mark.parametrize("n", SIZES[1:])
def test_gathers(n):
    x, i = numbers((20, n)), np.random.default_rng(0).integers(0, 20, n)
    a, index = leaf_of(0, x), leaf_of(1, i, dtypes.int64)
    check(gather(a, (index,), (0,)), x, i)
    check(gather(a, (index, iota(n)), (0, 1)), x, i)


@pytest.mark.parametrize("source", ALL_DTYPES, ids=lambda d: d.name)
def test_casts(source):
    x = numbers(100, source)
    for target in ALL_DTYPES:
        check(cast(leaf_of(0, x, source), target), x)


def test_a_result_written_over_its_operands():
    p, g = numbers(1003), numbers(1003, seed=1)
    a, b = leaf(0, p.shape, dtypes.float32, storage=0), leaf(1, p.shape, dtypes.float32, storage=1)
    total, product = elementwise("add", a, b), elementwise("mul", a, b)
    program = compile_program([Output(total, storage=0), Output(product, storage=1)])
    expected = p + g, p * g
    program.run((p.ctypes.data, g.ctypes.data), (p.ctypes.data, g.ctypes.data), (), ())
    np.testing.assert_array_equal(p, expected[0])
    np.testing.assert_array_equal(g, expected[1])
