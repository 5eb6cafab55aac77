"""Whole programs from graphs: every primitive against the reference interpreter, and what a program promises whatever its size."""
import gc
import os
import shutil
import subprocess
import sys
import weakref

import families
import numpy as np
import pytest
from families import FAMILIES, agree, compiled, launch, numbers, run
from hypothesis import given, settings
from hypothesis import strategies as st

import rushlight
from rushlight.compiler import kernels as kernel_code
from rushlight.compiler import program as programs
from rushlight.compiler.native import jit, target, threads
from rushlight.compiler.program import Output, compile_cold, compile_program
from rushlight.compiler.stepwise import Stepwise
from rushlight.ir import dtypes, graph
from rushlight.ir.dtypes import bfloat16, bool_, float16, float32, float64, int8, int32, int64, uint8
from rushlight.ir.extents import Assumptions, symbol
from rushlight.ir.graph import ELEMENTWISE, elementwise

HERE = os.path.dirname(__file__)
EXTENTS = st.sampled_from([0, 1, 2, 3, 5, 7, 16, 17, 33])
SEEDS = st.integers(0, 1000)
few = settings(max_examples=25, deadline=None)


@pytest.fixture
def restore_threads():
    count = threads.get_num_threads()
    yield
    threads.set_num_threads(count)


@pytest.fixture
def counted(monkeypatch):
    """A list that gets an entry for every text that goes to LLVM; the disk has none."""
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", "")
    texts, compile = [], jit.compile
    monkeypatch.setattr(jit, "compile", lambda text, *a, **k: texts.append(text) or compile(text, *a, **k))
    return texts


def shapes(least, most):
    return st.lists(EXTENTS, min_size=least, max_size=most).map(tuple)


def special(shape, dtype, seed):
    """Numbers with repeats, NaN, both zeros and both infinities among them."""
    random = np.random.default_rng(seed)
    if dtype.kind != "f":
        return random.integers(0 if dtype.kind in "ub" else -3, 2 if dtype.kind == "b" else 4, shape).astype(dtype.numpy)
    choice = np.array([np.nan, -0.0, 0.0, np.inf, -np.inf, 1.0, 1.0, -1.0, 0.5, -2.0], np.float32)
    return choice[random.integers(0, len(choice), shape)].astype(dtype.numpy)


def strided(array, step):
    """(the same numbers with gaps between the rows and columns, their strides in elements)."""
    if array.ndim == 0 or array.size == 0:
        return array, graph.row_major(array.shape)
    wide = np.zeros([n * step for n in array.shape], array.dtype)
    view = wide[tuple(slice(None, None, step) for _ in array.shape)]
    view[...] = array
    return view, tuple(s // array.itemsize for s in view.strides)


def compare(roots, leaves, **rest):
    agree(roots, run(roots, leaves, **rest), leaves)


# ---------------------------------------------------------------------------------------------------------------------
# Every primitive

@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("n, m", [(1, 1), (2, 17), (67, 131)])
def test_every_family_gives_what_the_reference_says(build, n, m):
    roots, leaves = build(n, m)
    compare(roots, leaves)


@pytest.mark.parametrize("names", [[n for n in ELEMENTWISE if len(n) % 4 == part] for part in range(4)])
def test_every_elementwise_primitive_is_compiled(names):
    a, b = (graph.leaf(i, (3, 7), float64) for i in range(2))
    real = [n for n in names if n not in ("and", "or", "xor", "not", "shift_left", "shift_right", "where", "conj")]
    roots = [elementwise(n, *(a, b, a)[:ELEMENTWISE[n]]) for n in real]
    i, j = (graph.leaf(2 + k, (3, 7), int32) for k in range(2))
    whole = [n for n in names if n in ("and", "or", "xor", "not", "shift_left", "shift_right")]
    roots += [elementwise(n, *(i, j)[:ELEMENTWISE[n]]) for n in whole]
    leaves = [0.25 + np.abs(numbers(3, 7, dtype=float64)) / 8, 0.25 + np.abs(numbers(3, 7, dtype=float64, seed=1)) / 8,
              numbers(3, 7, dtype=int32), numbers(3, 7, dtype=int32, seed=1) % 31]
    compare(roots, leaves)


@few
@given(shapes(1, 3), st.sampled_from(dtypes.ALL[:10]), st.sampled_from(dtypes.ALL[:10]), st.integers(1, 3), SEEDS)
def test_casts_of_strided_memory(shape, source, result, step, seed):
    array, strides = strided(special(shape, source, seed), step)
    if source.kind == "f" and result.kind != "f":  # what does not fit is nobody's promise
        array[...] = np.nan_to_num(array.astype(np.float32), nan=1, posinf=2, neginf=3 if result.kind == "u" else -2)
        if result.kind == "u":
            array[...] = np.abs(array.astype(np.float32)).astype(array.dtype)
    compare([graph.cast(graph.leaf(0, shape, source, strides), result)], [array])


@st.composite
def movements(draw, shape):
    """A leaf moved about some times."""
    node = graph.leaf(0, shape, int32)
    for _ in range(draw(st.integers(1, 4))):
        n = node.shape
        kind = draw(st.sampled_from(["permute", "flip", "pad", "slice", "reshape", "expand", "cat"]))
        if kind == "permute":
            node = graph.permute(node, draw(st.permutations(range(len(n)))))
        elif kind == "flip":
            node = graph.flip(node, draw(st.sets(st.integers(0, len(n) - 1))))
        elif kind == "pad":
            node = graph.pad(node, [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in n], 9)
        elif kind == "slice":
            steps = [draw(st.integers(1, 2)) for _ in n]
            starts = [draw(st.integers(0, max(0, k - 1))) for k in n]
            node = graph.slice(node, starts, [-(-max(0, k - b) // s) for k, b, s in zip(n, starts, steps)], steps)
        elif kind == "reshape":
            node = graph.reshape(node, draw(st.sampled_from([(int(np.prod(n)),), (*n, 1), (1, *n), (*n[:-2], int(np.prod(n[-2:])))])))
        elif kind == "expand":
            node = graph.expand(graph.reshape(node, (1, *n)), (3, *n))
        else:
            node = graph.cat((node, node), draw(st.integers(0, len(n) - 1)))
    return node


@settings(max_examples=60, deadline=None)
@given(shapes(1, 3).flatmap(movements), SEEDS, st.booleans())
def test_movement_in_any_order(node, seed, fuse):
    leaf = graph.topological([node])[0]
    compare([node, elementwise("add", node, node)], [special(leaf.shape, int32, seed)], fuse=fuse)


@few
@given(shapes(1, 3), st.sampled_from(["sum", "prod", "max", "min", "argmax", "argmin"]),
       st.sampled_from([float32, float64, float16, bfloat16, int64, uint8, bool_]), st.integers(1, 2), SEEDS, st.data())
def test_reductions_of_strided_memory(shape, name, dtype, step, seed, data):
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    values = special(shape, dtype, seed)
    if dtype.kind == "f" and name in ("sum", "prod"):
        values = np.nan_to_num(values.astype(np.float32), nan=1, posinf=0.5, neginf=-1).astype(dtype.numpy)
    if name not in ("sum", "prod") and any(shape[a] == 0 for a in axes):
        return  # has no answer
    array, strides = strided(values, step)
    compare([graph.reduce(name, graph.leaf(0, shape, dtype, strides), axes)], [array])


@pytest.mark.parametrize("name, shape, axes", [("sum", (3, 200_000), (1,)), ("sum", (1000, 37), (0,)), ("max", (70, 1, 3001), (0, 2)),
                                               ("prod", (300, 300), (0, 1))])
def test_long_reductions_are_cut_and_right(name, shape, axes):
    x = graph.leaf(0, shape, float32)
    values = numbers(*shape) * np.float32(0.01 if name == "prod" else 1)
    compare([graph.reduce(name, elementwise("cos", x) if name == "prod" else x, axes)], [values])


@few
@given(EXTENTS, EXTENTS, EXTENTS, st.sampled_from([float32, float64, bfloat16, int32]), st.booleans(), st.booleans(),
       st.sampled_from([(), (2,), (2, 3)]))
def test_products_of_any_layout(m, k, n, dtype, turn_a, turn_b, batch):
    def operand(number, rows, columns, turn):
        if not turn:
            return graph.leaf(number, (*batch, rows, columns), dtype), numbers(*batch, rows, columns, dtype=dtype, seed=number)
        order = (*range(len(batch)), len(batch) + 1, len(batch))
        return graph.permute(graph.leaf(number, (*batch, columns, rows), dtype), order), numbers(*batch, columns, rows, dtype=dtype, seed=number)
    (a, x), (b, y) = operand(0, m, k, turn_a), operand(1, k, n, turn_b)
    compare([graph.contraction(a, b)], [x, y])


@few
@given(shapes(1, 3), st.sampled_from(["sum", "prod", "max", "min", "argmax", "argmin"]),
       st.sampled_from([float32, bfloat16, float64, int8, int64, bool_]), st.integers(1, 2), SEEDS, st.data())
def test_scans_along_any_axis(shape, name, dtype, step, seed, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    values = special(shape, dtype, seed)
    if dtype.kind == "f" and name in ("sum", "prod"):
        values = np.nan_to_num(values.astype(np.float32), nan=1, posinf=0.5, neginf=-1).astype(dtype.numpy)
    array, strides = strided(values, step)
    compare([graph.scan(name, graph.leaf(0, shape, dtype, strides), axis)], [array])


@few
@given(shapes(1, 3) | st.sampled_from([(65,), (2, 300), (100, 3)]), st.sampled_from(dtypes.ALL[:10]), st.booleans(), st.integers(1, 2), SEEDS, st.data())
def test_sorting_is_stable_along_any_axis(shape, dtype, descending, step, seed, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    array, strides = strided(special(shape, dtype, seed), step)
    x, count = graph.leaf(0, shape, dtype, strides), data.draw(st.integers(0, shape[axis]))
    compare([graph.argsort(x, axis, descending), graph.argsort(x, axis, descending, count)], [array])


@pytest.mark.parametrize("row", [np.arange(5000), -np.arange(5000), np.zeros(5000), np.arange(5000) % 7, np.sin(np.arange(5000.0) ** 2)])
@pytest.mark.parametrize("count", [1, 5, 100, 4999])
def test_the_first_of_long_rows_are_picked_out_in_whatever_order_they_come(row, count):
    for dtype in (float32, float64, int32, int64):
        x = graph.leaf(0, (3, 5000), dtype)
        compare([graph.argsort(x, 1, False, count), graph.argsort(x, 1, True, count)], [np.stack([row, row[::-1], row * 3]).astype(dtype.numpy)])


@few
@given(shapes(1, 3), st.lists(st.sampled_from([0, 1, 2, 9, 40]), max_size=2).map(tuple), st.sampled_from(["set", "add", "mul", "max", "min"]),
       st.sampled_from([float32, float64, float16, int32, int64, bool_]), st.booleans(), SEEDS, st.data())
def test_gather_and_scatter_at_places_that_repeat(shape, many, name, dtype, is_zero, seed, data):
    shape = tuple(max(1, n) for n in shape)
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    random = np.random.default_rng(seed)
    indices = [graph.leaf(2 + i, many, int64) for i in range(len(axes))]
    x = families.spread(graph.constant(0, dtype), shape) if is_zero else graph.leaf(0, shape, dtype)
    values = graph.leaf(1, (*many, *(n for d, n in enumerate(shape) if d not in axes)), dtype)
    leaves = [numbers(*shape, dtype=int64).astype(dtype.numpy), numbers(*values.shape, dtype=int64, seed=1).astype(dtype.numpy)]
    leaves = [np.asarray(a % 5).astype(dtype.numpy) if dtype.kind != "b" else np.asarray(a) for a in leaves]
    leaves += [np.asarray(random.integers(0, shape[a], many)) for a in axes]
    compare([graph.scatter(name, x, indices, axes, values), graph.gather(x, indices, axes)], leaves)


@settings(max_examples=60, deadline=None)
@given(shapes(1, 3).flatmap(movements), st.sampled_from(["sum", "max", "argmin"]), SEEDS, st.booleans(), st.data())
def test_kernels_that_go_in_order_read_what_was_moved_and_computed(node, name, seed, fuse, data):
    axis = data.draw(st.integers(0, node.ndim - 1))
    computed = elementwise("sub", node, elementwise("mul", node, node))
    roots = [graph.scan(name, computed, axis), graph.argsort(computed, axis, True)]
    if all(node.shape):
        roots.append(graph.reduce("argmax", computed, (axis,)))
        zeros = families.spread(graph.constant(0, int32), (4, *node.shape[1:]))
        places = elementwise("remainder", graph.iota(node.shape[0]), families.spread(graph.constant(4, int64), (node.shape[0],)))
        roots.append(graph.scatter("add", zeros, (places,), (0,), computed))
    leaf = graph.topological([node])[0]
    compare(roots, [special(leaf.shape, int32, seed)], fuse=fuse)


def test_scalars_extents_and_constants_arrive():
    x, n = graph.leaf(0, (symbol(0, 5),), float32), symbol(0, 5)
    s = families.spread(graph.cast(graph.scalar(0, float64), float32), (n,))
    size = families.spread(graph.cast(graph.extent_value(n * 2 + 1), float32), (n,))
    roots = [elementwise("fma", x, s, size)]
    array = numbers(5)
    agree(roots, run(roots, [array], [2.5], (5,)), [array], [2.5], (5,))


# ---------------------------------------------------------------------------------------------------------------------
# What a program promises

@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
def test_a_new_size_compiles_nothing(build, counted):
    roots, leaves = build(symbol(0, 13), symbol(1, 70))
    program = compiled(roots, (13, 70))
    before = len(counted)
    for n, m in [(13, 70), (2, 3), (37, 129), (300, 2)]:
        leaves = build(n, m)[1]
        agree(roots, launch(program, roots, leaves, (), (n, m)), leaves, (), (n, m))
    assert len(counted) == before


@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
def test_the_same_bits_with_one_thread_and_two_fused_and_not(build, restore_threads):
    roots, leaves = build(300, 210)
    results = []
    for fuse in (True, False):
        program = compiled(roots, fuse=fuse)
        for count in (1, 2):
            threads.set_num_threads(count)
            results.append([r.tobytes() for r in launch(program, roots, leaves)])
    assert results[1:] == results[:1] * 3


@pytest.mark.parametrize("build", FAMILIES.values(), ids=FAMILIES)
def test_a_graph_run_call_by_call_gives_the_bits_of_the_program(build):
    integers = (13, 70)
    roots, leaves = build(symbol(0, 13), symbol(1, 70))
    first = launch(compiled(roots, integers), roots, leaves, (), integers)
    with Assumptions((), integers):
        graph_of_calls = Stepwise([Output(r) for r in roots], graph.topological(roots), integers, compile_program)
        second = launch(graph_of_calls, roots, leaves, (), integers)
    assert [r.tobytes() for r in first] == [r.tobytes() for r in second]


def test_only_what_numpy_alone_can_do_runs_on_the_host():
    for build in FAMILIES.values():
        assert compiled(build(5, 7)[0]).host_steps == 0
    flipped, = graph.library("flip", lambda a: (a[::-1],), [graph.leaf(0, (4,), float32)], [((4,), float32)])
    roots = [elementwise("neg", flipped)]
    assert compiled(roots).host_steps == 1
    compare(roots, [numbers(4)])


def test_an_output_is_written_over_the_leaf_it_replaces():
    x = graph.leaf(0, (40,), float32)
    memory = numbers(40)
    wanted = np.exp(memory)
    program = compile_program([Output(elementwise("exp", x), None, 0)])
    program.run([memory.ctypes.data], [memory.ctypes.data], [], ())
    np.testing.assert_allclose(memory, wanted, rtol=1e-6)
    assert program.plan.same == [(0, 0)] and not program.plan.arena


def test_memory_that_is_still_read_is_not_written_too_early():
    x = graph.leaf(0, (40,), float32)
    memory, turned = numbers(40), np.zeros(40, np.float32)
    roots = [Output(graph.flip(x, (0,)), None, 0), Output(elementwise("add", x, graph.flip(x, (0,))))]
    before = memory.copy()
    compile_program(roots).run([memory.ctypes.data], [memory.ctypes.data, turned.ctypes.data], [], ())
    np.testing.assert_array_equal(memory, before[::-1])
    np.testing.assert_array_equal(turned, before + before[::-1])


def test_two_leaves_may_trade_their_memory():
    a, b = (graph.leaf(i, (9,), float32) for i in range(2))
    memory = [numbers(9), numbers(9, seed=1)]
    before = [m.copy() for m in memory]
    addresses = [m.ctypes.data for m in memory]
    compile_program([Output(b, None, 0), Output(a, None, 1)]).run(addresses, addresses, [], ())
    np.testing.assert_array_equal(memory, before[::-1])


def test_an_output_may_have_any_layout():
    x = graph.leaf(0, (5, 7), float32)
    result = np.zeros((7, 5), np.float32)
    compile_program([Output(elementwise("neg", x), (1, 5))]).run([numbers(5, 7).ctypes.data], [result.ctypes.data], [], ())
    np.testing.assert_array_equal(result.T, -numbers(5, 7))


def test_memory_of_dead_values_is_used_again():
    x = graph.leaf(0, (64, 64), float32)
    for _ in range(12):
        x = graph.contraction(x, x)
    program = compile_program([Output(x)])
    slots = {program.plan.arena.index(b): program._starts[b.number] for b in program.plan.arena}
    assert len(slots) == 11 and len(set(slots.values())) == 2


def test_long_graphs_of_sums_stay_right():
    x = graph.leaf(0, (33, 65), float32)
    y = x
    for _ in range(6):
        y = elementwise("add", elementwise("tanh", y), families.spread(graph.reduce("max", y, (0,)), (33, 65)))
        y = elementwise("sub", y, families.kept(graph.reduce("sum", y, (1,)), 1, (33, 65)))
    compare([elementwise("tanh", y)], [numbers(33, 65)])


@pytest.mark.parametrize("name", ["add", "set"])
def test_a_scatter_over_the_memory_of_its_leaf_copies_nothing(name):
    x, i, v = graph.leaf(0, (50, 4), float32), graph.leaf(1, (9,), int64), graph.leaf(2, (9, 4), float32)
    plan = compile_program([Output(graph.scatter(name, x, (i,), (0,), v), None, 0)]).plan
    assert [s.name for s in plan.steps] == [f"scatter.{name}"] and not plan.arena


def test_scatters_scans_and_sorts_are_kernels_that_compute_what_they_read():
    def names(roots):
        return [step.name if hasattr(step, "name") else step.node.primitive for step in compiled(roots).plan.steps]
    x = graph.leaf(0, (4, 5), float32)
    assert names([graph.scan("sum", elementwise("exp", graph.permute(x, (1, 0))), 0)]) == ["scan.sum"]
    assert names([graph.reduce("argmax", elementwise("neg", x), (0,))]) == ["reduce.argmax"]
    assert names(FAMILIES["embedding_gradient"](4, 5)[0]) == ["copy", "scatter.add"]
    assert names([graph.argsort(elementwise("neg", x), 1, False)]) == ["neg", "argsort"]


def test_what_a_scatter_would_compute_number_by_number_is_computed_before_it():
    x, values = graph.leaf(0, (4, 5), float32), graph.leaf(1, (4, 7), float32)
    rows = families.spread(graph.reshape(graph.iota(4), (4, 1)), (4, 7))
    few, many = graph.leaf(2, (4, 7), int64), graph.leaf(2, (4, 7), int64)
    few = elementwise("abs", few)
    for _ in range(10):
        many = elementwise("minimum", elementwise("abs", many), families.spread(graph.constant(4, int64), (4, 7)))
    for places, before in ((few, []), (many, ["minimum"])):
        root = graph.scatter("add", x, (rows, places), (0, 1), values)
        assert [s.name for s in compile_program([Output(root)]).plan.steps] == [*before, "copy", "scatter.add"]
        compare([root], [numbers(4, 5), numbers(4, 7), numbers(4, 7, dtype=int64) % 5])


def test_what_is_only_seen_in_other_dimensions_is_made_where_it_is_wanted():
    x, i, v = graph.leaf(0, (6, 4), float32), graph.leaf(1, (9,), int64), graph.leaf(2, (9, 4), float32)
    made = graph.scatter("add", x, (i,), (0,), v)
    seen, scanned = graph.reshape(made, (2, 3, 4)), graph.reshape(graph.scan("sum", x, 0), (24,))
    plan = compile_program([Output(seen), Output(scanned)]).plan
    assert [s.name for s in plan.steps] == ["copy", "scatter.add", "scan.sum"] and not plan.arena
    arrays = [numbers(6, 4), numbers(9, dtype=int64) % 6, numbers(9, 4)]
    for wanted in ([seen], [seen, made], [seen, seen], [seen, elementwise("exp", seen)], [graph.permute(seen, (2, 0, 1)), seen]):
        compare(wanted, arrays)


# ---------------------------------------------------------------------------------------------------------------------
# Cold code

def test_a_small_graph_seen_for_the_first_time_runs_call_by_call(counted):
    def outputs(*names):
        x = graph.leaf(0, (symbol(0, 6), symbol(1, 11)), float32)
        for name in names:
            x = elementwise(name, x)
        return [Output(x)]

    def cold(names):
        with Assumptions((), (6, 11)):
            made = compile_cold(outputs(*names), (6, 11))
            return made, launch(made, [o.node for o in made.outputs], [np.abs(numbers(6, 11))], (), (6, 11))
    for name in ("sqrt", "neg", "exp", "floor"):
        cold([name])
    before = len(counted)
    made, (result,) = cold(["sqrt", "neg", "exp", "sqrt", "floor"])
    assert isinstance(made, Stepwise) and len(counted) == before
    np.testing.assert_array_equal(result, np.floor(np.sqrt(np.exp(-np.sqrt(np.abs(numbers(6, 11)))))))


def test_a_graph_of_new_nodes_is_compiled_at_once_and_another_of_such_nodes_runs_call_by_call():
    def made(*names):
        x = graph.leaf(0, (symbol(0, 6),), float64)
        for name in names:
            x = elementwise(name, x)
        with Assumptions((), (6,)):
            return compile_cold([Output(x)], (6,))
    assert isinstance(made("lgamma", "erfc", "asinh", "atan"), programs.Program)
    assert isinstance(made("asinh", "lgamma", "atan", "erfc"), Stepwise)


# ---------------------------------------------------------------------------------------------------------------------
# Caches

def test_kernels_out_of_use_are_freed(monkeypatch):
    monkeypatch.setattr(kernel_code, "_KERNELS", 3)
    kernels = kernel_code._Kernels()
    monkeypatch.setattr(kernel_code, "_kernels", kernels)
    x, codes = graph.leaf(0, (7,), float32), []
    for number in range(12):
        made = compiled([elementwise("add", x, families.spread(graph.constant(number, float32), (7,)))])
        codes.append(weakref.ref(next(iter(reversed(kernels._code.values())))))
        del made
    gc.collect()
    assert len(kernels._code) == 3
    assert [c() is not None for c in codes] == [False] * 9 + [True] * 3


def test_a_kernel_lives_as_long_as_a_program_that_uses_it(monkeypatch):
    monkeypatch.setattr(kernel_code, "_KERNELS", 1)
    x = graph.leaf(0, (7,), float32)
    made = [compiled([elementwise(name, x)]) for name in ("neg", "abs", "floor")]
    for program, function in zip(made, (np.negative, np.abs, np.floor)):
        result, = launch(program, [x], [numbers(7)])
        np.testing.assert_array_equal(result, function(numbers(7)))


def in_a_new_process(program, **environment):
    """What a program prints."""
    where = os.pathsep.join([HERE, os.path.dirname(os.path.dirname(rushlight.__file__))])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": where, **environment}, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


WARM = """
import families, time
from rushlight.compiler.native import jit
texts, emit = [], jit.emit_object
jit.emit_object = lambda *a, **k: texts.append(a) or emit(*a, **k)
before = time.perf_counter()
for name in ("softmax", "product", "running", "order"):
    roots, leaves = families.FAMILIES[name](13, 70)
    families.agree(roots, families.run(roots, leaves), leaves)
print(len(texts), time.perf_counter() - before)
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """(a cache folder that a process has filled, how many texts that one compiled, and in how many seconds)."""
    folder = tmp_path_factory.mktemp("cache")
    texts, seconds = in_a_new_process(WARM, RUSHLIGHT_CACHE_DIR=str(folder)).split()
    return folder, int(texts), float(seconds)


def test_a_second_process_starts_warm(filled):
    folder, texts, seconds = filled
    again, time = in_a_new_process(WARM, RUSHLIGHT_CACHE_DIR=str(folder)).split()
    assert texts > 4 and int(again) == 0
    assert float(time) < seconds


def test_damaged_entries_are_compiled_again(filled, tmp_path):
    shutil.copytree(filled[0], tmp_path, dirs_exist_ok=True)
    entries = sorted(tmp_path.glob("*.o"))
    entries[0].write_bytes(b"nonsense")
    entries[1].write_bytes(entries[1].read_bytes()[:-7])
    assert int(in_a_new_process(WARM, RUSHLIGHT_CACHE_DIR=str(tmp_path)).split()[0]) == 2


# ---------------------------------------------------------------------------------------------------------------------
# Processors

@pytest.mark.parametrize("level", ["sse2", "avx2"])
def test_lesser_processors_give_right_answers(level):
    if target.host().level not in ("avx512", "avx2"):
        pytest.skip("this processor has no levels")
    in_a_new_process("import families; families.check_all([(13, 37)])", RUSHLIGHT_TARGET=level)


WIDE = """
import dataclasses
from rushlight.compiler.native import target
narrow = target.host()

class Wide(target.Target):
    cpu = narrow.cpu  # whose instructions LLVM makes of vectors and masks that the processor does not have

wide = Wide(**{f.name: getattr(narrow, f.name) for f in dataclasses.fields(narrow)} | {"level": "avx512"})
target.host = lambda: wide
import families
families.check_all([(13, 37)])
"""


def test_vectors_of_512_bits_give_right_answers_on_any_processor():
    if target.host().level not in ("avx512", "avx2"):
        pytest.skip("this processor has no levels")
    in_a_new_process(WIDE, RUSHLIGHT_CACHE_DIR="")


@pytest.mark.parametrize("other", [target.aarch64(), target.x86_64("avx512")], ids=lambda t: t.level)
def test_every_family_is_emitted_for_other_processors(other, counted):
    kernel_code._kernels._code.clear()
    for build in FAMILIES.values():
        compiled(build(13, 70)[0])
    assert len(counted) >= len(FAMILIES)
    for text in counted:
        assert jit.emit_object(text, other)


@pytest.mark.parametrize("shape", [(1,), (), (3,), (2, 5)])
def test_memory_is_read_before_it_is_written_over_by_the_same_kernel(shape):
    """Two such updates in a row: of the second, the new content of `a` comes first."""
    import rushlight as torch
    def operands():
        return [torch.full(shape, float(n)) for n in range(2, 5)]
    first, second = operands(), operands()
    for t in (*first, *second):
        t.sum().item()
    both = list(zip(first, second))
    for a in both[0]:
        a.mul_(0.5)
    for a, g in zip(*both[:2]):
        a.add_(g)
    for a, e in zip(both[0], both[2]):
        e.addcmul_(a, a)
    for a, g in zip(*both[:2]):
        a.copy_(g)
    for a in both[0]:
        a.neg_()
    for a, g, e in (first, second):
        assert (a == -3).all() and (g == 3).all() and (e == 4 + 16).all()


def test_memory_is_read_before_it_is_written_over_beside_a_product():
    import rushlight as torch
    x, w = torch.ones(6, 4), torch.ones(4, 5)
    old, kept = torch.full((6, 5), 2.0), torch.full((6, 5), 3.0)
    for t in (x, w, old, kept):
        t.sum().item()
    y = x @ w
    kept.add_(old * y)
    old.copy_(y)
    assert (old == 4).all() and (kept == 11).all()
