"""Products of matrices, generated for a structure and run on all sizes of it, against NumPy in twice the precision."""
import ctypes
import functools
import re

import numpy as np
import pytest

from rushlight.compiler import contraction, microkernel
from rushlight.compiler.llvmir import Function, Value, module_text, vector_type
from rushlight.compiler.native import jit, target, threads
from rushlight.compiler.packing import LLVM_TYPES
from rushlight.ir import dtypes, extents

HOST = target.host()
SLOTS = ("a", "b", "c", "bias", "panel", "batch", "m", "k", "n", "a_row", "a_column", "a_batch", "b_row", "b_column", "b_batch", "c_row",
         "c_batch")
POINTERS = ("a", "b", "c", "bias", "panel")


def kernel_text(dtype, form, a_layout, b_layout, fused=(), machine=HOST):
    """A kernel over SLOTS.  `fused` may hold 'a' and 'b' (the operand is computed as x + 1, along its layout) and 'c' (bias, then relu)."""
    f = Function("kernel", [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")], attributes=machine.function_attributes)
    args, begin, end, scratch = f.parameters
    s = {name: f.load("ptr" if name in POINTERS else "i64", f.element(args, "i64", i)) for i, name in enumerate(SLOTS)}
    raw, element = LLVM_TYPES[dtype.name], microkernel.sum_type(dtype)

    def operand(name, layout):
        row = 1 if layout == "columns" else s[name + "_row"]
        column = 1 if layout == "rows" else s[name + "_column"]
        if name not in fused:
            return contraction.Operand(layout, s[name], row, column, lambda f, batch: f.mul(batch, s[name + "_batch"]))

        def load(f, batch, i, j, lanes):
            at = f.add(f.mul(batch, s[name + "_batch"]), f.add(f.mul(i, row), f.mul(j, column)))
            x = f.load(vector_type(raw, lanes), f.element(s[name], raw, at))
            return f.binary("fadd", x, 1.0)
        return contraction.Computed(load, "column" if layout == "columns" else "row")

    def store(f, batch, row, column, value, lanes, mask):
        at = f.add(f.mul(batch, s["c_batch"]), f.add(f.mul(row, s["c_row"]), column))
        short = {"float": "f32", "double": "f64"}.get(element, element)
        if "c" in fused:
            start = f.element(s["bias"], element, column)
            if mask is None:
                bias = f.load(value.type, start)
            else:
                bias = f.intrinsic(f"llvm.masked.load.v{lanes}{short}.p0", value.type, start, mask, Value("zeroinitializer", value.type))
            value = f.overloaded("llvm.maximumnum", f.binary("fadd", value, bias), f.of(0.0, value.type))
        if mask is None:
            f.store(value, f.element(s["c"], element, at))
        else:
            f.intrinsic(f"llvm.masked.store.v{lanes}{short}.p0", "void", value, f.element(s["c"], element, at), mask)

    if not fused and raw == element:
        store = contraction.Plain(s["c"], s["c_row"], lambda f, batch: f.mul(batch, s["c_batch"]))
    contraction.build(f, machine, dtype, form, s["batch"], s["m"], s["k"], s["n"], operand("a", a_layout), operand("b", b_layout),
                      store, begin, end, scratch, s["panel"])
    f.ret()
    return module_text([f])


@functools.cache
def kernel(dtype, form, a_layout, b_layout, fused=()):
    code = jit.compile(kernel_text(dtype, form, a_layout, b_layout, fused))
    return code, ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(code.address("kernel"))


def scratch_for(dtype):
    raw = np.empty(contraction.scratch_bytes(HOST, dtype) + 64, np.uint8)
    return raw[-raw.ctypes.data % 64:]


def layout_of(x):
    if x.strides[-1] == x.itemsize:
        return "rows"
    return "columns" if x.strides[-2] == x.itemsize else "strided"


def product(a, b, form=None, fused=(), bias=None, order=None, launch=None):
    """C of 3-d arrays a and b, its tasks run one by one in `order`; what lies around C must stay as it is."""
    dtype = dtypes.of_numpy(a.dtype)
    (batch, m, k), n = a.shape, b.shape[2]
    layouts = layout_of(a), layout_of(b)
    if form is None:
        operands = [contraction.Computed(None, "column" if x == "columns" else "row") if name in fused else
                    contraction.Operand(x, None, None, None) for name, x in zip("ab", layouts)]
        form = contraction.choose(HOST, dtype, *operands, batch, m, k, n)
    result = {"float16": np.float32, "bfloat16": np.float32}.get(dtype.name, np.int32 if dtype.itemsize < 4 else a.dtype)
    room = np.full((batch, m, n + 3), 77, result)
    c = room[:, :, :n]
    values = [x.ctypes.data for x in (a, b, room, bias if bias is not None else room)] + [microkernel.panel_address(HOST, dtype)]
    values += [batch, m, k, n, *(s // a.itemsize for x in (a, b) for s in (x.strides[1], x.strides[2], x.strides[0])), n + 3, m * (n + 3)]
    args = (ctypes.c_int64 * len(values))(*values)
    code, run = kernel(dtype, form, *layouts, fused)
    tasks = contraction.task_count(form, batch, m, n)
    if launch is not None:
        launch(code.address("kernel"), ctypes.addressof(args), tasks, contraction.scratch_bytes(HOST, dtype))
        return c
    scratch = scratch_for(dtype)
    for begin, end in order(tasks) if order else [(0, tasks)]:
        run(args, begin, end, scratch.ctypes.data)
    assert (room[:, :, n:] == 77).all()
    return c


def matrices(dtype, batch, m, k, n, layouts=("rows", "rows"), seed=0):
    rng = np.random.default_rng(seed)

    def one(rows, columns, layout):
        if layout == "columns":
            return one(columns, rows, "rows").transpose(0, 2, 1)
        shape = batch, rows, 2 * columns + 1
        wide = rng.standard_normal(shape) if dtype.kind == "f" else rng.integers(0, 9, shape)
        wide = wide.astype(dtype.numpy)
        return wide[:, :, :2 * columns:2] if layout == "strided" else np.ascontiguousarray(wide[:, :, :columns])
    return one(m, k, layouts[0]), one(k, n, layouts[1])


def check(c, a, b, dtype):
    exact = np.matmul(a.astype(np.float64), b.astype(np.float64))
    if dtype.kind != "f":
        assert (c == exact).all()
        return
    scale = np.matmul(abs(a.astype(np.float64)), abs(b.astype(np.float64)))
    step = 2.0 ** (-52 if dtype is dtypes.float64 else -23)
    worst = (abs(c - exact) - 16 * step * scale).max(initial=0)
    assert worst <= 0, worst


SIZES = [(1, 1, 1), (1, 7, 5), (2, 3, 17), (6, 16, 16), (7, 384, 31), (13, 385, 33), (64, 64, 128), (64, 128, 10), (61, 67, 71),
         (3, 1000, 300), (250, 20, 300), (97, 800, 515), (500, 5, 1), (1, 900, 1030)]
LAYOUTS = [(a, b) for a in ("rows", "columns", "strided") for b in ("rows", "columns", "strided")]


@pytest.mark.parametrize("m, k, n", SIZES)
def test_every_layout_gives_the_product_and_the_same_bits(m, k, n):
    a, b = matrices(dtypes.float32, 2, m, k, n)
    first = product(a, b)
    check(first, a, b, dtypes.float32)
    for layouts in LAYOUTS[1:]:
        a2, b2 = (np.empty_like(y) for y in matrices(dtypes.float32, 2, m, k, n, layouts))
        a2, b2 = matrices(dtypes.float32, 2, m, k, n, layouts)
        a2[...], b2[...] = a, b
        assert (product(a2, b2) == first).all(), layouts


@pytest.mark.parametrize("dtype", [d for d in dtypes.ALL if d.kind in "fiub"], ids=lambda d: d.name)
@pytest.mark.parametrize("layouts", [("rows", "rows"), ("columns", "columns")])
@pytest.mark.parametrize("m, n", [(37, 29), (1, 29), (37, 1)])
def test_every_dtype(dtype, layouts, m, n):
    a, b = matrices(dtype, 2, m, 53, n, layouts)
    check(product(a, b), a, b, dtype)


@pytest.mark.parametrize("m, k, n", [(30, 40, 50), (5, 40, 50), (30, 600, 1), (300, 300, 300)])
def test_repeated_and_reversed_rows_and_columns(m, k, n):
    a, b = matrices(dtypes.float32, 2, m, k, n)
    for x, y in ((np.broadcast_to(a[:, :, :1], a.shape), b), (np.broadcast_to(a[:, :1], a.shape), b[:, ::-1]),
                 (a[:, ::-1, ::-1], np.broadcast_to(b[:, :1], b.shape)), (np.broadcast_to(a[:1], a.shape), b[:, :, ::-1])):
        assert (product(x, y) == product(x.copy(), y.copy())).all()


@pytest.mark.parametrize("m, k, n", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (300, 0, 300)])
def test_no_rows_no_columns_no_k(m, k, n):
    c = product(*matrices(dtypes.float32, 2, m, k, n))
    assert c.shape == (2, m, n) and (c == 0).all()


@pytest.mark.parametrize("layouts", [("rows", "rows"), ("columns", "columns")])
@pytest.mark.parametrize("m, k, n", [(1, 900, 130), (5, 70, 600), (64, 784, 100), (1, 1100, 1), (1, 1550, 21), (90, 2051, 1)])
def test_all_forms_give_the_same_bits(m, k, n, layouts):
    a, b = matrices(dtypes.float32, 2, m, k, n, layouts)
    forms = [contraction.Form("packed", 66, 64)]
    if layouts[1] == "rows":
        forms += [contraction.Form("direct", 66, 64), contraction.Form("rows", 8, 512)]
    elif m == 1:
        forms += [contraction.Form("columns", 1, 64), contraction.Form("columns", 1, 8)]
    if n == 1:
        forms.append(contraction.Form("columns" if layouts[0] == "rows" else "rows", 1, 64, swapped=True))
    results = [product(a, b, form) for form in forms]
    assert all((r == results[0]).all() for r in results)


def test_the_order_of_tasks_does_not_change_a_bit():
    a, b = matrices(dtypes.float32, 3, 300, 500, 700)
    expected = product(a, b)
    assert (product(a, b, order=lambda tasks: [(t, t + 1) for t in reversed(range(tasks))]) == expected).all()


@pytest.mark.parametrize("layouts", [("rows", "rows"), ("columns", "columns"), ("columns", "rows"), ("rows", "columns")])
@pytest.mark.parametrize("m, k, n", [(1, 30, 40), (45, 61, 77), (260, 800, 300)])
def test_prologues_and_epilogue(layouts, m, k, n):
    a, b = matrices(dtypes.float32, 2, m, k, n, layouts)
    bias = np.linspace(-3, 3, n, dtype=np.float32)
    expected = np.maximum(product(a + np.float32(1), b + np.float32(1)) + bias, 0)
    assert (product(a, b, fused=("a", "b", "c"), bias=bias) == expected).all()
    expected = np.maximum(product(a, b) + bias, 0)
    assert (product(a, b, fused=("c",), bias=bias) == expected).all()


def test_nan_and_infinity_stay_in_their_rows_and_columns():
    a, b = matrices(dtypes.float32, 1, 20, 400, 40)
    a[0, 3, 390], b[0, 7, 39] = np.nan, np.inf
    c = product(a, b)[0]
    assert np.isnan(c[3]).all() and not np.isfinite(c[:, 39]).any()
    assert np.isfinite(np.delete(np.delete(c, 3, 0), 39, 1)).all()


def test_a_form_is_chosen_by_a_few_guards_and_counts_its_tasks_symbolically():
    rows = contraction.Operand("rows", None, None, None)
    for m, k, n in [(m, k, n) for m, k, n in SIZES if min(m, k, n) > 1]:
        with extents.Assumptions() as assumptions:
            sizes = [extents.symbol(i, x) for i, x in enumerate((2, m, k, n))]
            form = contraction.choose(HOST, dtypes.float32, rows, rows, *sizes)
            assert len(assumptions.guards) <= 4
            count = contraction.task_count(form, sizes[0], sizes[1], sizes[3])
            assert len(assumptions.guards) <= 4
        assert form == contraction.choose(HOST, dtypes.float32, rows, rows, 2, m, k, n)
        assert extents.extent_value(count) == contraction.task_count(form, 2, m, n)


def test_any_number_of_threads_gives_the_same_bits():
    a, b = matrices(dtypes.float32, 4, 150, 700, 290)
    expected = product(a, b)
    before = threads.get_num_threads()
    try:
        threads.set_num_threads(2)
        assert (product(a, b, launch=threads.parallel_for) == expected).all()
    finally:
        threads.set_num_threads(before)


@pytest.mark.skipif(not HOST.has_fma, reason="without fma a product is rounded before it is added")
def test_the_order_of_summation_is_blocks_of_k_by_fma():
    a, b = matrices(dtypes.float32, 1, 3, 1000, 5)
    total = np.zeros((3, 5), np.float32)
    block = contraction.k_block(1000)
    for first in range(0, 1000, block):
        part = np.zeros((3, 5))
        for k in range(first, min(first + block, 1000)):  # exact in float64, rounded once: an fma but for rare double rounding
            part = (part + a[0, :, k:k + 1].astype(np.float64) * b[0, k]).astype(np.float32).astype(np.float64)
        total = total + part.astype(np.float32)
    assert (product(a, b)[0] == total).all()


TARGETS = [target.x86_64("avx2"), target.x86_64("avx512"), target.x86_64("sse2"), target.aarch64()]


@pytest.mark.parametrize("machine", TARGETS, ids=lambda t: t.level)
def test_the_inner_loops_keep_their_sums_in_registers_on_every_target(machine):
    shape = microkernel.tile(machine, dtypes.float32)
    assembly = jit.emit_assembly(microkernel.panel_text(machine, shape), machine)
    assert not [line for line in assembly.splitlines() if "pill" in line and re.search(r"\b([xyz]mm|q)\d", line)]
    for layouts in (("rows", "rows"), ("columns", "columns")):
        assert jit.emit_object(kernel_text(dtypes.float32, contraction.Form("packed", 48, 192), *layouts, machine=machine), machine)
