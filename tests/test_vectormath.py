"""Vector math: every element-wise primitive against the reference interpreter, the same bits in every lane count, and ulps."""
import ctypes
import math

import numpy as np
import pytest

from rushlight.compiler import vectormath
from rushlight.compiler.llvmir import Function, module_text, vector_type
from rushlight.compiler.native import jit, target
from rushlight.ir import dtypes, graph, reference

FLOATS = (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16)
INTEGERS = (dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)
ON_INTEGERS = ("neg abs sign floor not isnan add sub mul floor_divide trunc_divide remainder fmod pow maximum minimum and or xor "
               "shift_left shift_right eq ne lt le gt ge where fma").split()
ON_BOOL = "not and or xor add mul maximum minimum eq ne lt le gt ge where".split()
NOT_ON_FLOATS = "not and or xor shift_left shift_right conj trunc_divide".split()
EXACT = ("neg abs sign sqrt floor ceil trunc round isnan add sub mul div fmod remainder maximum minimum copysign nextafter "
         "eq ne lt le gt ge where").split()
ROUNDINGS = {  # how far a float32 may be from the true value, in units in the last place
    "exp": 1, "exp2": 1, "expm1": 1.6, "log": 1, "log2": 1.6, "log10": 2, "log1p": 1.5, "tanh": 2.5, "sinh": 2, "cosh": 1.7, "sin": 1.6,
    "cos": 1.6, "tan": 0.6, "asin": 1.6, "acos": 1.6, "atan": 1.5, "atan2": 1.5, "asinh": 0.6, "acosh": 0.6, "atanh": 0.6, "erf": 1.2,
    "erfc": 1.4, "erfinv": 3, "rsqrt": 1.5, "pow": 0.6, "hypot": 0.6,
}


def kernel(write, sources, result, lanes, processor=None):
    """A function of arrays that runs `write(f, inputs) -> Value` over their elements, `lanes` at a time."""
    f = Function("kernel", [*(("ptr", f"x{i}") for i in range(len(sources))), ("ptr", "y"), ("i64", "n")])
    *pointers, y, n = f.parameters
    with f.loop(0, n, lanes) as i:
        inputs = []
        for pointer, dtype in zip(pointers, sources):
            element = vectormath.memory_type(dtype)
            loaded = f.load(vector_type(element, lanes), f.element(pointer, element, i))
            inputs.append(vectormath.load_convert(f, loaded, dtype))
        stored = vectormath.store_convert(f, write(f, inputs), result)
        f.store(stored, f.element(y, vectormath.memory_type(result), i))
    f.ret()
    code = jit.compile(module_text([f]), processor)

    def run(*arrays):
        size = arrays[0].size
        padded = [np.concatenate([a, np.ones(-size % lanes, a.dtype)]) for a in arrays]
        out = np.empty(padded[0].size, result.numpy)
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arrays) + 1), ctypes.c_int64)(code.address("kernel"))
        function(*(a.ctypes.data for a in padded), out.ctypes.data, out.size)
        return out[:size]
    return run


def run(name, dtype, arrays, lanes=8, processor=None):
    sources = [dtype] * graph.ELEMENTWISE[name]
    if name == "where":
        sources[0] = dtypes.bool_
    result = dtypes.bool_ if name in graph.COMPARISONS else dtype
    return kernel(lambda f, inputs: vectormath.elementwise(f, name, inputs, dtype), sources, result, lanes, processor)(*arrays)


def expected(name, dtype, arrays):
    leaves = [graph.leaf(i, a.shape, dtypes.of_numpy(a.dtype)) for i, a in enumerate(arrays)]
    return reference.evaluate([graph.elementwise(name, *leaves)], arrays)[0]


def cast(array, source, target, lanes=8, write=vectormath.cast):
    return kernel(lambda f, inputs: write(f, inputs[0], source, target), [source], target, lanes)(array)


def bits(array):
    """The bits, where all NaNs are one."""
    if array.dtype.kind not in "fV" and array.dtype != dtypes.bfloat16.numpy:
        return array
    return np.where(np.isnan(array), np.array(np.nan, array.dtype), array).view(f"u{array.dtype.itemsize}")


def samples(dtype, count, seed=0):
    """Arrays of numbers small, large, whole, subnormal, infinite and NaN; for integers, of the extremes too."""
    random = np.random.default_rng(seed)
    if dtype is dtypes.bool_:
        return [random.random(101) < 0.5 for _ in range(count)]
    if dtype in INTEGERS:
        limits = np.iinfo(dtype.numpy)
        special = np.array([0, 1, 2, 3, limits.max, limits.min, limits.max - 1, 7] + ([-1, -2] if limits.min else [255]), dtype.numpy)
        draws = [random.integers(limits.min, limits.max, 500, dtype.numpy, endpoint=True) for _ in range(count)]
        draws[-1][::2] %= 12
    else:
        special = np.array([0.0, -0.0, 1, -1, 2, -3, 0.5, -2.5, np.inf, -np.inf, np.nan, 1e-40, -3e38, 5e4])
        draws = [np.concatenate([random.normal(size=400) * 4, random.integers(-9, 9, 200) / 2, 10.0 ** random.uniform(-30, 30, 201)])
                 for _ in range(count)]
        with np.errstate(over="ignore"):
            special, draws = special.astype(dtype.numpy), [d.astype(dtype.numpy) for d in draws]
    grids = [g.ravel() for g in np.meshgrid(*[special] * count)]
    return [np.concatenate([g, random.permutation(d)]) for g, d in zip(grids, draws)]


def arguments(name, dtype):
    arrays = samples(dtype, graph.ELEMENTWISE[name])
    if name == "where":
        arrays[0] = np.resize([True, False, True], arrays[0].size)
    return arrays


def ulps(found, truth):
    """The greatest distance in units in the last place of the result; infinite where one is NaN or infinite and the other not."""
    with np.errstate(all="ignore"):
        near = truth.astype(found.dtype)
        unit = np.spacing(np.where(np.isfinite(near), np.abs(near), np.finfo(found.dtype).max)).astype(np.float64)
        distance = np.abs(found.astype(np.float64) - truth) / unit
        same = (found == near) & ~np.isfinite(near) | np.isnan(found) & np.isnan(near)
        return np.max(np.where(same, 0, np.where(np.isnan(distance), np.inf, distance)))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [n for n in graph.ELEMENTWISE if n not in NOT_ON_FLOATS])
def test_floats_mean_what_the_reference_says_with_the_same_bits_in_every_lane_count(name):
    for dtype in FLOATS:
        arrays = arguments(name, dtype)
        found = run(name, dtype, arrays)
        for lanes in (1, 16):
            np.testing.assert_array_equal(bits(run(name, dtype, arrays, lanes)), bits(found), f"{name} {dtype} {lanes} lanes")
        truth = expected(name, dtype, arrays)
        if name in EXACT:
            if name in ("maximum", "minimum", "nextafter"):  # of 0 and -0 either is right
                found, truth = found + found.dtype.type(0), truth + truth.dtype.type(0)
            np.testing.assert_array_equal(bits(found), bits(truth), f"{name} {dtype}")
        else:
            tolerance = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3, "bfloat16": 1.6e-2}[dtype.name]
            wide, right = found.astype(np.float64), truth.astype(np.float64)
            smallest = float(np.finfo(dtype.numpy).smallest_subnormal) if dtype is not dtypes.bfloat16 else 1e-40
            absolute = 40 * tolerance if name in ("lgamma", "digamma") else smallest
            np.testing.assert_allclose(wide, right, tolerance, absolute, err_msg=f"{name} {dtype}")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ON_INTEGERS)
def test_integers_mean_what_the_reference_says_and_never_trap(name):
    for dtype in INTEGERS:
        arrays = arguments(name, dtype)
        found = run(name, dtype, arrays)
        np.testing.assert_array_equal(run(name, dtype, arrays, 1), found, f"{name} {dtype}")
        if name != "fma":  # the reference computes it in floats
            truth, compared = expected(name, dtype, arrays), np.ones(found.size, bool)
            if name == "floor_divide":
                compared = arrays[1] != 0
            np.testing.assert_array_equal(found[compared], truth[compared], f"{name} {dtype}")


@pytest.mark.parametrize("name", ON_BOOL)
def test_bools_mean_what_the_reference_says(name):
    arrays = arguments(name, dtypes.bool_)
    for lanes in (1, 16):
        np.testing.assert_array_equal(run(name, dtypes.bool_, arrays, lanes), expected(name, dtypes.bool_, arrays), name)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ROUNDINGS)
def test_float32_is_within_its_ulps_of_float64_numpy(name):
    random = np.random.default_rng(1)
    every = random.integers(0, 2 ** 32, 60_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([every, np.linspace(-12, 12, 40_001, dtype=np.float32), np.linspace(-1.1, 1.1, 20_001, dtype=np.float32)])
    if name == "erfinv":
        x = x[(np.abs(x) < 1) & (np.abs(x) > 1e-30)][::9]
    if name in ("erf", "erfc"):
        x = np.concatenate([x[:60_000:20], x[60_000::9]])
    arrays = [x, random.permutation(x)][:graph.ELEMENTWISE[name]]
    truth = expected(name, dtypes.float64, [a.astype(np.float64) for a in arrays])
    assert ulps(run(name, dtypes.float32, arrays), truth) < ROUNDINGS[name]


def test_angles_of_any_size_are_reduced_exactly():
    x = np.array([1e22, 2.0 ** 1000, 1.7976931348623157e308, 6381956970095103 * 2.0 ** 797, 1e6])  # the fourth is nearly a multiple of pi/2
    found = run("sin", dtypes.float64, [x], 2)
    np.testing.assert_allclose(found[[0, 2, 4]], [-0.8522008497671888, 0.004961954789184062, -0.3499935021712930], 3e-16)
    np.testing.assert_allclose(run("cos", dtypes.float64, [x])[3], -4.6871659242546277e-19, 3e-16)


def test_powers_keep_the_special_cases_of_c():
    cases = [(0.0, -1.0, math.inf), (-0.0, -1.0, -math.inf), (-0.0, -2.0, math.inf), (-0.0, 3.0, -0.0), (-8.0, 1 / 3, math.nan),
             (-2.0, 3.0, -8.0), (-1.0, math.inf, 1.0), (math.nan, 0.0, 1.0), (1.0, math.nan, 1.0), (0.5, math.inf, 0.0),
             (-math.inf, 3.0, -math.inf), (-math.inf, -3.0, -0.0), (-math.inf, 0.5, math.inf), (2.0, 1e10, math.inf),
             (2.0, -1074.0, 5e-324)]
    x, y, z = (np.array(c) for c in zip(*cases))
    np.testing.assert_array_equal(bits(run("pow", dtypes.float64, [x, y])), bits(z))


@pytest.mark.parametrize("level", ["sse2", "avx2"])
@pytest.mark.parametrize("name", "exp tanh sin erf log pow fmod".split())
def test_a_processor_with_less_gives_the_same_bits(name, level):
    if target.host().triple.split("-")[0] != "x86_64" or level == "avx2" and target.host().level == "sse2":
        pytest.skip("needs x86")
    for dtype in FLOATS:
        arrays = arguments(name, dtype)
        less = run(name, dtype, arrays, processor=target.x86_64(level))
        np.testing.assert_array_equal(bits(less), bits(run(name, dtype, arrays)), f"{name} {dtype}")


@pytest.mark.parametrize("source", [d for d in dtypes.ALL if d.kind != "c"], ids=lambda d: d.name)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_casts_convert_as_the_reference_does_what_fits(source):
    x, = samples(source, 1)
    for result in (d for d in dtypes.ALL if d.kind != "c"):
        found = cast(x, source, result)
        np.testing.assert_array_equal(bits(cast(x, source, result, 1)), bits(found))
        fits = np.ones(x.size, bool)
        if source.kind == "f" and result.kind in "iu":
            fits = np.abs(x.astype(np.float64)) < (2.0 ** 63 if result is dtypes.int64 else 2.0 ** 31)
        truth = reference.evaluate([graph.cast(graph.leaf(0, x.shape, source), result)], [x])[0]
        if result is dtypes.float16 and source in (dtypes.float64, dtypes.int64, dtypes.int32) or result is dtypes.bfloat16:
            truth = x.astype(np.float32).astype(result.numpy)  # by way of float, as in PyTorch
        np.testing.assert_array_equal(bits(found[fits]), bits(truth[fits]), f"{source} to {result}")


def test_floats_that_no_integer_holds_become_the_least_one():
    x = np.array([3e9, -3e9, math.inf, -math.inf, math.nan, 1e20, 300.7, -1.5, 70000], np.float32)
    assert cast(x, dtypes.float32, dtypes.int32).tolist() == [-2 ** 31] * 6 + [300, -1, 70000]
    assert cast(x, dtypes.float32, dtypes.int64).tolist() == [3 * 10 ** 9, -3 * 10 ** 9] + [-2 ** 63] * 4 + [300, -1, 70000]
    assert cast(x, dtypes.float32, dtypes.uint8).tolist() == [0] * 6 + [44, 255, 112]


@pytest.mark.parametrize("source", [d for d in dtypes.ALL if d.kind not in "cb"], ids=lambda d: d.name)
def test_bitcasts_there_and_back_keep_every_bit(source):
    x, = samples(source, 1)
    for other in (d for d in dtypes.ALL if d.itemsize == source.itemsize and d.kind not in "cb"):
        there = cast(x, source, other, 8, vectormath.bitcast)
        np.testing.assert_array_equal(bits(there), bits(x.view(other.numpy)))
        np.testing.assert_array_equal(bits(cast(there, other, source, 8, vectormath.bitcast)), bits(x))
