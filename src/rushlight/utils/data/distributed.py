"""DistributedSampler: of several processes that train together, each draws its own share of every epoch.

    7 samples, 2 processes    rank 0:  5 0 6 2      one sample comes twice, so that the shares are equal
                              rank 1:  3 1 4 5
"""
import math

import rushlight as torch

from .sampler import Sampler


class DistributedSampler(Sampler):
    """The share of process `rank` among `num_replicas`
    (https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.distributed.DistributedSampler).

    All processes shuffle alike, by `seed` and the number given to `set_epoch`.  With `drop_last` samples are left out, else repeated,
    until the shares are equal.
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=True, seed=0, drop_last=False):
        if num_replicas is None or rank is None:
            raise RuntimeError("DistributedSampler: Requires distributed package to be available, or num_replicas and rank to be given")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0
        count = len(dataset)
        self.num_samples = count // num_replicas if drop_last else math.ceil(count / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self):
        count = len(self.dataset)
        if self.shuffle:
            numbers = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed + self.epoch)).tolist()
        else:
            numbers = list(range(count))
        if count:
            numbers *= math.ceil(self.total_size / count)
        return iter(numbers[self.rank:self.total_size:self.num_replicas])

    def __len__(self):
        return self.num_samples

    def set_epoch(self, epoch):
        """Shuffle differently from now on: to be called before each epoch."""
        self.epoch = epoch
