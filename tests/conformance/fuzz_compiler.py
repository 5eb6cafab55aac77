"""Random programs, on the compiled back end and on PyTorch: the values must agree, and must not depend on when they are looked at.

    python tests/conformance/fuzz_compiler.py                     300 programs from seed 0
    python tests/conformance/fuzz_compiler.py --seed 1234 --programs 1 --verbose      one of them again, printed

    a = input(3, 5)[:, ::2]      a program: some inputs, then calls on what is there already; nothing is looked at but at the end
    b = softmax(a, 1)            the same program once more, every value looked at as soon as it is made: the same bits
    c = a.T @ b                  and once more by PyTorch: the same numbers within the tolerance, and the same gradients
    ...

A program is a list of steps (text, function of the library and the values so far), drawn with PyTorch's values at hand, so that
every step is one that PyTorch takes.  Integers are compared exactly.  Where PyTorch in float64 says that a number is not to be had
in float32 (a difference of nearly equal ones, a cast of an infinity) the program is not judged by it.  Start with `Writer`.
"""
import argparse
import os
import random
import re
import sys
import time
import traceback
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch

import rushlight

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
EXTENTS = (0, 1, 1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33, 67)
UNARY = ("exp", "sin", "cos", "tanh", "sigmoid", "sqrt", "abs", "neg", "square", "relu", "log1p", "expm1", "erf", "floor", "ceil", "round",
         "trunc", "sign", "reciprocal", "atan", "isnan", "isfinite", "signbit", "logical_not")
INTEGER_UNARY = ("abs", "neg", "square", "sign", "bitwise_not", "logical_not", "relu")
BINARY = ("add", "sub", "mul", "maximum", "minimum", "eq", "lt", "ge", "ne", "atan2", "hypot", "div", "logical_and", "fmax", "copysign")
INTEGER_BINARY = ("add", "sub", "mul", "maximum", "minimum", "eq", "lt", "ge", "bitwise_and", "bitwise_or", "bitwise_xor", "logical_xor")
REDUCTIONS = ("sum", "mean", "amax", "amin", "prod", "any", "all", "logsumexp", "var", "argmax", "argmin", "count_nonzero")
TOLERANCE = {"float32": (1e-4, 1e-5), "float64": (1e-9, 1e-11), "float16": (2e-2, 2e-2), "bfloat16": (6e-2, 6e-2)}


def is_float(t):
    return t.dtype.is_floating_point


def name_of(t):
    return str(t.dtype).split(".")[-1]


class Writer:
    """Draws a program: `inputs` are (array, dtype, view, whether its gradient is wanted), `steps` (text, function of library and values)."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.inputs, self.steps, self.values = [], [], []
        shape = [self.r.choice(EXTENTS) for _ in range(self.r.choice((1, 2, 2, 3, 3, 4)))]
        while np.prod([max(n, 1) for n in shape]) > 6000:
            shape[shape.index(max(shape))] = self.r.choice((1, 2, 3))
        self.shape = shape
        for _ in range(self.r.randint(1, 3)):
            self.add_input(self.related_shape())
        for _ in range(self.r.randint(3, 12)):
            self.add_step()

    # Inputs

    def related_shape(self):
        shape = [1 if self.r.random() < 0.15 else n for n in self.shape]
        return shape[self.r.randint(0, len(shape)):] if self.r.random() < 0.2 else shape

    def add_input(self, shape, dtype=None):
        dtype = dtype or self.r.choice(("float32",) * 5 + FLOATS + INTEGERS + ("bool",))
        kind = self.r.choice(("plain", "plain", "transposed", "sliced", "expanded", "flipped"))
        size = list(shape)
        if kind == "transposed":
            size.reverse()
        elif kind == "sliced":
            size = [2 * n + 1 for n in size]
        elif kind == "expanded" and size:
            size[self.r.randrange(len(size))] = 1
        array = np.asarray(self.numbers.standard_normal(size) * 2)
        if dtype == "bool":
            array = array > 0
        elif dtype in INTEGERS:
            array = np.abs(array * 3) if dtype == "uint8" else array * 5
        array = np.asarray(array, "float32" if dtype in ("float16", "bfloat16") else dtype)

        def view(t):
            if kind == "transposed":
                return t.permute(*reversed(range(t.ndim))) if t.ndim else t
            if kind == "sliced":
                return t[tuple(slice(1, None, 2) for _ in shape)]
            if kind == "expanded":
                return t.expand(*shape) if shape else t
            return t.flip(-1) if kind == "flipped" and t.ndim else t
        number = len(self.inputs)
        self.inputs.append((array, dtype, dtype in FLOATS))
        self.push(f"inputs[{number}]: {dtype} {tuple(size)}, {kind}", lambda lib, v, inputs: view(inputs[number]))

    # Steps

    def push(self, text, function):
        """Take the step if PyTorch takes it."""
        inputs = getattr(self, "torch_inputs", [])
        while len(inputs) < len(self.inputs):
            inputs.append(make_input(torch, *self.inputs[len(inputs)]))
        self.torch_inputs = inputs
        try:
            value = function(torch, self.values, inputs)
        except (RuntimeError, IndexError, ValueError, TypeError, NotImplementedError):
            return
        if value.numel() > 60000:
            return
        self.values.append(value)
        self.steps.append((text, function))

    def pick(self, suits=lambda t: True):
        """The number of a value, a late one rather."""
        fit = [i for i, v in enumerate(self.values) if suits(v)]
        return self.r.choice(fit[-4:] if self.r.random() < 0.6 else fit) if fit else None

    def add_step(self):
        kinds = (self.unary, self.unary, self.binary, self.binary, self.binary, self.number, self.reduction, self.reduction, self.view, self.view,
                 self.product, self.gather, self.scatter, self.softmax, self.cumulative, self.cast, self.where, self.join, self.in_place,
                 self.norm, self.sort, self.index, self.pad, self.write_slice)
        self.r.choice(kinds)()

    def unary(self):
        i = self.pick()
        name = self.r.choice(UNARY if is_float(self.values[i]) else INTEGER_UNARY)
        if name in ("sin", "cos") and self.values[i].numel() and not self.values[i].abs().max() < 100:
            name = "tanh"  # of a large number, one rounding earlier turns the result into any other
        self.push(f"{name}(v{i})", lambda lib, v, _: getattr(lib, name)(v[i]))

    def binary(self):
        i, j = self.pick(), self.pick()
        if self.r.random() < 0.3:
            self.add_input(self.related_shape(), self.r.choice((None, name_of(self.values[i]))))
            j = len(self.values) - 1
        some = is_float(self.values[i]) or is_float(self.values[j])
        name = self.r.choice(BINARY if some else INTEGER_BINARY)
        if name == "atan2" and "uint8" in (name_of(self.values[i]), name_of(self.values[j])):
            name = "maximum"  # PyTorch's gradient negates the uint8
        self.push(f"{name}(v{i}, v{j})", lambda lib, v, _: getattr(lib, name)(v[i], v[j]))

    def number(self):
        i = self.pick()
        x = self.r.choice((0.5, -1.5, 3, 2, 1))
        name = self.r.choice(("add", "mul", "sub", "clamp_min", "pow", "leaky_relu"))
        if name == "pow":
            x = 2
        f = {"clamp_min": lambda lib, t: lib.clamp(t, min=x), "leaky_relu": lambda lib, t: lib.nn.functional.leaky_relu(t, 0.1)}.get(
            name, lambda lib, t: getattr(lib, name)(t, x))
        self.push(f"{name}(v{i}, {x})", lambda lib, v, _: f(lib, v[i]))

    def axis(self, i):
        return self.r.randrange(-self.values[i].ndim, self.values[i].ndim)

    def reduction(self):
        i = self.pick(lambda t: t.ndim)
        if i is None:
            return
        name, keep, axis = self.r.choice(REDUCTIONS), self.r.random() < 0.5, self.axis(i)
        if name in ("sum", "mean", "amax", "amin", "var") and self.values[i].ndim > 1 and self.r.random() < 0.4:
            axis = tuple(sorted(self.r.sample(range(self.values[i].ndim), 2)))
        if name == "count_nonzero":
            self.push(f"count_nonzero(v{i}, {axis})", lambda lib, v, _: lib.count_nonzero(v[i], axis))
        else:
            self.push(f"{name}(v{i}, {axis}, keepdim={keep})", lambda lib, v, _: getattr(lib, name)(v[i], axis, keepdim=keep))

    def view(self):
        i = self.pick(lambda t: t.ndim)
        if i is None:
            return
        t, a = self.values[i], self.axis(i)
        n, kind = t.shape[a], self.r.choice(("transpose", "slice", "flip", "unsqueeze", "expand", "reshape", "flatten", "select", "roll", "tril",
                                             "repeat", "diagonal", "unfold", "split"))
        b, start, step = self.axis(i), self.r.randint(0, max(n - 1, 0)), self.r.choice((1, 1, 2, 3))
        wider = [self.r.choice((2, 3)) if m == 1 else m for m in t.shape]
        shape = [*t.shape[:1], -1] if self.r.random() < 0.5 else [-1, *t.shape[-1:]]
        size = self.r.randint(1, 3)
        f = {"transpose": lambda lib, x: x.transpose(a, b), "slice": lambda lib, x: x[(slice(None),) * (a % x.ndim) + (slice(start, None, step),)],
             "flip": lambda lib, x: x.flip(a), "unsqueeze": lambda lib, x: x.unsqueeze(a), "expand": lambda lib, x: x.expand(*wider),
             "reshape": lambda lib, x: x.reshape(*shape), "flatten": lambda lib, x: x.flatten(), "select": lambda lib, x: x.select(a, start),
             "roll": lambda lib, x: x.roll(start, a), "tril": lambda lib, x: x.tril(start - 2), "repeat": lambda lib, x: x.repeat(2, *(1,) * (x.ndim - 1)),
             "diagonal": lambda lib, x: x.diagonal(start - 1, a, b), "unfold": lambda lib, x: x.unfold(a, size, step),
             "split": lambda lib, x: x.split(size, a)[-1]}[kind]
        self.push(f"{kind}(v{i}; {a}, {b}, {start}, {step}, {size}, {wider if kind == 'expand' else shape})", lambda lib, v, _: f(lib, v[i]))

    def product(self):
        i = self.pick(lambda t: is_float(t) and t.ndim >= 1)
        if i is None:
            return
        t, kind = self.values[i], self.r.choice(("matmul", "gram", "linear", "with"))
        if kind == "gram" and t.ndim >= 2:
            self.push(f"v{i} @ v{i}.mT", lambda lib, v, _: v[i] @ v[i].mT)
            return
        n = self.r.choice(EXTENTS[1:])
        shape = [n, t.shape[-1]] if kind == "linear" else [t.shape[-1], n]
        if kind == "with" and t.ndim >= 3:
            shape = [*t.shape[:-2], *shape]
        self.add_input(shape, name_of(t))
        j = len(self.values) - 1
        if kind == "linear":
            self.push(f"linear(v{i}, v{j})", lambda lib, v, _: lib.nn.functional.linear(v[i], v[j]))
        else:
            self.push(f"v{i} @ v{j}", lambda lib, v, _: lib.matmul(v[i], v[j]))

    def drawn_index(self, shape, n):
        """The number of a constant int64 value within a dimension of extent n."""
        array = self.numbers.integers(0, max(n, 1), shape)
        number = len(self.inputs)
        self.inputs.append((array, "int64", False))
        self.push(f"inputs[{number}]: int64 {tuple(shape)} < {n}", lambda lib, v, inputs: inputs[number])
        return len(self.values) - 1

    def gather(self):
        i = self.pick(lambda t: t.ndim and 0 not in t.shape)
        if i is None:
            return
        t, a = self.values[i], self.axis(i)
        if self.r.random() < 0.5:
            j = self.drawn_index([self.r.choice((0, 1, 3, 9))], t.shape[a])
            self.push(f"index_select(v{i}, {a}, v{j})", lambda lib, v, _: lib.index_select(v[i], a, v[j]))
        else:
            shape = list(t.shape)
            shape[a] = self.r.choice((1, 2, 7))
            j = self.drawn_index(shape, t.shape[a])
            self.push(f"gather(v{i}, {a}, v{j})", lambda lib, v, _: lib.gather(v[i], a, v[j]))

    def scatter(self):
        i = self.pick(lambda t: t.ndim and 0 not in t.shape)
        if i is None:
            return
        t, a = self.values[i], self.axis(i)
        n = self.r.choice((1, 2, 5, 11))
        kind = self.r.choice(("scatter_add", "index_add", "scatter_reduce"))
        if kind == "index_add":
            j = self.drawn_index([t.shape[a]], n)
        else:
            j = self.drawn_index(list(t.shape), n)
        shape = list(t.shape)
        shape[a] = n
        reduce = self.r.choice(("sum", "amax", "amin", "mean"))
        f = {"scatter_add": lambda lib, x, i: x.new_zeros(shape).scatter_add(a, i, x), "index_add": lambda lib, x, i: x.new_ones(shape).index_add(a, i, x),
             "scatter_reduce": lambda lib, x, i: x.new_ones(shape).scatter_reduce(a, i, x, reduce)}[kind]
        self.push(f"{kind}(v{i}, {a}, v{j}, {reduce})", lambda lib, v, _: f(lib, v[i], v[j]))

    def softmax(self):
        i = self.pick(lambda t: t.ndim and is_float(t))
        if i is not None:
            a, name = self.axis(i), self.r.choice(("softmax", "log_softmax"))
            self.push(f"{name}(v{i}, {a})", lambda lib, v, _: getattr(lib, name)(v[i], a))

    def norm(self):
        i = self.pick(lambda t: t.ndim and name_of(t) in ("float32", "float64"))  # of a few half numbers it is all rounding
        if i is not None:
            n = self.values[i].shape[-1]
            self.push(f"layer_norm(v{i})", lambda lib, v, _: lib.nn.functional.layer_norm(v[i], (n,)))

    def cumulative(self):
        i = self.pick(lambda t: t.ndim)
        if i is not None:
            a, name = self.axis(i), self.r.choice(("cumsum", "cumprod", "cummax", "logcumsumexp"))
            self.push(f"{name}(v{i}, {a})", lambda lib, v, _: lib.cummax(v[i], a)[0] if name == "cummax" else getattr(lib, name)(v[i], a))

    def sort(self):
        i = self.pick(lambda t: t.ndim)
        if i is not None:
            a, down = self.axis(i), self.r.random() < 0.5
            k = self.r.randint(0, self.values[i].shape[a])
            if self.r.random() < 0.5:
                self.push(f"sort(v{i}, {a}, {down})", lambda lib, v, _: lib.sort(v[i], dim=a, descending=down, stable=True)[0])
            else:
                self.push(f"topk(v{i}, {k}, {a})", lambda lib, v, _: lib.topk(v[i], k, a)[0])

    def cast(self):
        i = self.pick()
        name = self.r.choice(FLOATS + ("float32", "float64", "int64", "int32", "bool", "uint8"))
        if is_float(self.values[i]) and name in INTEGERS:
            self.push(f"clamp(v{i}).to({name})", lambda lib, v, _: lib.nan_to_num(v[i].clamp(0, 100)).to(getattr(lib, name)))
        else:
            self.push(f"v{i}.to({name})", lambda lib, v, _: v[i].to(getattr(lib, name)))

    def where(self):
        i, j = self.pick(), self.pick()
        self.push(f"where(v{i} > 0, v{i}, v{j})", lambda lib, v, _: lib.where(v[i] > 0, v[i], v[j]))

    def join(self):
        i = self.pick(lambda t: t.ndim)
        if i is not None:
            a = self.axis(i)
            j = self.pick(lambda t: t.ndim == self.values[i].ndim)
            name = self.r.choice(("cat", "stack"))
            self.push(f"{name}([v{i}, v{j}, v{i}], {a})", lambda lib, v, _: getattr(lib, name)([v[i], v[j], v[i]], a))

    def in_place(self):
        i, j = self.pick(), self.pick()
        name = self.r.choice(("add_", "mul_", "copy_", "sub_"))
        self.push(f"v{i}.clone().{name}(v{j})", lambda lib, v, _: getattr(v[i].clone(), name)(v[j]))

    def write_slice(self):
        i = self.pick(lambda t: t.ndim and t.numel())
        if i is None:
            return
        start, step, j = self.r.randint(0, 2), self.r.choice((1, 2)), self.pick()

        def f(lib, v, _):
            x = v[i].clone()
            x[start::step] = v[j]
            x.select(-1, 0).mul_(2)
            return x
        self.push(f"x = v{i}.clone(); x[{start}::{step}] = v{j}; x[..., 0] *= 2", f)

    def index(self):
        i = self.pick(lambda t: t.ndim and 0 not in t.shape)
        if i is not None:
            j = self.drawn_index(self.r.choice(([3], [2, 2], [1])), self.values[i].shape[0])
            self.push(f"v{i}[v{j}]", lambda lib, v, _: v[i][v[j]])

    def pad(self):
        i = self.pick(lambda t: t.ndim)
        if i is not None:
            widths = [self.r.randint(-1, 3) for _ in range(2 * self.r.randint(1, self.values[i].ndim))]
            self.push(f"pad(v{i}, {widths})", lambda lib, v, _: lib.nn.functional.pad(v[i], widths, value=1))


def make_input(lib, array, dtype, wants_gradient, wide=False):
    t = lib.from_numpy(np.array(array))
    if wide and dtype in FLOATS:
        dtype = "float64"
    t = t.to(getattr(lib, dtype))
    return t.requires_grad_() if wants_gradient else t


def run(lib, writer, looked_at=False, wide=False):
    """Every value of the program, and the gradient of each input, as arrays."""
    inputs = [make_input(lib, *spec, wide=wide) for spec in writer.inputs]
    values = []
    for _, function in writer.steps:
        values.append(function(lib, values, inputs))
        if looked_at:
            array_of(lib, values[-1])
    total = None
    for v in values:
        if v.dtype.is_floating_point and v.requires_grad:
            part = (v.to(lib.float64) * 0.5).sum()
            total = part if total is None else total + part
    gradients = []
    if total is not None:
        total.backward()
        gradients = [None if t.grad is None else t.grad for t in inputs]
    return [array_of(lib, v.detach()) for v in values], [None if g is None else array_of(lib, g) for g in gradients]


def array_of(lib, t):
    t = t.detach()
    if t.dtype is lib.bfloat16:
        return t.to(lib.float32).numpy().copy()
    return np.array(t.numpy())


def coarsest(writer):
    """(for each value, for each input): the float dtype of the widest tolerance among all that it is, or its gradient is, made of."""
    def wider(names):
        return max((n for n in names if n in TOLERANCE), key=lambda n: TOLERANCE[n], default="")
    values, inputs = [], [set() for _ in writer.inputs]
    reached = []  # value -> the inputs it depends on
    for (text, _), value in zip(writer.steps, writer.values):
        used = [int(n) for n in re.findall(r"\bv(\d+)", text)]
        own = re.match(r"inputs\[(\d+)\]", text)
        values.append(wider([name_of(value), *(values[n] for n in used)]))
        reached.append({int(own[1])} if own else set().union(*(reached[n] for n in used)))
        for n in reached[-1]:
            inputs[n].add(values[-1])
    return values, [wider(names) for names in inputs]


def differs(want, got, dtype, wide):
    """What is wrong with `got`, whose tolerance is that of `dtype`, or ''.  `wide` is PyTorch's answer in float64: numbers far from it
    in PyTorch itself are not judged."""
    if want is None or got is None:
        return "" if want is None and got is None else "one has no gradient"
    if want.shape != got.shape or want.dtype != got.dtype:
        return f"{want.dtype} {want.shape}, not {got.dtype} {got.shape}"
    a, b = want.astype("float64"), got.astype("float64")
    rtol, atol = TOLERANCE[dtype] if dtype and want.dtype.kind == "f" else (0, 0)
    with np.errstate(all="ignore"):
        close = (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= atol + rtol * np.abs(a))
        if wide is not None and wide.shape == a.shape:
            w = wide.astype("float64")
            off, allowed = np.abs(a - w), atol + rtol * np.abs(w)
            close |= ~(off <= 0.1 * allowed) & (np.abs(b - w) <= 10 * off + atol)
            close |= ~(off <= 20 * allowed)  # ill-conditioned: PyTorch's own is far off
    if close.all():
        return ""
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"{int((~close).sum())} of {close.size} differ, first at {list(at)}: {got[at]} instead of {want[at]}"


def check(seed, verbose):
    """(a complaint about the program of this seed, or ''; its Writer)."""
    writer = Writer(seed)
    want, want_gradients = run(torch, writer)
    try:
        wide, wide_gradients = run(torch, writer, wide=True)
    except RuntimeError:  # a product of two dtypes, now that one of them is wider
        wide, wide_gradients = [None] * len(want), [None] * len(want_gradients)
    try:
        got, gradients = run(rushlight, writer)
        looked, looked_gradients = run(rushlight, writer, looked_at=True)
    except Exception as e:
        if verbose:
            traceback.print_exc()
        return f"{type(e).__name__}: {str(e)[:300]}", writer
    of_values, of_inputs = coarsest(writer)
    exact = True  # until the first step that rounds: what follows an integer step of nothing but integers has to be exact too
    for i, (w, g, l, f) in enumerate(zip(want, got, looked, wide)):
        if why := differs(w, g, of_values[i], f):
            if not is_float(writer.values[i]) and not exact:
                continue
            return f"v{i}: {why}", writer
        if g.tobytes() != l.tobytes():
            at = np.argwhere(~((g == l) | ((g != g) & (l != l))))
            if len(at):
                at = tuple(int(n) for n in at[0])
                return f"v{i}: looked at only at the end {g[at]}, at once {l[at]} at {list(at)}", writer
        exact = exact and not is_float(writer.values[i])
    for i, (w, g, l, f) in enumerate(zip(want_gradients, gradients, looked_gradients, wide_gradients)):
        if why := differs(w, g, of_inputs[i], f):
            return f"gradient of inputs[{i}]: {why}", writer
        if g is not None and g.tobytes() != l.tobytes() and not np.array_equal(g, l, equal_nan=True):
            return f"gradient of inputs[{i}]: other bits when every value is looked at", writer
    return "", writer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the first program (0)")
    parser.add_argument("--programs", type=int, default=300, help="how many (300)")
    parser.add_argument("--verbose", action="store_true", help="print every program")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    failed, before = 0, time.perf_counter()
    for seed in range(options.seed, options.seed + options.programs):
        why, writer = check(seed, options.verbose)
        if why:
            failed += 1
        if why or options.verbose:
            print(f"seed {seed}: {why or 'agrees'}", flush=True)
            for i, (text, _) in enumerate(writer.steps):
                print(f"    v{i} = {text}   {name_of(writer.values[i])} {tuple(writer.values[i].shape)}")
    print(f"{options.programs} programs, {failed} failed, {time.perf_counter() - before:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
