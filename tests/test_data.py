"""Datasets, samplers and the DataLoader; orders after a seed are PyTorch's."""
from collections import namedtuple

import numpy as np
import pytest

import rushlight as torch
from rushlight.datasets import digits
from rushlight.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)


def batches(loader):
    return [batch.tolist() for batch in loader]


def test_the_shuffled_order_is_pytorchs_and_so_is_what_is_drawn_after_it():
    torch.manual_seed(0)
    loader = DataLoader(list(range(10)), batch_size=4, shuffle=True)
    assert batches(loader) == [[6, 7, 1, 4], [2, 0, 9, 8], [3, 5]]
    assert batches(loader) == [[2, 4, 7, 0], [8, 9, 5, 3], [6, 1]]
    np.testing.assert_allclose(torch.rand(2).numpy(), [0.455627977848053, 0.6323062777519226], rtol=1e-6)


def test_samplers_draw_pytorchs_numbers():
    torch.manual_seed(0)
    assert list(RandomSampler(range(5), replacement=True, num_samples=8)) == [1, 0, 4, 3, 4, 0, 2, 3]
    assert list(WeightedRandomSampler([1, 0, 3.0], 6)) == [2, 2, 2, 2, 2, 0]
    assert list(SubsetRandomSampler([4, 7, 9])) == [7, 4, 9]


def test_a_random_split_is_pytorchs_and_shares_are_rounded_round():
    torch.manual_seed(0)
    first, second = random_split(range(10), [0.7, 0.3])
    assert list(first) == [4, 1, 7, 5, 3, 9, 0] and list(second) == [8, 6, 2]
    assert [len(part) for part in random_split(range(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    with pytest.raises(ValueError, match="Sum of input lengths does not equal the length of the input dataset!"):
        random_split(range(3), [1, 1])


@pytest.mark.parametrize("length, size, drop_last, expected", [(7, 3, False, [3, 3, 1]), (7, 3, True, [3, 3]), (6, 3, True, [3, 3]), (2, 5, True, [])])
def test_batches_have_their_size_and_the_loader_their_number(length, size, drop_last, expected):
    loader = DataLoader(range(length), batch_size=size, drop_last=drop_last)
    assert [len(batch) for batch in loader] == expected and len(loader) == len(expected)
    assert len(BatchSampler(range(length), size, drop_last)) == len(expected) == len(iter(loader))


def test_rows_of_tensors_come_as_stacking_the_samples_would_give_them():
    class OneByOne(TensorDataset):
        def __getitem__(self, index):
            return super().__getitem__(index)
    x, y = torch.arange(22.0).reshape(11, 2), torch.arange(11)
    for wrap in (lambda data: data, lambda data: Subset(data, [3, 1, 4, 1, 5])):
        together = list(DataLoader(wrap(TensorDataset(x, y)), batch_size=3))
        one_by_one = list(DataLoader(wrap(OneByOne(x, y)), batch_size=3))
        assert len(together) == len(one_by_one)
        for a, b in zip(together, one_by_one):
            assert type(a) is type(b) is list
            for left, right in zip(a, b):
                assert left.dtype == right.dtype and left.tolist() == right.tolist()


def test_collating_goes_down_to_tensors_arrays_and_numbers():
    Pair = namedtuple("Pair", "left right")
    batch = default_collate([{"x": np.ones(2, np.float32) * i, "n": i, "f": 0.5 * i, "s": str(i), "p": Pair(i, [i, np.float32(i)])} for i in range(3)])
    assert batch["x"].shape == (3, 2) and batch["x"].dtype == torch.float32
    assert batch["n"].dtype == torch.int64 and batch["f"].dtype == torch.float64 and batch["s"] == ["0", "1", "2"]
    assert type(batch["p"]) is Pair and batch["p"].left.tolist() == [0, 1, 2] and batch["p"].right[1].dtype == torch.float32
    with pytest.raises(TypeError, match="batch must contain tensors, numpy arrays, numbers, dicts or lists; found <class 'object'>"):
        default_collate([object()])
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        default_collate([[1], [1, 2]])


def test_collating_keeps_every_digit_of_python_floats():
    assert default_collate([0.1, 1 / 3]).tolist() == [0.1, 1 / 3] and torch.tensor(0.1, dtype=torch.float64).item() == 0.1
    assert torch.tensor([0.1 + 0.2j], dtype=torch.complex128).item() == 0.1 + 0.2j and torch.tensor(0.1).item() == np.float32(0.1)


def test_a_stream_is_batched_as_it_comes():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(5))

        def __len__(self):
            return 5
    assert batches(DataLoader(Stream(), batch_size=2)) == [[0, 1], [2, 3], [4]] and len(DataLoader(Stream(), batch_size=2)) == 3
    assert batches(DataLoader(Stream() + Stream(), batch_size=4, drop_last=True)) == [[0, 1, 2, 3], [4, 0, 1, 2]]
    assert list(DataLoader(Stream(), batch_size=None)) == [0, 1, 2, 3, 4]
    assert len(ChainDataset([Stream(), Stream()])) == 10
    with pytest.raises(ValueError, match="IterableDataset: expected unspecified shuffle option"):
        DataLoader(Stream(), shuffle=True)


def test_datasets_join():
    joined = ConcatDataset([range(3), range(10, 12)])
    assert [joined[i] for i in (0, 3, -1)] == [0, 10, 11] and len(joined) == 5
    assert StackDataset(a=range(2), b=range(5, 7))[1] == {"a": 1, "b": 6}
    assert batches(DataLoader(StackDataset(Subset(range(9), [3, 1, 4]), range(3)), batch_size=2, collate_fn=np.array)) == [[[3, 0], [1, 1]], [[4, 2]]]
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(torch.ones(2), torch.ones(3))


def test_a_dataset_may_fetch_whole_batches_itself():
    class Doubled(Dataset):
        def __len__(self):
            return 4

        def __getitems__(self, numbers):
            return [2 * number for number in numbers]
    assert batches(DataLoader(Doubled(), batch_size=3)) == [[0, 2, 4], [6]]


def test_the_digits_are_all_there():
    images, labels = digits.load()
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8 and images.max() == digits.INK
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
