"""Code that is run once: it costs little, leaves little behind, and gives what it would give the second time."""
import gc
import random

import numpy as np
import programs as random_programs
import pytest

import rushlight as torch
from rushlight.compiler import kernels as kernel_code
from rushlight.compiler import program as compiled_programs
from rushlight.compiler import stepwise
from rushlight.compiler.native import jit
from rushlight.runtime import recorder
from rushlight.runtime.recorder import here


@pytest.fixture
def made(monkeypatch):
    """What became of graphs: 'call by call', 'at once' or 'again', in order; and 'LLVM' for each text that was compiled."""
    log = []

    def noted(module, name, word):
        function = getattr(module, name)

        def note(*args, **rest):
            result = function(*args, **rest)
            log.append(word(result))
            return result
        monkeypatch.setattr(module, name, note)
    noted(compiled_programs, "compile_cold", lambda r: "call by call" if isinstance(r, stepwise.Stepwise) else "at once")
    noted(compiled_programs, "compile_program", lambda r: "again")
    noted(jit, "compile", lambda r: "LLVM")
    return log


FUNCTIONS = ("exp", "tanh", "abs", "neg", "floor", "sin")


def expression(choose, x, y):
    """A random expression of five operators, and what NumPy says of it."""
    a, b = x, x.numpy()
    for _ in range(5):
        if choose.random() < 0.5:
            name = choose.choice(FUNCTIONS[1:])
            a, b = getattr(a, name)(), getattr(np, {"neg": "negative"}.get(name, name))(b)
        else:
            number = choose.choice([0.5, 0.25, 2.0])
            a, b = a * number + y, b * np.float32(number) + y.numpy()
    return a, b


def operands():
    x, y = (torch.from_numpy(np.linspace(-1, 1, 35, dtype=np.float32).reshape(5, 7) * n) + 0 for n in (1, 0.5))
    x.tolist()
    return x, y


def warm_up(x, y):
    """Every operator once, so that its program is there."""
    for name in FUNCTIONS:
        getattr(x, name)().tolist()
    (x * 0.5).tolist()
    (x + y).tolist()


def test_different_expressions_compile_nothing_and_are_right(made):
    choose, (x, y) = random.Random(1), operands()
    warm_up(x, y)
    del made[:]
    for _ in range(60):
        got, wanted = expression(choose, x, y)
        np.testing.assert_allclose(got.numpy(), wanted, rtol=3e-5, atol=1e-5)
    assert made.count("call by call") > 35
    assert made.count("LLVM") <= made.count("again")  # some expressions came twice


def test_what_comes_again_is_fused_and_gives_the_same_bits(made):
    x, y = operands()
    warm_up(x, y)
    del made[:]
    results = [((x * 0.5 + y).tanh().exp().abs() * 0.25).numpy().tobytes() for _ in range(3)]
    assert [m for m in made if m != "LLVM"] == ["call by call", "again"]
    assert len(set(results)) == 1


def test_a_long_trace_is_fused_at_once(made):
    x, y = operands()
    warm_up(x, y)
    del made[:]
    a = x
    for _ in range(70):
        a = (a + y).abs()
    a.tolist()
    assert made.count("at once") == 1 and "call by call" not in made


def test_a_training_loop_is_fused_from_the_third_step_on(made):
    w = torch.from_numpy(np.ones((7, 3), np.float32)) * 0.1
    w.tolist()
    w.requires_grad_()
    x, y = operands()
    for step in range(5):
        loss = ((x @ w).tanh() * 0.5).sum()
        loss.backward()
        with torch.no_grad():
            w -= w.grad * 0.1
        w.grad = None
        loss.item()
        if step == 2:
            del made[:]
    assert made == []


def test_many_expressions_leave_no_more_behind_than_a_few(monkeypatch):
    monkeypatch.setattr(recorder, "LARGEST_TRIE", 300)
    monkeypatch.setattr(stepwise, "_PROGRAMS", 12)
    monkeypatch.setattr(kernel_code, "_KERNELS", 12)
    monkeypatch.setattr(stepwise._here, "programs", stepwise.Programs())
    monkeypatch.setattr(kernel_code, "_kernels", kernel_code._Kernels())
    choose, (x, y) = random.Random(2), operands()

    def objects_after(count):
        for _ in range(count):
            expression(choose, x, y)[0].tolist()
        gc.collect()
        return len(gc.get_objects())
    few, many = objects_after(200), objects_after(200)
    assert here.recorder.steps <= 300 + 40
    assert len(stepwise._here.programs._found) <= 12 and len(kernel_code._kernels._code) <= 12
    assert many < few * 1.15


def test_random_programs_give_the_same_bits_each_of_three_times():
    choose, names = random.Random(3), random_programs.available(torch)
    for _ in range(80):
        program = [("leaf", choose.randrange(20), choose.randrange(20), choose.randrange(4)) for _ in range(2)]
        program += [(choose.choice(names), *(choose.randrange(20) for _ in range(3))) for _ in range(10)]
        first, *others = [random_programs.run(torch, program) for _ in range(3)]
        for other in others:
            assert first.values.keys() == other.values.keys(), program
            for place, value in first.values.items():
                assert np.array_equal(value, other.values[place], equal_nan=True), (place, program)
