"""What `rushlight.explain` and RUSHLIGHT_DEBUG show, and that looking changes nothing."""
import os
import re
import subprocess
import sys

import families
import numpy as np
import pytest

import rushlight as torch
from rushlight.compiler import explain as explaining
from rushlight.runtime.recorder import here


def without_measures(text):
    """The text without times, without where code came from and how it is cut into tasks."""
    text = re.sub(r"tasks of \d+", "tasks of <some>", text)
    text = re.sub(r", (compiled in|from disk in) [\d.e+]+ ms|, in memory", "", text)
    text = re.sub(r", [\d.e+-]+ [mu]s, [\d.]+ GB/s, [\d.]+ G operations/s", ", <time>", text)
    return re.sub(r": [\d.e+-]+ [mu]s", ": <time>", text)


def test_a_pending_tensor_shows_its_graph_and_its_kernels():
    x = torch.from_numpy(np.ones((64, 10), np.float32)) + 0
    x.tolist()
    x.exp().sum(1).tolist()
    text = torch.explain(x.exp().sum(1))
    assert without_measures(text) == """\
pending: 2 calls over 1 tensor in memory; looking at it makes 1 value
sizes   n0 = 64, n1 = 10
graph   v0 = leaf0                                       float32 (n0, n1)
        v1 = exp(v0)                                     float32 (n0, n1)
        v2 = sum(v1, axes 1)                             float32 (n0)   wanted
k0 reduce.sum: leaf0 -> out0
        2.56 kB read, 256 B written, 1.28 k operations, <time>
        for i < n0:    tasks of <some>
          a = nothing yet, for sum
          for j < n1 by 16:
            a <- sum exp(leaf0[n1*i + j])
          fold the 16 lanes of a
          out0[i] = a
all 1 kernels: <time>"""


def test_explaining_leaves_a_tensor_pending_and_its_value_right():
    x = torch.from_numpy(families.numbers(5, 7)) * 1
    y = (x * 2 + 1).tanh()
    before = here.recorder.at
    torch.explain(y)
    assert here.recorder.at is before and y._state is not None and y._place is None
    np.testing.assert_allclose(y.numpy(), np.tanh(families.numbers(5, 7) * 2 + 1), rtol=1e-6)


def test_explaining_writes_nothing_in_place():
    x = torch.from_numpy(families.numbers(5, 7)) * 1
    x.tolist()
    x.add_(1)
    torch.explain(x)
    torch.explain(x)
    np.testing.assert_array_equal(x.numpy(), families.numbers(5, 7) + 1)


def test_a_stored_tensor_says_so():
    x = torch.from_numpy(families.numbers(5, 7)) * 1
    x.tolist()
    text = torch.explain(x)
    assert text == "nothing is pending: the tensor lies in memory, torch.float32 (5, 7) with strides (7, 1)"
    assert repr(text) == text


def test_new_code_is_said_to_run_call_by_call_first():
    x = torch.from_numpy(families.numbers(3, 11)) * 1
    for f in (torch.Tensor.exp, torch.Tensor.abs, torch.Tensor.neg):
        f(x).tolist()
    note = "it is new: the first time it runs call by call, and as below when it comes again"

    def chain():
        return x.exp().abs().neg().exp().abs().neg().abs()
    text = torch.explain(chain())
    assert note in text
    here.recorder.flush()
    chain().tolist()
    text = torch.explain(chain())
    assert note not in text


@pytest.mark.parametrize("build", families.FAMILIES.values(), ids=families.FAMILIES)
def test_every_family_can_be_explained(build):
    roots, leaves = build(13, 70)
    made = families.compiled(roots)
    text = explaining.program(made, (), [1e-3] * len(made.plan.steps))
    assert text.count("\nk") + text.startswith("k") == len(made.plan.steps)
    assert "object at 0x" not in text


def test_operations_of_a_product_are_two_for_each_multiply_and_add():
    roots, leaves = families.FAMILIES["batched"](4, 5)
    made = families.compiled(roots)
    assert explaining.operations(made.plan.steps[0], ()) == 2 * 3 * 4 * 4 * 5


def test_host_steps_are_named():
    roots = torch.ir.graph.library("turn", lambda a: (a[::-1],), [torch.ir.graph.leaf(0, (4,), torch.float32)], [((4,), torch.float32)])
    assert "k0 on the host, by NumPy: turn, part: leaf0 -> out0" in families.compiled(roots).explain(())


def debugged(parts):
    """What a small program prints under RUSHLIGHT_DEBUG."""
    where = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(torch.__file__))])
    program = "import families; roots, leaves = families.FAMILIES['softmax'](4, 5); families.run(roots, leaves)"
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": where, "RUSHLIGHT_DEBUG": parts}, capture_output=True,
                          text=True, timeout=60)
    return done.stderr


def test_the_environment_asks_for_parts():
    text = debugged("graph,schedule")
    assert "v5 = exp(v4)" in text and "k0 reduce.max+reduce.sum+div: leaf0 -> out0" in text and "for i" not in text
    assert "for i < 4:" in debugged("loops")
    text = debugged("llvm,asm,time")
    assert "define void @kernel(" in text and "kernel:" in text and re.search(r"k0 reduce.max\+reduce.sum\+div: [\d.]+ [mu]s", text)


def test_a_wrong_part_is_refused():
    assert "ValueError: RUSHLIGHT_DEBUG: loop is none of graph, schedule, loops, llvm, asm, time" in debugged("graph,loop")
