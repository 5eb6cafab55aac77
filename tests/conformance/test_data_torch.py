"""Data loading beside PyTorch's: the same seed gives the same batches, seeds and messages."""
import random
import warnings

import numpy as np
import pytest
import torch as theirs

import rushlight as ours
from rushlight.utils import data as our_data

BOTH = [(ours, our_data), (theirs, theirs.utils.data)]


def same(program):
    """What a program gives with either library, told in plain values."""
    found = []
    for torch, data in BOTH:
        torch.manual_seed(7)
        np.random.seed(0)
        random.seed(0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                result = program(torch, data)
            except Exception as error:
                result = type(error), str(error)
        found.append((result, [str(w.message) for w in caught if "IterableDataset" in str(w.message) or "empty dataset" in str(w.message)],
                      torch.rand(1).item()))
    assert found[0] == found[1]
    return found[0][0]


class Drawn:
    """Samples that tell which worker drew what."""

    def __init__(self, torch, data):
        self.torch, self.data = torch, data

    def __len__(self):
        return 9

    def __getitem__(self, i):
        info = self.data.get_worker_info()
        known = [-1, -1, 0] if info is None else [info.id, info.num_workers, info.seed % 1000]
        return [i, self.torch.rand(()).item(), random.random(), float(np.random.rand()), *known]


def told(loader):
    return [[np.asarray(column).tolist() for column in batch] for batch in loader]


@pytest.mark.parametrize("how", [{"shuffle": True, "batch_size": 2}, {"num_workers": 2, "batch_size": 2, "shuffle": True},
                                 {"num_workers": 1, "batch_size": 4, "drop_last": True}, {"num_workers": 2, "batch_size": None},
                                 {"num_workers": 2, "batch_sampler": [[1, 2], [3], [8, 0, 4]], "prefetch_factor": 1}])
def test_orders_seeds_and_draws_are_pytorchs_in_every_process(how):
    assert same(lambda torch, data: told(data.DataLoader(Drawn(torch, data), **how)))


def test_persistent_workers_go_on_drawing():
    def program(torch, data):
        loader = data.DataLoader(Drawn(torch, data), batch_size=3, shuffle=True, num_workers=2, persistent_workers=True)
        first = next(iter(loader))[0].tolist()
        return first, [told(loader) for _ in range(2)]
    same(program)


def test_a_generator_of_its_own_is_the_only_one_drawn_from():
    same(lambda torch, data: [told(data.DataLoader(Drawn(torch, data), shuffle=True, num_workers=workers, generator=torch.Generator().manual_seed(3)))
                              for workers in (0, 2)])


def stream_of(data, counts, length=None):
    class Stream(data.IterableDataset):
        def __iter__(self):
            info = data.get_worker_info()
            number = 0 if info is None else info.id
            return iter(range(100 * number, 100 * number + counts[number]))

    if length is not None:
        Stream.__len__ = lambda self: length
    Stream.__repr__ = lambda self: "stream"
    return Stream()


@pytest.mark.parametrize("counts", [(7, 3), (0, 5), (5, 0), (0, 0), (4, 4), (1, 9)])
@pytest.mark.parametrize("how", [{"batch_size": 2}, {"batch_size": 2, "drop_last": True}, {"batch_size": None}, {"batch_size": 3, "persistent_workers": True},
                                 {"batch_size": 2, "num_workers": 0}, {"batch_size": None, "num_workers": 0}])
def test_streams_end_in_every_worker_as_in_pytorch(counts, how):
    def program(torch, data):
        loader = data.DataLoader(stream_of(data, counts), **{"num_workers": 2, **how})
        return [[np.asarray(batch).tolist() for batch in loader] for _ in range(2)]
    same(program)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_longer_than_it_said_is_warned_about(workers):
    def program(torch, data):
        loader = data.DataLoader(stream_of(data, (5, 5), length=3), batch_size=2, num_workers=workers)
        return len(loader), len(list(loader))
    same(program)


SAMPLERS = {
    "random": lambda data: data.RandomSampler(range(11)),
    "some": lambda data: data.RandomSampler(range(11), num_samples=5),
    "more than all": lambda data: data.RandomSampler(range(3), num_samples=8),
    "with replacement": lambda data: data.RandomSampler(range(11), replacement=True, num_samples=70),
    "subset": lambda data: data.SubsetRandomSampler([4, 8, 1, 3]),
    "weighted": lambda data: data.WeightedRandomSampler([0.1, 0.9, 0.4, 0.0], 9),
    "weighted once": lambda data: data.WeightedRandomSampler([0.1, 0.9, 0.4, 0.7], 3, replacement=False),
    "batches": lambda data: data.BatchSampler(data.RandomSampler(range(7)), 3, False),
    "whole batches": lambda data: data.BatchSampler(data.RandomSampler(range(7)), 3, True),
}


@pytest.mark.parametrize("which", SAMPLERS)
def test_samplers_draw_pytorchs_numbers(which):
    assert same(lambda torch, data: (list(SAMPLERS[which](data)), list(SAMPLERS[which](data)), len(SAMPLERS[which](data))))


@pytest.mark.parametrize("count, replicas", [(10, 3), (9, 3), (2, 5), (7, 2), (0, 2)])
def test_distributed_shares_are_pytorchs(count, replicas):
    def program(torch, data):
        shares = []
        for drop_last in (False, True):
            for shuffle in (False, True):
                for rank in range(replicas):
                    sampler = data.distributed.DistributedSampler(range(count), replicas, rank, shuffle, 5, drop_last)
                    sampler.set_epoch(2)
                    shares.append((list(sampler), len(sampler)))
        return shares
    if count:
        same(program)
    else:
        assert all(share == ([], 0) for share in program(ours, our_data))


@pytest.mark.parametrize("lengths", [[3, 8], [0.5, 0.5], [0.3, 0.3, 0.4], [0.01, 0.99], [5, 5], [1.5, -0.5], [11, 0]])
def test_random_splits_are_pytorchs(lengths):
    same(lambda torch, data: [list(part) for part in data.random_split(range(11), lengths)])


WRONG = [lambda data: data.DataLoader([1], num_workers=-1), lambda data: data.DataLoader([1], timeout=-1), lambda data: data.DataLoader([1], prefetch_factor=2),
         lambda data: data.DataLoader([1], persistent_workers=True), lambda data: data.DataLoader([1], shuffle=True, sampler=[0]),
         lambda data: data.DataLoader([1], batch_sampler=[[0]], drop_last=True), lambda data: data.DataLoader([1], batch_size=None, drop_last=True),
         lambda data: data.DataLoader([1], multiprocessing_context="fork"),
         lambda data: data.DataLoader([1], num_workers=1, multiprocessing_context="thread"),
         lambda data: data.DataLoader([1], num_workers=1, prefetch_factor=-1),
         lambda data: setattr(data.DataLoader([1]), "batch_size", 3), lambda data: data.DataLoader([1], batch_size=0),
         lambda data: data.RandomSampler([1], replacement=1), lambda data: data.RandomSampler([1], num_samples=0),
         lambda data: data.WeightedRandomSampler([[1.0]], 2), lambda data: data.WeightedRandomSampler([1.0], 0),
         lambda data: data.BatchSampler([1], True, False), lambda data: data.BatchSampler([1], 2, 0),
         lambda data: data.ConcatDataset([]), lambda data: data.ConcatDataset([[1], [2]])[-3], lambda data: data.StackDataset([1], [1, 2]),
         lambda data: data.StackDataset(), lambda data: data.default_collate([[1], [1, 2]]), lambda data: data.default_collate([object]),
         lambda data: data.default_collate([np.array(["a"])]), lambda data: data.Dataset()[0], lambda data: data.default_collate([None]),
         lambda data: next(iter(data.DataLoader(stream_of(data, (1,)), sampler=[1])))]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_errors_are_pytorchs_word_for_word(number):
    result = same(lambda torch, data: WRONG[number](data))
    assert isinstance(result, tuple) and issubclass(result[0], Exception)
