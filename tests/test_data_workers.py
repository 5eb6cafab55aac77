"""Worker processes of the DataLoader: what they give, how they fail, and that nobody is left behind or waited for in vain."""
import gc
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info
from rushlight.utils.data.transport import Channel

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Made(Dataset):
    """Sample i is make(i)."""

    def __init__(self, make, length=12):
        self.make, self.length = make, length

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        return self.make(i)


def squares(i):
    return torch.tensor(i) ** 2


def lives(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return sys.platform != "linux"


def gone_within(seconds, pids):
    end = time.monotonic() + seconds
    while any(map(lives, pids)):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(autouse=True)
def nobody_is_left_behind():
    yield
    gc.collect()
    assert multiprocessing.active_children() == []


def test_workers_give_the_same_batches_in_the_same_order():
    class Slow(TensorDataset):
        def __getitem__(self, index):
            time.sleep(0.01 * (int(index) % 3))
            return super().__getitem__(index)
    data = Slow(torch.arange(22.0).reshape(11, 2), torch.arange(11))
    for how in ({"batch_size": 3}, {"batch_size": 4, "drop_last": True}, {"batch_size": None}, {"batch_sampler": [[5, 5], [1]]}):
        alone = [[part.tolist() for part in batch] for batch in DataLoader(data, **how)]
        loader = DataLoader(data, num_workers=2, **how)
        assert [[part.tolist() for part in batch] for batch in loader] == alone and len(loader) == len(alone)


def test_what_a_worker_knows_of_itself():
    def make(i):
        info = get_worker_info()
        if i == 5:
            info.id = 5
        return os.getpid(), info.id, info.num_workers, info.seed, repr(info), info.dataset[0] if i else None
    torch.manual_seed(0)
    iterator = iter(DataLoader(Made(make), batch_size=1, num_workers=2, collate_fn=lambda batch: batch[0]))
    found = [next(iterator) for _ in range(5)]
    assert len({pid for pid, *_ in found} | {os.getpid()}) == 3
    assert [number for _, number, *_ in found] == [0, 1, 0, 1, 0] and found[1][3] == found[0][3] + 1 and found[0][2] == 2
    assert found[0][4].startswith("WorkerInfo(id=0, num_workers=2, seed=") and get_worker_info() is None and found[1][5][1] == 1
    with pytest.raises(RuntimeError, match="Cannot assign attributes to WorkerInfo objects"):
        next(iterator)


def test_random_numbers_follow_from_the_seed_in_every_worker():
    def draw(i):
        return torch.rand(()).item(), random.random(), np.random.rand()
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        runs.append(list(DataLoader(Made(draw, 4), num_workers=2, collate_fn=lambda batch: batch[0])))
    assert runs[0] == runs[1] and len({number for draws in runs[0] for number in draws}) == 12


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_ways_of_starting_processes(method):
    torch.manual_seed(0)
    loader = DataLoader(Made(squares), batch_size=5, shuffle=True, num_workers=1, multiprocessing_context=method)
    assert sorted(number for batch in loader for number in batch.tolist()) == [i * i for i in range(12)]


def test_what_was_pending_before_the_fork_is_seen_by_the_workers():
    pending = torch.arange(4.0) * 2
    view = pending[1:]
    view += 1
    assert [batch.tolist() for batch in DataLoader(TensorDataset(pending), batch_size=2, num_workers=1) for batch in batch] == [[0, 3], [5, 7]]
    assert pending.tolist() == [0, 3, 5, 7]


def test_large_arrays_come_through_shared_memory_and_are_ones_own():
    def make(i):
        return {"x": torch.full((300, 301), float(i)), "a": np.full((70_001,), i), "small": torch.tensor(i), "none": torch.empty(0, 3),
                "bits": torch.full((100_000,), i).bfloat16()}
    batches = list(DataLoader(Made(make, 4), batch_size=2, num_workers=2))
    for number, batch in enumerate(batches):
        assert batch["x"].shape == (2, 300, 301) and batch["x"][1].eq(2 * number + 1).all() and batch["a"][0].eq(2 * number).all()
        assert batch["none"].shape == (2, 0, 3) and batch["bits"].dtype is torch.bfloat16 and batch["bits"].float().sum() == (4 * number + 1) * 100_000
        batch["x"] += 1
        assert batch["x"].data_ptr() % 64 == 0
    assert batches[0]["x"].sum() == (1 + 2) * 90_300
    held = batches[1]["a"]
    del batches, batch
    gc.collect()
    assert held.sum() == 5 * 70_001


def test_a_row_travels_without_the_rest_of_its_data_set():
    ours, theirs = Channel.pair(multiprocessing.get_context())
    whole = torch.arange(1_000_000).reshape(1000, 1000)
    ours.send((whole[3], whole[:, :1].t()))
    row, column = Channel(theirs).receive()
    assert row.tolist() == whole[3].tolist() and row.untyped_storage().nbytes() == 8000 and column.tolist() == whole[:, :1].t().tolist()
    ours.close()
    with pytest.raises(EOFError):
        Channel(theirs).receive()
    theirs.close()


def test_long_lists_of_numbers_and_large_batches_do_not_block_each_other():
    loader = DataLoader(Made(lambda i: (i, "x" * 20), 120_000), batch_size=60_000, num_workers=1, prefetch_factor=3, collate_fn=list)
    assert [len(batch) for batch in loader] == [60_000, 60_000]


# Failing -------------------------------------------------------------------------------------------------------------

class TwoWords(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


def failing_with(make_error):
    def make(i):
        if i == 3:
            raise make_error()
        return i
    return make


@pytest.mark.parametrize("make_error, kind, name", [
    (lambda: ValueError("no such sample"), ValueError, "ValueError"), (lambda: KeyError("k"), KeyError, "KeyError"),
    (lambda: TwoWords("a", "b"), RuntimeError, "TwoWords"), (lambda: StopIteration(), StopIteration, "StopIteration"),
    (lambda: type("Local", (Exception,), {})("x"), RuntimeError, "Local")])
def test_an_exception_in_a_worker_is_raised_here_with_its_traceback(make_error, kind, name):
    iterator = iter(DataLoader(Made(failing_with(make_error)), batch_size=2, num_workers=2))
    assert next(iterator).tolist() == [0, 1]
    with pytest.raises(kind) as caught:
        next(iterator)
    message = str(caught.value)
    assert message.startswith(f"Caught {name} in DataLoader worker process 1.\nOriginal Traceback (most recent call last):")
    assert "raise make_error()" in message and "test_data_workers.py" in message
    assert next(iterator).tolist() == [4, 5]  # the others go on


def test_a_batch_that_cannot_be_pickled_and_a_beginning_that_fails_are_told():
    with pytest.raises((AttributeError, pickle.PicklingError), match="in DataLoader worker process 0"):
        next(iter(DataLoader(Made(lambda i: i), num_workers=1, collate_fn=lambda batch: lambda: 0)))

    def initialize(number):
        raise OSError(f"worker {number} found no disk")
    with pytest.raises(OSError, match="worker 0 found no disk"):
        next(iter(DataLoader(Made(squares), num_workers=1, worker_init_fn=initialize)))


def refuse(number):
    raise LookupError(f"{number} cannot be unpickled")


class Unreadable:
    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return refuse, (self.number,)


def test_what_cannot_be_unpickled_on_the_other_side_is_told_and_the_rest_goes_on():
    iterator = iter(DataLoader(Made(lambda i: Unreadable(i) if i == 1 else i, 4), num_workers=1, batch_size=None))
    assert next(iterator) == 0
    with pytest.raises(LookupError, match="1 cannot be unpickled"):
        next(iterator)
    assert list(iterator) == [2, 3]
    iterator = iter(DataLoader(Made(squares, 4), num_workers=1, sampler=[0, Unreadable(1), 2], batch_size=None))
    assert next(iterator) == 0
    with pytest.raises(LookupError, match="Caught LookupError in DataLoader worker process 0"):
        next(iterator)
    assert [batch.item() for batch in iterator] == [4]


def dying(how):
    def make(i):
        if i == 5:
            how()
        return i
    return make


@pytest.mark.parametrize("how, message", [
    (lambda: os._exit(3), r"DataLoader worker \(pid \d+\) exited unexpectedly with exit code 3"),
    (lambda: os.kill(os.getpid(), signal.SIGKILL), r"DataLoader worker \(pid \d+\) is killed by signal: Killed"),
    (lambda: os.kill(os.getpid(), signal.SIGUSR1), r"DataLoader worker \(pid \d+\) is killed by signal: User defined signal 1"),
    (lambda: os.kill(os.getpid(), signal.SIGTERM), r"DataLoader worker \(pid \d+\) is killed by signal: Terminated")])
@pytest.mark.parametrize("in_order", [True, False])
def test_the_death_of_a_worker_is_told_with_its_reason(how, message, in_order):
    iterator = iter(DataLoader(Made(dying(how)), batch_size=2, num_workers=2, in_order=in_order))
    pids = [process.pid for process in iterator.workers.processes]
    before = time.monotonic()
    with pytest.raises(RuntimeError, match=message) as caught:
        list(iterator)
    assert any(f"pid {pid}" in str(caught.value) for pid in pids) and time.monotonic() - before < 4
    assert not any(map(lives, pids)) and list(iterator) == []


def test_a_worker_killed_from_outside_while_idle_is_noticed():
    iterator = iter(DataLoader(Made(squares, 100), num_workers=2))
    next(iterator)
    os.kill(iterator.workers.processes[1].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="is killed by signal: Killed"):
        list(iterator)


def test_a_batch_that_takes_too_long_is_an_error():
    def make(i):
        time.sleep(1.0 if i == 1 else 0)
        return i
    iterator = iter(DataLoader(Made(make), num_workers=1, timeout=0.2))
    assert next(iterator).tolist() == [0] and len(iterator) == 12
    with pytest.raises(RuntimeError, match="DataLoader timed out after 0.2 seconds"):
        next(iterator)


# Ending --------------------------------------------------------------------------------------------------------------

def test_workers_end_with_the_iterator():
    loader = DataLoader(Made(squares, 100), num_workers=2)
    for batch in loader:
        assert batch.tolist() == [0]
        break
    gc.collect()
    assert multiprocessing.active_children() == []
    iterator = iter(loader)
    pids = [process.pid for process in iterator.workers.processes]
    del iterator
    assert not any(map(lives, pids))
    iterator = iter(DataLoader(Made(squares, 2), num_workers=2))
    pids = [process.pid for process in iterator.workers.processes]
    assert len(list(iterator)) == 2 and not any(map(lives, pids)) and list(iterator) == []


def test_two_loaders_at_once_do_not_hold_each_others_workers():
    first, second = (iter(DataLoader(Made(squares, 50), num_workers=1)) for _ in range(2))
    next(second)
    pid = first.workers.processes[0].pid
    before = time.monotonic()
    del first
    assert not lives(pid) and time.monotonic() - before < 3 and next(second).tolist() == [1]


def test_a_fork_of_the_process_does_not_end_its_workers():
    iterator = iter(DataLoader(Made(squares, 6), num_workers=1))
    next(iterator)
    child = os.fork()
    if child == 0:
        try:
            del iterator
            gc.collect()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert [batch.item() for batch in iterator] == [1, 4, 9, 16, 25]


def test_workers_that_persist_serve_every_epoch_also_after_one_was_left():
    loader = DataLoader(Made(lambda i: (i, os.getpid())), batch_size=2, shuffle=True, num_workers=2, persistent_workers=True)
    seen = set()
    for epoch in range(3):
        iterator = iter(loader)
        if epoch == 1:
            next(iterator)
            continue
        batches = list(iterator)
        seen |= {pid for _, pids in batches for pid in pids.tolist()}
        assert sorted(number for numbers, _ in batches for number in numbers.tolist()) == list(range(12))
    assert len(seen) == 2 and all(map(lives, seen))
    del loader, iterator
    gc.collect()
    assert not any(map(lives, seen))


def test_out_of_order_batches_come_as_they_are_ready():
    def make(i):
        time.sleep(0.3 if i == 0 else 0)
        return i
    found = [batch.item() for batch in DataLoader(Made(make, 8), num_workers=2, in_order=False)]
    assert sorted(found) == list(range(8)) and found[0] != 0


class Stream(IterableDataset):
    def __init__(self, *counts):
        self.counts = counts

    def __iter__(self):
        info = get_worker_info()
        number = 0 if info is None else info.id
        return iter(range(10 * number, 10 * number + self.counts[number]))


def test_each_worker_reads_its_own_stream_to_its_end():
    assert [batch.tolist() for batch in DataLoader(Stream(5, 2), batch_size=2, num_workers=2)] == [[0, 1], [10, 11], [2, 3], [4]]
    assert [batch.tolist() for batch in DataLoader(Stream(5, 3), batch_size=2, num_workers=2, drop_last=True)] == [[0, 1], [10, 11], [2, 3]]
    loader = DataLoader(Stream(1, 3), batch_size=None, num_workers=2, persistent_workers=True)
    assert [list(loader) for _ in range(2)] == [[0, 10, 11, 12]] * 2
    assert sorted(DataLoader(Stream(2, 2), batch_size=None, num_workers=2, in_order=False)) == [0, 1, 10, 11]


PROGRAM = """
import os, sys, signal, time, rushlight as torch
from rushlight.utils.data import DataLoader, Dataset
class Slow(Dataset):
    def __len__(self): return 1000
    def __getitem__(self, i):
        time.sleep(0 if i < 4 else float(sys.argv[1]))
        return i
if __name__ == "__main__":
    iterator = iter(DataLoader(Slow(), num_workers=2))
    next(iterator)
    print(*[process.pid for process in iterator.workers.processes], flush=True)
    list(iterator)
"""


def test_no_worker_outlives_the_loaders_process():
    ends = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
    processes = [subprocess.Popen([sys.executable, "-c", PROGRAM, "0.2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in ends]
    for end, process in zip(ends, processes):
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2 and all(map(lives, pids))
        process.send_signal(end)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == -end and gone_within(3, pids)
        assert ("KeyboardInterrupt" in errors) == (end == signal.SIGINT)


def test_ctrl_c_reaches_whoever_waits_for_a_batch():
    iterator = iter(DataLoader(Made(lambda i: time.sleep(30)), num_workers=1))
    pids = [process.pid for process in iterator.workers.processes] + [os.getpid()]  # a terminal sends it to all of them
    timer = threading.Timer(0.2, lambda: [os.kill(pid, signal.SIGINT) for pid in pids])
    timer.start()
    before = time.monotonic()
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        next(iterator)
    timer.join()
    del iterator
    gc.collect()
    assert time.monotonic() - before < 4


def test_more_workers_than_processors_are_warned_about(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with pytest.warns(UserWarning, match="This DataLoader will create 2 worker processes in total. Our suggested max number of worker in current system is 1"):
        DataLoader([1], num_workers=2)


def test_pinned_memory_is_accepted():
    with pytest.warns(UserWarning, match="'pin_memory' argument is set as true but no accelerator is found"):
        assert [batch.tolist() for batch in DataLoader([1, 2], batch_size=2, pin_memory=True)] == [[1, 2]]
