"""One batch: from what a sampler gave to what the user gets, in this process or in a worker.

    [3, 1, 4]   -> samples of a dataset -> collate_fn -> batch            3 -> one sample -> collate_fn
    [None] * 3  -> the next samples of a stream -> collate_fn -> batch

Start with `fetcher`.
"""
import itertools

import numpy as np

import rushlight as torch

from .collate import default_collate
from .dataset import IterableDataset, Subset, TensorDataset


def fetcher(dataset, batched, collate_fn, drop_last):
    """A function from what the sampler gives (a list where `batched`) to a batch; at the end of a stream it raises StopIteration."""
    if isinstance(dataset, IterableDataset):
        return Stream(dataset, batched, collate_fn, drop_last)
    if not batched:
        return lambda number: collate_fn(dataset[number])
    rows = stacked_rows(dataset) if collate_fn is default_collate else None
    if rows is not None:
        return rows
    if callable(getattr(dataset, "__getitems__", None)):
        return lambda numbers: collate_fn(dataset.__getitems__(numbers))
    return lambda numbers: collate_fn([dataset[number] for number in numbers])


class Stream:
    """Fetches from an iterable dataset; once it has ended it stays so."""

    def __init__(self, dataset, batched, collate_fn, drop_last):
        self.samples = iter(dataset)
        self.batched, self.collate_fn, self.drop_last, self.ended = batched, collate_fn, drop_last, False

    def __call__(self, wanted):
        if self.ended:
            raise StopIteration
        if not self.batched:
            return self.collate_fn(next(self.samples))
        batch = list(itertools.islice(self.samples, len(wanted)))
        self.ended = len(batch) < len(wanted)
        if not batch or self.ended and self.drop_last:
            raise StopIteration
        return self.collate_fn(batch)


def stacked_rows(dataset):
    """A function that brings a batch of sample numbers to the tensors that stacking the samples one by one would give.

    Only for datasets that are known to hold rows of tensors, else None: a batch is one look-up in each tensor then.
    """
    fetch = type(dataset).__getitem__
    if fetch is TensorDataset.__getitem__ and not hasattr(dataset, "__getitems__"):
        def rows(numbers):
            numbers = torch.from_numpy(np.array(numbers))
            return [tensor[numbers] for tensor in dataset.tensors]
        return rows
    if fetch is Subset.__getitem__ and type(dataset).__getitems__ is Subset.__getitems__:
        inner = stacked_rows(dataset.dataset)
        return inner and (lambda numbers: inner([dataset.indices[i] for i in numbers]))
    return None
