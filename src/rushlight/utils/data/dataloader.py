"""DataLoader: batches of a dataset, in order or shuffled.

    sampler -> numbers -> batch_sampler -> lists of numbers -> fetcher -> batches       in this process, or in workers (workers.py)

An epoch draws from the default generator exactly what PyTorch's does (a base seed, from which workers have theirs, and a seed for the
shuffling), so that the order, and all that is drawn later, is PyTorch's for the same seed.  Start with `DataLoader.__iter__`.
"""
import abc
import itertools
import multiprocessing
import multiprocessing.context
import os
import warnings

import rushlight as torch

from .collate import default_collate, default_convert
from .dataset import IterableDataset
from .fetching import fetcher
from .sampler import BatchSampler, RandomSampler, SequentialSampler
from .workers import WorkerIterator

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")  # once it is made


class DataLoader:
    """Batches of `batch_size` samples of `dataset`; one epoch each time it is iterated over
    (https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader).

    `batch_size=None` gives single samples.  `sampler` or `batch_sampler` decide the order instead of `shuffle`.  `collate_fn` makes a
    batch of a list of samples.  `generator` is for the shuffling and the workers' seeds.

    With `num_workers` processes, each works on its own copy of the dataset, seeded with the base seed plus its number, and fetches
    `prefetch_factor` batches (2 unless given) ahead.  `timeout` is in seconds.  `worker_init_fn(number)` runs in each at its beginning;
    `persistent_workers` keeps them from one epoch to the next; `in_order=False` gives batches as they are ready;
    `multiprocessing_context` is a context of the module or the name of a start method.  A worker that dies, or raises, ends the epoch
    with an error that says why.

    `pin_memory` is accepted: memory is never pinned on the CPU.

    >>> [batch.tolist() for batch in DataLoader(range(5), batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    _made = False

    def __init__(self, dataset, batch_size=1, shuffle=None, sampler=None, batch_sampler=None, num_workers=0, collate_fn=None,
                 pin_memory=False, drop_last=False, timeout=0, worker_init_fn=None, multiprocessing_context=None, generator=None, *,
                 prefetch_factor=None, persistent_workers=False, pin_memory_device="", in_order=True):
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified in multiprocessing."
                             "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None.")
        if prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.num_workers, self.multiprocessing_context = num_workers, multiprocessing_context
        self._streamed = isinstance(dataset, IterableDataset)
        if self._streamed:
            for name, value in {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}.items():
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
            if self._streamed:
                sampler = itertools.repeat(None)  # a stream has no numbers; batches are still counted off
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.collate_fn = collate_fn or (default_collate if self.batched else default_convert)
        self.timeout, self.worker_init_fn, self.in_order = timeout, worker_init_fn, in_order
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers, self.pin_memory, self.pin_memory_device = persistent_workers, pin_memory, pin_memory_device
        self._announced = None  # the samples that a stream says it has, once that was asked for
        self._iterator = None   # of workers that persist
        self._made = True
        self.check_worker_number_rationality()

    def __setattr__(self, name, value):
        if self._made and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def batched(self):
        """Whether samples are collated to batches."""
        return self.batch_sampler is not None

    @property
    def multiprocessing_context(self):
        """How worker processes are started: a context of Python's multiprocessing, or None for the usual one."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context):
        if context is not None:
            if self.num_workers == 0:
                raise ValueError("multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
                                 "num_workers=0")
            if isinstance(context, str):
                known = multiprocessing.get_all_start_methods()
                if context not in known:
                    raise ValueError(f"multiprocessing_context option should specify a valid start method in {known!r}, but got "
                                     f"multiprocessing_context={context!r}")
                context = multiprocessing.get_context(context)
            if not isinstance(context, multiprocessing.context.BaseContext):
                raise TypeError("multiprocessing_context option should be a valid context object or a string specifying the start method, "
                                f"but got multiprocessing_context={context}")
        self._context = context

    def __iter__(self):
        if self.pin_memory:
            warnings.warn("'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used.",
                          stacklevel=2)
        indices = iter(self.batch_sampler if self.batched else self.sampler)
        if self._iterator is not None and not self._iterator.workers.stopped:
            self._iterator.restart(indices)
            return _counted(self._iterator, self) if self._streamed else self._iterator
        # The base seed is for workers, and drawn also where there are none: draws that follow depend on it.
        base_seed = torch.empty((), dtype=torch.int64).random_(generator=self.generator).item()
        if self.num_workers == 0:
            fetch = fetcher(self.dataset, self.batched, self.collate_fn, self.drop_last)
            epoch = Epoch(self, fetch, indices)
            return _counted(epoch, self) if self._streamed else epoch
        self.check_worker_number_rationality()
        iterator = WorkerIterator(self, indices, base_seed)
        if self.persistent_workers:
            self._iterator = iterator
        return _counted(iterator, self) if self._streamed else iterator

    def __len__(self):
        if not self._streamed:
            return len(self.batch_sampler if self.batched else self.sampler)
        samples = self._announced = len(self.dataset)
        if self.batch_size is None:
            return samples
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)

    def check_worker_number_rationality(self):
        """Warn where there are more workers than processors."""
        has_affinity = hasattr(os, "sched_getaffinity")
        processors = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
        if self.num_workers and (processors is None or self.num_workers > processors):
            suggested = ("DataLoader is not able to compute a suggested max number of worker in current system." if processors is None else
                         f"Our suggested max number of worker in current system is {processors}"
                         f"{'' if has_affinity else ' (`cpuset` is not taken into account)'}, which is smaller than what this DataLoader "
                         "is going to create.")
            warnings.warn(f"This DataLoader will create {self.num_workers} worker processes in total. {suggested} Please be aware that "
                          "excessive worker creation might get DataLoader running slow or even freeze, lower the worker number to avoid "
                          "potential slowness/freeze if necessary.", stacklevel=3)


class Epoch:
    """The batches of one epoch, fetched in this process."""

    def __init__(self, loader, fetch, indices):
        self.loader, self.fetch, self.indices = loader, fetch, indices

    def __iter__(self):
        return self

    def __next__(self):
        return self.fetch(next(self.indices))

    def __len__(self):
        return len(self.loader)


class _BaseDataLoaderIter(abc.ABC):  # noqa: B024
    """PyTorch's name for what iterates over a DataLoader."""


_SingleProcessDataLoaderIter, _MultiProcessingDataLoaderIter = Epoch, WorkerIterator
for _class in (Epoch, WorkerIterator):
    _BaseDataLoaderIter.register(_class)


def _counted(batches, loader):
    """Batches of a stream, with a warning where there are more than samples were announced (PyTorch compares these two)."""
    announced = loader._announced
    for number, batch in enumerate(batches, 1):
        if announced is not None and number > announced:
            hint = ("" if loader.num_workers == 0 else
                    "For multiprocessing data-loading, this could be caused by not properly configuring the IterableDataset replica at "
                    "each worker. Please see https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples.")
            warnings.warn(f"Length of IterableDataset {loader.dataset} was reported to be {announced}(when accessing len(dataloader)), but "
                          f"{number} samples have been fetched. {hint}", stacklevel=2)
        yield batch
