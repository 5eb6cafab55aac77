"""Laziness cannot be seen: every value is what it would have been had each call run at once.

First random programs (programs.py), run lazily, with every value looked at after every call, with looks strewn in, and on the reference
interpreter.  Then sentence by sentence what trips lazy frameworks: memory that is shared, mutated or dropped; exceptions; and other code that runs in the
middle of a call: threads, signal handlers, `__del__`, the garbage collector.  tests/conformance/test_laziness_torch.py holds the same programs against PyTorch.
"""
import asyncio
import collections
import contextlib
import copy
import dis
import gc
import os
import pickle
import queue
import random
import signal
import sys
import threading
import time
import weakref

import numpy as np
import programs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rushlight as torch
from rushlight.ir.extents import current
from rushlight.runtime.recorder import Step, here

RANDOM = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
PROGRAMS = programs.strategy(st, programs.available(torch))


def same(one, other, exact=True):
    difference = programs.difference(one, other, exact)
    assert difference is None, difference


# ---------------------------------------------------------------------------------------------------------------------
# Random programs

@RANDOM
@given(PROGRAMS)
def test_looking_at_every_value_after_every_call_changes_no_bit(program):
    same(programs.run(torch, program), programs.run(torch, program, watch=True))


@RANDOM
@given(PROGRAMS, st.integers(0, 2**32))
def test_looking_at_other_points_changes_no_bit(program, seed):
    chance = random.Random(seed)
    strewn = [action for a in program for action in [a, *([("read", chance.randrange(12), 0, 0)] if chance.random() < 0.3 else [])]]
    one, other = programs.run(torch, program), programs.run(torch, strewn)
    last_of = {(place[1], place[2]): v.tobytes() for place, v in one.values.items() if place[0] == one.step}
    assert last_of == {(place[1], place[2]): v.tobytes() for place, v in other.values.items() if place[0] == other.step}


@RANDOM
@given(PROGRAMS)
def test_the_reference_interpreter_gives_the_same(program):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rushlight.runtime.plan.backend", lambda: "reference")
        wanted = in_a_thread(lambda: programs.run(torch, program))  # a thread has a trie of its own, without compiled plans
    same(programs.run(torch, program), wanted, exact=False)


@RANDOM
@given(PROGRAMS)
def test_the_second_time_is_like_the_first(program):
    same(programs.run(torch, program), programs.run(torch, program))


def in_a_thread(function):
    """The result of a function that another thread runs."""
    answers = []

    def run():
        try:
            answers.append((function(), None))
        except BaseException as error:
            answers.append((None, error))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "the thread hangs"
    (value, error), = answers
    if error is not None:
        raise error
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Shared memory

def test_a_reader_recorded_before_a_write_through_a_view_sees_the_old_values():
    x = torch.tensor([1.0, 2.0, 3.0])
    view = x[1:]
    before = x * 10
    view.add_(100)
    after = x * 10
    assert before.tolist() == [10, 20, 30]
    assert after.tolist() == [10, 1020, 1030]


def test_a_reader_of_a_view_recorded_before_a_write_to_its_base_sees_the_old_values():
    x = torch.tensor([1.0, 2.0, 3.0]) + 0
    view = x[1:]
    before = view + 0.5
    x.mul_(2)
    assert before.tolist() == [2.5, 3.5]
    assert view.tolist() == [4, 6]


def test_views_of_views_of_a_pending_tensor_show_what_is_written_through_any_of_them():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) * 1
    row, column = x[1], x.t()[2]
    cell = row[2:]
    column.mul_(10)
    assert cell.tolist() == [60]
    cell.add_(1)
    assert (x.tolist(), row.tolist(), column.tolist()) == ([[1, 2, 30], [4, 5, 61]], [4, 5, 61], [30, 61])


def test_views_of_views_that_were_stored_in_between_lie_where_they_did():
    x = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    a = x[2:]
    a.tolist()
    b = a[1:]
    assert (b.tolist(), b.storage_offset()) == ([3, 4, 5], 3)
    c = b.detach()[1:]
    c.fill_(7)
    assert x.tolist() == [0, 1, 2, 3, 7, 7]


def test_detach_shares_the_memory_both_ways():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    d = y.detach()
    d.add_(1)
    assert y.tolist() == [3, 5] and d._version == y._version == 1
    with torch.no_grad():
        y.mul_(2)
    assert d.tolist() == [6, 10]


def test_what_is_written_through_data_does_not_count_as_a_version():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (w * w).sum()
    w.data.add_(1)
    w.data[0].fill_(5)
    assert w.tolist() == [5, 3] and w._version == 0 and w.is_leaf
    y.backward()
    assert w.grad.tolist() == [10, 6]  # of what lies there now, as in PyTorch


def test_tied_weights_are_one_tensor_wherever_they_are_used():
    w = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = torch.tensor([1.0, 1.0])
    (w.t() @ (w @ x)).sum().backward()
    g = w.grad
    with torch.no_grad():
        w -= 0.1 * g
    assert np.allclose(w.detach().numpy(), [[1 - 0.1 * 6, 2 - 0.1 * 6], [3 - 0.1 * 14, 4 - 0.1 * 14]])


def test_rows_that_overlap_show_each_others_writes():
    x = torch.tensor([0.0, 1.0, 2.0, 3.0])
    windows = x.as_strided((3, 2), (1, 1))
    windows[1].fill_(9)
    assert windows.tolist() == [[0, 9], [9, 9], [9, 3]] and x.tolist() == [0, 9, 9, 3]


def test_an_expanded_tensor_follows_its_source_and_refuses_to_be_written_to():
    x = torch.tensor([[1.0], [2.0]])
    wide = x.expand(2, 3)
    x.add_(1)
    assert wide.tolist() == [[2, 2, 2], [3, 3, 3]]
    with pytest.raises(RuntimeError, match="more than one element"):
        wide.add_(1)
    assert x.tolist() == [[2], [3]]


def test_out_writes_into_memory_that_others_see():
    x, y = torch.tensor([1.0, 2.0]), torch.zeros(2, 2)
    row = y[1]
    torch.add(x, 1, out=row)
    assert y.tolist() == [[0, 0], [2, 3]]


def test_a_tensor_put_over_other_memory_leaves_its_views_behind():
    x = torch.tensor([1.0, 2.0])
    view = x[:1]
    x.data = torch.tensor([5.0, 6.0])
    view.add_(10)
    assert (x.tolist(), view.tolist()) == ([5, 6], [11])


# ---------------------------------------------------------------------------------------------------------------------
# Memory shared with NumPy

def test_what_numpy_writes_is_seen_by_later_calls_only():
    array = np.array([1.0, 2.0])
    x = torch.from_numpy(array)
    before = x + 1
    view = x[1:]
    array[:] = 7
    after = x + 1
    assert (before.tolist(), after.tolist(), view.tolist(), (view * 2).tolist()) == ([2, 3], [8, 8], [7], [14])


def test_what_a_tensor_writes_is_in_the_array_when_the_call_returns():
    array = np.zeros(3)
    x = torch.from_numpy(array)
    x[1:].add_(torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert array.tolist() == [0, 1, 2]
    x.mul_(2)
    assert array.tolist() == [0, 2, 4]


def test_the_array_of_a_pending_tensor_shows_it_from_then_on():
    x = torch.tensor([1.0, 2.0]) * 3
    array = x.numpy()
    y = x + 1
    x.add_(1)
    assert array.tolist() == [4, 7] and y.tolist() == [4, 7]
    array[0] = 100
    assert x.tolist() == [100, 7] and (x * 1).tolist() == [100, 7] and y.tolist() == [4, 7]


def test_an_array_of_a_part_pins_the_whole():
    x = torch.tensor([1.0, 2.0, 3.0])
    part = x[1:].numpy()
    y = x * 2
    part[:] = 0
    assert y.tolist() == [2, 4, 6] and x.tolist() == [1, 0, 0]


def test_two_tensors_over_one_array_see_each_other():
    array = np.array([1.0, 2.0])
    a, b = torch.from_numpy(array), torch.from_numpy(array[1:])
    y = b * 10
    a.add_(1)
    assert (y.tolist(), b.tolist(), array.tolist()) == ([20], [3], [2, 3])


def test_a_tensor_over_the_array_of_a_tensor_sees_it_though_the_array_is_gone():
    a = torch.tensor([1.0, 2.0])
    b = torch.from_numpy(a.numpy())
    y = b * 10
    a.add_(1)
    assert (y.tolist(), b.tolist()) == ([10, 20], [2, 3])


def test_an_array_whose_base_is_still_held_is_shared():
    base = np.zeros(4)
    x = torch.from_numpy(base[1:3])
    y = x + 1
    base[:] = 5
    assert y.tolist() == [1, 1] and x.tolist() == [5, 5]


def test_bytes_under_an_array_are_shared():
    data = bytearray(16)
    x = torch.from_numpy(np.frombuffer(data, np.float64))
    y = x + 1
    data[:] = np.array([3.0, 4.0]).tobytes()
    assert y.tolist() == [1, 1] and x.tolist() == [3, 4]


def test_an_array_that_died_leaves_the_memory_to_the_tensor():
    x = torch.from_numpy(np.array([1.0, 2.0]))
    gc.collect()
    y = x + 1
    x.add_(10)
    assert y.tolist() == [2, 3] and x.tolist() == [11, 12]


def test_memory_that_was_shown_and_hidden_again_is_written_lazily():
    x = torch.tensor([1.0, 2.0]) + 0
    array = x.numpy()
    del array
    y = x + 1
    x.add_(1)
    assert here.recorder.trace.handles
    assert y.tolist() == [2, 3] and x.tolist() == [2, 3]


# ---------------------------------------------------------------------------------------------------------------------
# Gradients

def test_a_write_through_a_view_is_differentiated():
    a, b = torch.tensor([1.0, 2.0, 3.0], requires_grad=True), torch.tensor([5.0], requires_grad=True)
    x = a * 2
    x[1:2].mul_(b)
    x[2] = 7
    (x * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert a.grad.tolist() == [2, 100, 0] and b.grad.tolist() == [40]


def test_a_view_made_before_its_base_was_written_is_differentiated_through_the_write():
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0], requires_grad=True)
    x = a * 1
    view = x[1:]
    x.mul_(b)
    view.sum().backward()
    assert a.grad.tolist() == [0, 4] and b.grad.tolist() == [0, 2]


def test_what_is_written_into_a_detached_tensor_gets_a_gradient_and_its_source_none():
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0], requires_grad=True)
    x = a * 2
    d = x.detach()
    d.mul_(b)
    assert d.requires_grad and x.tolist() == [6, 16]
    (d.sum() + x.sum()).backward()
    assert a.grad.tolist() == [2, 2] and b.grad.tolist() == [2, 4]


def test_a_write_under_no_grad_leaves_the_history_as_it_was():
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    x = a * 2
    with torch.no_grad():
        x.add_(1)
        x[0] = 100
    assert x.requires_grad and not x.is_leaf
    x.sum().backward()
    assert a.grad.tolist() == [2, 2] and x.tolist() == [100, 5]


@pytest.mark.parametrize("look", [False, True])
def test_a_saved_tensor_that_was_overwritten_is_an_error_in_pytorchs_words(look):
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (a * 1).exp()
    z = y * 2
    if look:
        z.tolist()
    y.add_(1)
    if look:
        y.tolist()
    with pytest.raises(RuntimeError, match=r"has been modified by an inplace operation: \[torch.FloatTensor \[2\]\] is at version 1; expected version 0"):
        y.sum().backward()


@pytest.mark.parametrize("look", [False, True])
def test_a_saved_leaf_that_was_overwritten_is_an_error(look):
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
    y = a * b
    if look:
        y.tolist()
    b[1:].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_what_no_wanted_gradient_reads_may_be_overwritten():
    w, x = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
    y = w * x
    with torch.no_grad():
        w.add_(1)
    y.sum().backward()
    assert w.grad.tolist() == [3, 4]


@pytest.mark.parametrize("look", [False, True])
def test_an_in_place_call_may_read_what_it_overwrites(look):
    x, w = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0], requires_grad=True)
    x.mul_(w)
    if look:
        x.tolist()
    x.sum().backward()
    assert w.grad.tolist() == [1, 2]


def test_a_leaf_and_views_of_a_leaf_refuse_to_be_written_to():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        w.add_(1)
    with pytest.raises(RuntimeError, match="a view of a leaf Variable"):
        w[:1].add_(1)
    w.detach()[:1].add_(1)
    assert w.tolist() == [2, 2]


def test_gradients_pass_through_views_of_views_of_one_kind():
    x = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]], requires_grad=True)
    weight = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]]])
    (x.permute(1, 2, 0).permute(1, 0, 2) * weight).sum().backward()
    assert x.grad.tolist() == [[[1, 3, 5], [2, 4, 6]]]
    y = torch.tensor([[1.0]], requires_grad=True)
    y.expand(3, 1).expand(3, 4).sum().backward()
    assert y.grad.tolist() == [[12]]


# ---------------------------------------------------------------------------------------------------------------------
# Sizes, exceptions, copies

def step_of_a_network(batch, weight):
    x = torch.tensor(np.arange(batch * 3, dtype=np.float32).reshape(batch, 3))
    loss = ((x @ weight).tanh() * 0.5).sum()
    loss.backward()
    with torch.no_grad():
        weight -= 0.01 * weight.grad
    weight.grad = None
    return loss.item()


def test_a_new_batch_size_adds_nothing_to_the_trie():
    weight = torch.tensor(np.ones((3, 2), np.float32), requires_grad=True)
    for batch in (0, 1, 2, 3, 5, 0, 1, 2, 3, 5):
        step_of_a_network(batch, weight)
    steps = here.recorder.steps
    for batch in (7, 11, 13, 17, 64, 128, 0, 1):
        step_of_a_network(batch, weight)
    assert here.recorder.steps == steps


def test_an_exception_in_mid_trace_leaves_everything_as_it_was():
    x = torch.tensor([1.0, 2.0, 3.0])
    y = x * 2
    view = y[1:]
    for wrong in (lambda: y + torch.tensor([1.0, 2.0]), lambda: view.add_(torch.tensor([1.0, 2.0, 3.0])), lambda: y.reshape(2, 2), lambda: y[5],
                  lambda: y.sum(7), lambda: torch.add(y, "a")):
        with pytest.raises((RuntimeError, IndexError, TypeError)):
            wrong()
    view.add_(1)
    assert (x.tolist(), y.tolist(), view.tolist()) == ([1, 2, 3], [2, 5, 7], [5, 7])


def test_a_pending_tensor_can_be_pickled_and_deep_copied_with_those_it_shares_memory_with():
    base = torch.tensor([1.0, 2.0, 3.0]) * 2
    pair = (base, base[1:])
    for again in (pickle.loads(pickle.dumps(pair)), copy.deepcopy(pair)):
        again[1].add_(10)
        assert again[0].tolist() == [2, 14, 16]
    assert base.tolist() == [2, 4, 6]
    leaf = torch.tensor([1.0], requires_grad=True)
    assert copy.deepcopy(leaf).requires_grad
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(leaf * 2)


def test_generators_under_modes_record_in_their_own_mode():
    w = torch.tensor([1.0], requires_grad=True)

    @torch.no_grad()
    def twice():
        yield w * 2
        yield w * 3
    values = []
    for y in twice():
        values.append((y.requires_grad, (w * y).requires_grad))
    assert values == [(False, True), (False, True)] and torch.is_grad_enabled()


def test_a_weak_reference_dies_at_the_next_flush_at_the_latest():
    x = torch.tensor([1.0, 2.0])
    y = x * 2
    kept, gone = weakref.ref(y), weakref.ref(x * 3)
    z = y + 1
    z.tolist()
    assert gone() is None and kept() is y and kept().tolist() == [2, 4]


def test_a_tensor_that_a_weak_reference_brings_back_before_the_flush_has_its_value():
    x = torch.tensor([1.0, 2.0])
    gone = weakref.ref(x * 3)
    back = gone()
    del x
    assert back is None or back.tolist() == [3, 6]


def test_deep_graphs_need_no_recursion():
    depth = 100_000
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    limit = sys.getrecursionlimit()
    start = time.perf_counter()
    y = x
    for _ in range(depth):
        y = y * 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1, 1] and sys.getrecursionlimit() == limit
    assert time.perf_counter() - start < 60
    del y


def memory():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_flat_over_many_batch_sizes_and_many_traces():
    weight = torch.tensor(np.ones((3, 2), np.float32), requires_grad=True)

    def work(start):
        for batch in range(start, start + 300):
            step_of_a_network(batch, weight)
    work(2)
    before = memory()
    work(302)
    work(602)
    assert memory() - before < 20e6


def test_the_trie_is_bounded_though_every_trace_is_another(monkeypatch):
    monkeypatch.setattr("rushlight.runtime.recorder.LARGEST_TRIE", 500)
    x = torch.tensor([1.0])
    chance = random.Random(0)
    for _ in range(100):
        y = x
        for _ in range(10):
            y = chance.choice([lambda t: t + 1, lambda t: t * 2, lambda t: -t, lambda t: t.tanh()])(y)
        y.tolist()
        assert here.recorder.steps < 600


# ---------------------------------------------------------------------------------------------------------------------
# Other code in the middle of a call

def test_a_tensor_pending_in_another_thread_can_be_used_here():
    x = torch.tensor([1.0, 2.0])
    y = in_a_thread(lambda: (x + 1) * 2)
    z = y + x
    assert tuple(y.shape) == (2,) and z.tolist() == [5, 8]
    p = in_a_thread(lambda: x * 5)
    assert p.stride() == (1,) and p.requires_grad is False and p._version == 0 and p.tolist() == [5, 10]


def test_gradients_flow_back_through_what_other_threads_recorded():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = in_a_thread(lambda: w * w)
    y.sum().backward()
    assert w.grad.tolist() == [2, 4]
    z = (w * 3).sum()
    in_a_thread(z.backward)
    assert w.grad.tolist() == [5, 7]


def test_a_tensor_written_in_one_thread_is_seen_in_another():
    x = torch.zeros(3)
    view = x[1:]
    view.add_(1)
    assert in_a_thread(lambda: (x * 2).tolist()) == [0, 2, 2]
    in_a_thread(lambda: (view.add_(1), None)[1])
    assert x.tolist() == [0, 2, 2]


def train(seed, steps=30):
    chance = np.random.default_rng(seed)
    data = torch.tensor(chance.standard_normal((16, 4)).astype(np.float32))
    w = torch.tensor(chance.standard_normal((4, 2)).astype(np.float32), requires_grad=True)
    losses = []
    for _ in range(steps):
        loss = ((data @ w).tanh() * 0.5).sum()
        loss.backward()
        with torch.no_grad():
            w -= 0.05 * w.grad
        w.grad = None
        losses.append(loss)
    return [x.item() for x in losses], w.tolist()


def test_threads_that_train_side_by_side_get_what_each_gets_alone():
    wanted = [train(seed) for seed in range(4)]
    answers = {}

    def work(seed):
        answers[seed] = train(seed)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
    finally:
        sys.setswitchinterval(interval)
    assert [answers[seed] for seed in range(4)] == wanted


def test_tensors_handed_through_queues_arrive_with_their_values():
    there, back = queue.Queue(), queue.Queue()

    def work():
        while (x := there.get()) is not None:
            back.put(x * 2 + 1)
    thread = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        thread.start()
        x = torch.tensor([1.0, -1.0])
        for i in range(200):
            there.put(x + i)
            x = back.get(timeout=30) - 2 * i
            assert tuple(x.shape) == (2,)
            x = x - 1 if i % 7 else (x - 1).clone()
            x = x * 0.5
        there.put(None)
    finally:
        sys.setswitchinterval(interval)
    thread.join(30)
    assert x.tolist() == [1, -1]


def test_asyncio_to_thread_hands_tensors_over():
    async def main():
        x = torch.tensor([1.0, 2.0]) * 2
        y = await asyncio.to_thread(lambda: x + 1)
        many = await asyncio.gather(*(asyncio.to_thread(lambda i=i: (y * i).sum()) for i in range(8)))
        return [z.item() for z in many]
    assert asyncio.run(main()) == [8.0 * i for i in range(8)]


def test_a_recorder_that_dies_with_its_thread_leaves_its_tensors_their_values():
    made = []
    thread = threading.Thread(target=lambda: made.append(torch.tensor([1.0]) + 1))
    thread.start()
    thread.join()
    gc.collect()
    assert (made[0] * 2).tolist() == [4]


class Interruptions:
    """A timer whose handler computes: with tensors of its own, with pending ones of the program, looking at some."""

    def __init__(self, seconds=0.0005):
        self.seconds, self.count, self.shared, self.wrong = seconds, 0, None, []

    def handler(self, *_):
        try:
            self.compute()
        except Exception as error:
            self.wrong.append(error)
        finally:
            signal.setitimer(signal.ITIMER_REAL, self.seconds)  # once more, but never while it runs

    def compute(self):
        self.count += 1
        n = self.count % 5 + 1
        own = (torch.tensor(np.arange(n, dtype=np.float32)) * 2 + 1).sum()
        if self.count % 3 == 0 and own.item() != n * n:
            self.wrong.append(("own", n, own.item()))
        x = self.shared
        if x is not None:
            y = x * 2
            if tuple(y.shape) != (2, 2):
                self.wrong.append(("shape", y.shape))
            if self.count % 2 == 0 and y.tolist() != [[2, 4], [6, 8]]:
                self.wrong.append(("shared", y.tolist()))
            if self.count % 7 == 0:
                w = torch.tensor([2.0], requires_grad=True)
                with torch.enable_grad():
                    (w * w).sum().backward()
                if w.grad.tolist() != [4]:
                    self.wrong.append(("gradient", w.grad.tolist()))

    def __enter__(self):
        self.before = signal.signal(signal.SIGALRM, self.handler)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_what_numpy_computes_is_computed_in_a_fork_too():
    """The main thread has it computed by another one, which a fork has not."""
    x = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    for _ in range(3):
        assert torch.linalg.inv(x).tolist() == [[0.5, 0.0], [0.0, 0.25]]
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if torch.linalg.inv(x * 2).tolist() == [[0.25, 0.0], [0.0, 0.125]] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert torch.linalg.inv(x * 2).tolist() == [[0.25, 0.0], [0.0, 0.125]]


def test_signal_handlers_that_compute_in_the_middle_of_calls_change_nothing():
    wanted = train(1, 10)
    with Interruptions() as interruptions:
        for i in range(1000):
            x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) + 0
            interruptions.shared = x + 0
            view = x[i % 2]
            z = (x * 2 + i).tanh() if i % 3 else x.reshape(4) - i
            view.add_(1)
            assert z.shape[0] in (2, 4)
            if i % 4 == 0:
                assert view.tolist() == ([2, 3] if i % 2 == 0 else [4, 5])
            if i % 50 == 0:
                assert in_a_fresh_trie(lambda: train(1, 10)) == wanted
            if interruptions.count > 300:
                break
    assert interruptions.count > 20 and not interruptions.wrong, interruptions.wrong[:5]


def in_a_fresh_trie(function):
    """Run a function as if nothing had ever been recorded, so that every call is inferred."""
    recorder, root = here.recorder, Step(None, None)
    while True:
        recorder.flush()
        trace = recorder.trace
        if not trace.handles and not trace.leaves:  # nothing comes between these
            recorder.root = recorder.at = root
            break
    recorder.steps = 0
    return function()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_an_interrupt_in_mid_flush_loses_nothing():
    class Stop(Exception):
        pass

    armed = []

    def stop(*_):
        if armed:
            armed.clear()
            raise Stop
    before = signal.signal(signal.SIGALRM, stop)
    x = torch.tensor([1.0, 2.0])
    total, stopped = 0, 0
    try:
        for i in range(300):
            y = (x + i) * 2
            z = y - x
            try:
                armed.append(True)
                signal.setitimer(signal.ITIMER_REAL, 0.00002 * (i % 20 + 1))
                in_a_fresh_trie(lambda: z.tolist()) if i % 5 == 0 else z.tolist()
                for _ in range(10000):
                    pass
                armed.clear()
            except Stop:
                stopped += 1
            assert z.tolist() == [2 * i + 1, 2 * i + 2] and y.tolist() == [2 * i + 2, 2 * i + 4]
            total += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert total == 300 and stopped > 50


AFTER_CALLS = {dis.opmap[name] for name in ("CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD")}


def watched(meet, after_calls=False):
    """What `sys.settrace` takes: `meet(point)` at each place in the package where Python runs signal handlers: where a function begins
    and, if asked for, after a call or a jump back."""
    last = {}

    def inside(frame, event, argument):
        if event == "opcode":
            before = last.get(frame)
            if before is not None and frame.f_code.co_code[before] in AFTER_CALLS:
                meet((frame.f_code, before))
            last[frame] = frame.f_lasti
        elif event == "return":
            last.pop(frame, None)
        return inside

    def begin(frame, event, argument):
        if not frame.f_globals.get("__name__", "").startswith("rushlight"):
            return None
        meet((frame.f_code, None))
        frame.f_trace_opcodes, frame.f_trace_lines = after_calls, False
        return inside if after_calls else None
    return begin


def points(function, after_calls=False):
    """How often each point is met in the course of `function()`."""
    met = collections.Counter()
    sys.settrace(watched(lambda point: met.update([point]), after_calls))
    try:
        function()
    finally:
        sys.settrace(None)
    return met


def interrupted(point, number, action, function):
    """`function()`, with `action` done where the point is met for the `number`-th time."""
    left = number

    def meet(found):
        nonlocal left
        left -= found == point
        if not left:
            left = -1
            sys.settrace(None)
            action()
    sys.settrace(watched(meet, point[1] is not None))
    try:
        return function()
    finally:
        sys.settrace(None)


def test_an_exception_at_the_entry_of_any_function_leaves_nothing_behind():
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    def compute(y):
        in_a_fresh_trie(lambda: ((x * 3).exp() + y).tolist())

    x = torch.tensor([1.0, 2.0])
    compute(x * 2)
    met = points(lambda: compute(x * 2))
    assert len(met) > 100
    for point, count in met.items():
        for number in {1, count}:
            y = (x + number) * 2
            z = y - x
            with contextlib.suppress(Stop):
                interrupted(point, number, stop, lambda z=z: compute(z))
            where = point[0].co_qualname
            assert current() is None, where  # what was taken for given on the way is not any more
            assert (z + 0).tolist() == [2 * number + 1, 2 * number + 2], where
            assert y.tolist() == [2 * number + 2, 2 * number + 4], where


@pytest.mark.parametrize("recorded_before", [False, True])
def test_a_handler_that_computes_anywhere_changes_nothing(recorded_before):
    shared = None

    def handler():
        assert (torch.tensor(np.arange(3, dtype=np.float32)) * 2 + 1).sum().item() == 9
        if shared is not None:
            y = shared * 2
            assert tuple(y.shape) == (2, 2) and y.tolist() == [[2, 4], [6, 8]]
        w = torch.tensor([2.0], requires_grad=True)
        with torch.enable_grad():
            (w * w).sum().backward()
        assert w.grad.tolist() == [4]

    def program():
        nonlocal shared
        x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) + 0
        shared = x + 0
        view = x[0]
        z = x.reshape(4) - 7
        view.add_(1)
        assert view.tolist() == [2, 3]
        w = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        loss = ((x @ w).tanh() * 0.5).sum()
        loss.backward()
        with torch.no_grad():
            w -= 0.05 * w.grad
        w.grad = None
        return z.tolist(), loss.item(), w.tolist()

    def run():
        return program() if recorded_before else in_a_fresh_trie(program)
    wanted = run()
    run()
    met = points(run, after_calls=recorded_before)
    assert len(met) > 100
    for point, count in met.items():
        number = count if point[0].co_firstlineno % 2 else (count + 1) // 2
        assert interrupted(point, number, handler, run) == wanted, (point[0].co_qualname, point[1], number)


def test_destructors_that_compute_in_the_middle_of_calls_change_nothing():
    seen = []

    class Computes:
        def __init__(self):
            self.me = self  # so that only the garbage collector finds it
            self.tensor = torch.tensor([1.0, 2.0]) * 2

        def __del__(self):
            seen.append((self.tensor + 1).tolist())
    threshold = gc.get_threshold()
    gc.set_threshold(20)
    try:
        for i in range(200):
            Computes()
            x = torch.tensor([1.0, 2.0, 3.0]) * i
            x[1:].add_(1)
            y = (x.tanh() if i % 2 else -x).reshape(3, 1) + x
            assert tuple(y.shape) == (3, 3)
            if i % 3 == 0:
                assert x.tolist() == [i, 2 * i + 1, 3 * i + 1]
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert len(seen) == 200 and all(s == [3, 5] for s in seen)


def test_callbacks_of_the_garbage_collector_and_of_weak_references_may_compute():
    answers = []

    def callback(*_):
        answers.append((torch.tensor([1.0, 2.0]) * 3).sum().item())
    gc.callbacks.append(callback)
    try:
        x = torch.tensor([1.0, 2.0])
        y = x * 2
        reference = weakref.ref(y + 1, callback)
        gc.collect()
        assert (y + x).tolist() == [3, 6]
    finally:
        gc.callbacks.remove(callback)
    assert reference() is None and answers and set(answers) == {9.0}


def is_pending(t):
    return t._state is not None


def test_an_index_that_must_be_in_range_ends_no_trace():
    rows = torch.arange(12.0).view(6, 2)
    targets = torch.tensor([[0, 1, 2], [1, 0, 2]])
    F = torch.nn.functional
    before = rows * 2
    for index in (torch.arange(6), torch.arange(1, 6, 2) - 1, torch.arange(3) * 2 + 1, targets.flatten(), targets[:, 1:], targets.t().reshape(-1)):
        F.embedding(index, before)
    F.cross_entropy(before.view(4, 3), targets[:, 1:].flatten())
    before[torch.arange(3)]
    assert is_pending(before)


def test_an_index_of_which_nothing_is_known_is_looked_at():
    rows, F = torch.arange(12.0).view(6, 2), torch.nn.functional
    for index in (lambda: torch.arange(7), lambda: torch.arange(3) + 4, lambda: torch.arange(3) - 1, lambda: torch.tensor([[5, 6]]).flatten(),
                  lambda: torch.full((2,), 300).to(torch.uint8).long() + 5):
        pending = rows * 2
        with pytest.raises(IndexError, match="out of bounds for dimension 0 with size 6"):
            F.embedding(index(), pending)
    wide = torch.tensor([9, 1, 0, 9])
    kept = F.embedding(wide[1:3], rows)  # the whole storage has numbers that are out of range, this part of it none
    assert kept.tolist() == [[2, 3], [0, 1]]
    wide += 1
    assert F.embedding(wide[1:3], rows).tolist() == [[4, 5], [2, 3]]


def test_a_view_keeps_what_is_known_of_the_dimensions_that_it_keeps():
    """So a kernel can read through it: the parts of one tensor, seen as heads, are no copies."""
    for rows, length, heads, width in ((2, 5, 3, 4), (3, 7, 2, 6)):
        x = torch.arange(float(rows * length * 2 * heads * width)).view(rows, length, 2 * heads * width)
        first, second = (part.view(rows, length, heads, width).transpose(1, 2) for part in (x + 1).split(heads * width, 2))
        text = torch.explain(first @ second.transpose(2, 3))
        assert "slice: " not in text and "permute: " not in text


def test_what_a_program_begins_with_is_written_at_once_and_seen_by_all():
    """Parameters' first values leave nothing pending, so that the first step of a training is the program that all others are."""
    from rushlight.runtime.recorder import here
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    layer[0].weight.sum().item()
    weight, seen = layer[0].weight, layer[0].weight.detach()
    version, before = weight._version, weight.tolist()
    with torch.no_grad():
        weight.fill_(2.0)
        layer[0].bias.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0]))
        torch.nn.init.uniform_(layer[1].weight)
    assert not here.recorder.trace.leaves and weight._version == version + 1
    assert seen.tolist() == [[2.0] * 3] * 4 and before != seen.tolist()
    assert layer[0].bias.tolist() == [0.0, 1.0, 2.0, 3.0]
    doubled = weight * 2          # read before it is written again: it keeps what was there
    with torch.no_grad():
        weight.fill_(5.0)
    assert doubled.tolist() == [[4.0] * 3] * 4 and weight.tolist() == [[5.0] * 3] * 4
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        weight.fill_(1.0)


def test_complex_numbers_in_a_program_change_no_bit_of_what_is_real():
    x = torch.tensor(np.linspace(-2, 2, 37))
    alone = (x * 1).exp().tanh().tolist()
    pending, spectrum = (x * 1).exp().tanh(), torch.fft.fft(x)
    assert pending.tolist() == alone and abs(spectrum[0].item()) < 1e-9


def test_writing_through_a_view_of_one_element_with_strides_of_its_own():
    x = torch.tensor([[3.0, 4.0], [5.0, 6.0]])[1::2, 1::2] * 1
    x = x.as_strided((1, 1), (6, 2)).clone()
    x[1:] = 7.0
    x.select(-1, 0).mul_(2)
    y = x.clone()
    y.select(-1, 0).mul_(2)
    assert (x.tolist(), y.tolist()) == ([[12.0]], [[24.0]])
