"""torch.utils.data: from samples to batches.

    dataset.py     samples by number, or one after the other
    sampler.py     the order in which they are asked for
    collate.py     many samples -> one batch
    fetching.py    from the numbers of a batch to the batch
    dataloader.py  DataLoader, which joins them            start here
    workers.py     its worker processes, seen from the loader;  worker.py  seen from one of them;  transport.py  what is between them
    distributed.py DistributedSampler
"""
from ..._paths import open_below
from . import distributed
from .collate import default_collate, default_convert
from .dataloader import DataLoader
from .dataset import ChainDataset, ConcatDataset, Dataset, IterableDataset, StackDataset, Subset, TensorDataset, random_split
from .distributed import DistributedSampler
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler
from .worker import get_worker_info

__getattr__ = open_below(__name__)
