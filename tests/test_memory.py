"""Memory stays flat in long runs: short versions of bench/memory.py, and what each bound is there for."""
import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

import rushlight as torch
from rushlight.runtime import memory as blocks
from rushlight.runtime import recorder as recording
from rushlight.runtime.recorder import here

BENCH = Path(__file__).parent.parent / "bench"
GROWTH = 12.0  # MB that a short run may grow by after a third of it: a few caches still fill
sys.path.insert(0, str(BENCH))

import memory as runs


@pytest.mark.parametrize("name, share", [("steps", 0.02), ("shapes", 0.05), ("views", 0.03), ("hooks_and_functions", 0.04),
                                         ("kept_losses", 0.1), ("arrays", 0.05)])
def test_memory_stays_flat(name, share):
    code = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import memory; print(memory.measure({name!r}, {share})[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < GROWTH


@pytest.fixture
def small_trie(monkeypatch):
    monkeypatch.setattr(recording, "LARGEST_TRIE", 500)


def test_a_trie_that_has_grown_large_is_dropped(small_trie):
    for _ in runs.expressions(400):
        pass
    assert here.recorder.steps < 1500
    assert (torch.ones(2) + 1).tolist() == [2, 2]


def test_what_a_dropped_trie_held_is_freed(small_trie):
    (torch.ones(3) * 2).tolist()
    root = weakref.ref(here.recorder.root) if hasattr(type(here.recorder.root), "__weakref__") else None
    held = sum(isinstance(o, recording.Step) for o in gc.get_objects())
    for _ in runs.expressions(1000):
        pass
    gc.collect()
    assert root is None or root() is not here.recorder.root
    assert sum(isinstance(o, recording.Step) for o in gc.get_objects()) < held + 2500


def test_in_place_calls_that_nobody_looks_at_are_run_in_time():
    x = torch.zeros(3)
    for _ in range(5000):
        x.add_(1)
    assert here.recorder.at.depth <= recording.LONGEST_TRACE + 10
    assert x.tolist() == [5000, 5000, 5000]


def test_calls_that_nobody_looks_at_are_run_in_time():
    x = torch.zeros(3)
    for _ in range(5000):
        x = x + 1
    assert here.recorder.at.depth <= recording.LONGEST_TRACE + 10
    assert x.tolist() == [5000, 5000, 5000]


def test_a_dropped_tensor_frees_its_memory():
    before = runs.resident()
    for _ in range(40):
        x = torch.ones(1 << 20)
        x[0].item()
        y = x * 2
        y[0].item()
    del x, y
    gc.collect()
    assert runs.resident() - before < 120e6


def test_blocks_kept_for_the_next_run_are_bounded(monkeypatch):
    monkeypatch.setattr(blocks, "KEPT", 1 << 24)
    x = torch.ones(1 << 19)  # 2 MB
    before = runs.resident()
    for k in range(1, 60):
        for _ in range(3):  # the third run would use the second's block again
            y = x
            for _ in range(k % 30):
                y = y * 1.5 if k < 30 else y + 0.5
            y[0].item()
        del y
    assert runs.resident() - before < 100e6


def test_a_graph_that_is_thrown_away_frees_what_it_saved():
    w = torch.ones(1 << 18, requires_grad=True)
    before = runs.resident()
    for _ in range(60):
        y = (w * 2).exp().sum()
        y.item()
    del y
    gc.collect()
    assert runs.resident() - before < 60e6


def test_a_recorder_holds_no_tensor_after_a_flush():
    x = torch.ones(4)
    y = x + 1
    y.tolist()
    watch = weakref.ref(x), weakref.ref(y)
    del x, y
    gc.collect()
    torch.ones(1).tolist()
    assert all(w() is None for w in watch)
