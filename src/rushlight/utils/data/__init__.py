"""torch.utils.data: from samples to batches.

    dataset.py     samples by number, or one after the other
    sampler.py     the order in which they are asked for
    collate.py     many samples -> one batch
    dataloader.py  DataLoader, which joins the three            start here
"""
from .collate import default_collate, default_convert
from .dataloader import DataLoader, get_worker_info
from .dataset import ChainDataset, ConcatDataset, Dataset, IterableDataset, StackDataset, Subset, TensorDataset, random_split
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler
