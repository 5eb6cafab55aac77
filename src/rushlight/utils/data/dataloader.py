"""DataLoader: batches of a dataset, in order or shuffled.

    sampler -> numbers -> batch_sampler -> lists of numbers -> dataset -> samples -> collate_fn -> batch

An epoch draws from the default generator exactly what PyTorch's does (a base seed, and a seed for the shuffling), so that the
order, and all that is drawn later, is PyTorch's for the same seed.
"""
import itertools

import rushlight as torch

from .collate import default_collate, default_convert
from .dataset import IterableDataset, stacked_rows
from .sampler import BatchSampler, RandomSampler, SequentialSampler


class DataLoader:
    """Batches of `batch_size` samples of `dataset`; one epoch each time it is iterated over.

    `batch_size=None` gives single samples.  `sampler` or `batch_sampler` decide the order instead of `shuffle`.  Everything
    runs in this process: `num_workers` must be 0 for now.
    """

    def __init__(self, dataset, batch_size=1, shuffle=None, sampler=None, batch_sampler=None, num_workers=0, collate_fn=None,
                 pin_memory=False, drop_last=False, timeout=0, worker_init_fn=None, multiprocessing_context=None, generator=None, *,
                 prefetch_factor=None, persistent_workers=False, pin_memory_device="", in_order=True):
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers > 0:
            raise NotImplementedError(f"DataLoader: num_workers={num_workers} asks for worker processes, which Rushlight does not have "
                                      "yet; num_workers=0 gives the same batches in the same order")
        if prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified in multiprocessing."
                             "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None.")
        if persistent_workers:
            raise ValueError("persistent_workers option needs num_workers > 0")
        streamed = isinstance(dataset, IterableDataset)
        if streamed:
            options = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
            for name, value in options.items():
                if value is not None:
                    raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if streamed:
                sampler = itertools.repeat(None)  # a stream has no numbers; batches are still counted off
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate

        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator, self.collate_fn = sampler, batch_sampler, generator, collate_fn
        self.num_workers, self.timeout, self.worker_init_fn, self.prefetch_factor = num_workers, timeout, worker_init_fn, prefetch_factor
        self.multiprocessing_context, self.persistent_workers, self.in_order = multiprocessing_context, persistent_workers, in_order
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device

    def __iter__(self):
        # The base seed is for worker processes, and drawn also where there are none: draws that follow depend on it.
        torch.empty((), dtype=torch.int64).random_(generator=self.generator)
        return self._stream() if isinstance(self.dataset, IterableDataset) else self._epoch()

    def _epoch(self):
        numbers = iter(self.sampler if self.batch_sampler is None else self.batch_sampler)
        if self.batch_sampler is None:
            return (self.collate_fn(self.dataset[number]) for number in numbers)
        rows = stacked_rows(self.dataset) if self.collate_fn is default_collate else None
        if rows is not None:
            return (rows(batch) for batch in numbers)
        return (self.collate_fn(self._samples(batch)) for batch in numbers)

    def _samples(self, numbers):
        if callable(getattr(self.dataset, "__getitems__", None)):
            return self.dataset.__getitems__(numbers)
        return [self.dataset[number] for number in numbers]

    def _stream(self):
        samples = iter(self.dataset)
        if self.batch_sampler is None:
            yield from map(self.collate_fn, samples)
            return
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def __len__(self):
        if not isinstance(self.dataset, IterableDataset):
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)
        samples = len(self.dataset)
        if self.batch_size is None:
            return samples
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)


def get_worker_info():
    """What a dataset may ask in a worker process; None, as there are none."""
    return None
