"""x[...] against NumPy: every kind of index, alone and mixed, read and written; then what PyTorch says differently."""
import numpy as np
import pytest

import rushlight as torch

ROWS, COLUMNS = [0, -1, 1], [1, 1, 2]
INDICES = [
    0, -1, slice(1, None), slice(None, None, 2), slice(5, 2), Ellipsis, None, True, False,
    (0, 1), (0, ..., -1), (None, 0, None), (slice(None), 1), (..., None), (slice(0, 0), 2),
    ROWS, (ROWS, COLUMNS), (slice(None), ROWS), (ROWS, slice(None), 1), (0, ROWS), (..., ROWS), (None, ROWS, 0), (ROWS, None, COLUMNS),
    (slice(None), ROWS, COLUMNS), (ROWS, slice(1, 3), COLUMNS), ([[0, 1], [2, 0]], 1), (True, ROWS),
]


def grid():
    return np.arange(3 * 4 * 3, dtype=np.float32).reshape(3, 4, 3)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_reads_what_numpy_reads(index):
    got = torch.tensor(grid())[index]
    np.testing.assert_array_equal(got.numpy(), grid()[index])


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_writes_where_numpy_writes(index):
    want, x = grid(), torch.tensor(grid())
    before = x.view(-1)  # shares the memory
    want[index] = -5
    x[index] = -5
    np.testing.assert_array_equal(x.numpy(), want)
    np.testing.assert_array_equal(before.numpy(), want.reshape(-1))
    part = -np.arange(want[index].size, dtype=np.float32).reshape(want[index].shape)
    if index is not ROWS:  # repeated places: the last write stays in both, but only for distinct places is that promised
        want[index] = part
        x[index] = torch.tensor(part)
        np.testing.assert_array_equal(x.numpy(), want)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 4, 3)])
def test_a_mask_selects_and_is_written_through(shape):
    mask = np.arange(np.prod(shape)).reshape(shape) % 2 == 0
    want, x = grid(), torch.tensor(grid())
    np.testing.assert_array_equal(x[torch.tensor(mask)].numpy(), want[mask])
    want[mask] = 0
    x[torch.tensor(mask)] = 0
    np.testing.assert_array_equal(x.numpy(), want)


def test_numbers_and_slices_make_views_and_index_tensors_make_copies():
    x = torch.zeros(3, 4)
    x[1][2] = 1
    x[:, 0][0] = 2
    x[[0, 1]][0] = 9
    assert x.tolist() == [[2, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_augmented_assignment_reaches_every_kind_of_index():
    x = torch.zeros(4)
    x[0] += 1
    x[1:3] -= 2
    x[[3]] += 5
    x[x < 0] *= 10
    assert x.tolist() == [1, -20, -20, 5]


def test_an_index_out_of_range_names_the_index_its_place_and_the_size():
    x = torch.zeros(3, 2)
    with pytest.raises(IndexError, match="index 3 is out of bounds for dimension 0 with size 3"):
        x[3]
    with pytest.raises(IndexError, match=r"index 7 at \[1\] is out of bounds for dimension 1 with size 2"):
        x[:, [0, 7]]
    with pytest.raises(IndexError, match="too many indices for tensor of dimension 2"):
        x[0, 0, 0]
    with pytest.raises(IndexError, match=r"The shape of the mask \[2\] at index 0 does not match"):
        x[torch.tensor([True, False])]
    with pytest.raises(RuntimeError, match=r"shape mismatch: value tensor of shape \[3\] cannot be broadcast to indexing result of shape \[2\]"):
        x[0] = torch.zeros(3)


def test_an_index_that_was_changed_is_checked_again():
    x, i = torch.arange(3), torch.tensor([2, 0])
    assert x[i].tolist() == [2, 0]
    i[0] = 3
    with pytest.raises(IndexError):
        x[i]


def test_gradients_add_up_where_an_index_repeats():
    x = torch.zeros(3, requires_grad=True)
    (x[[0, 0, 2]] * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [3, 0, 4]


def test_what_was_overwritten_gets_no_gradient():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y[1] = 7
    y.sum().backward()
    assert x.grad.tolist() == [2, 0, 2]


def test_gather_and_scatter_undo_each_other():
    x = torch.arange(6.0).reshape(2, 3)
    order = torch.tensor([[2, 0, 1], [1, 2, 0]])
    shuffled = x.gather(1, order)
    assert torch.zeros(2, 3).scatter(1, order, shuffled).tolist() == x.tolist()


@pytest.mark.parametrize("reduce, wanted", [("sum", [4, 12, 3]), ("prod", [3, 35, 3]), ("amax", [3, 7, 3]), ("amin", [1, 5, 3]), ("mean", [2, 6, 3])])
def test_scatter_reduce_combines_what_meets_and_leaves_the_rest(reduce, wanted):
    index = torch.tensor([0, 0, 1, 1])
    got = torch.full((3,), 3.0).scatter_reduce(0, index, torch.tensor([1.0, 3.0, 5.0, 7.0]), reduce, include_self=False)
    assert got.tolist() == wanted


def test_sorting_is_stable_and_puts_nan_last():
    values, places = torch.tensor([2.0, float("nan"), 1.0, 2.0]).sort()
    assert places.tolist() == [2, 0, 3, 1]
    assert torch.tensor([1, 3, 3, 2]).topk(2).indices.tolist() == [1, 2]
    assert torch.tensor([1.0, float("nan"), 3.0]).median().isnan()
    assert torch.tensor([1.0, float("nan"), 3.0]).nanmedian() == 1


@pytest.mark.parametrize("rows, columns", [(3, 4), (5, 2), (0, 3), (3, 0), (1, 1)])
@pytest.mark.parametrize("offset", [-9, -2, 0, 1, 9])
def test_the_places_of_a_triangle_come_row_by_row(rows, columns, offset):
    for name, keep in (("tril_indices", np.tril), ("triu_indices", np.triu)):
        places = getattr(torch, name)(rows, columns, offset, dtype=torch.int32)
        assert places.dtype is torch.int32
        np.testing.assert_array_equal(places.numpy(), np.argwhere(keep(np.ones((rows, columns), bool), offset)).T)


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (1, 3), (0, 3), (4, 4)])
def test_a_trace_reads_the_diagonal(shape):
    array = np.arange(shape[0] * shape[1], dtype=np.float64).reshape(shape)
    x = torch.tensor(array, requires_grad=True)
    x.trace().backward()
    assert x.trace().item() == np.trace(array) and x.t().trace().item() == np.trace(array)
    np.testing.assert_array_equal(x.grad.numpy(), np.eye(*shape))


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding_idx", [None, 2])
def test_bags_of_rows_are_added_up_whatever_their_lengths(mode, padding_idx):
    random = np.random.default_rng(0)
    table, flat = random.standard_normal((6, 3)), random.integers(0, 6, 12)

    def of_bag(bag):
        rows = table[[i for i in bag if i != padding_idx]]
        return getattr(rows, mode)(0) if len(rows) else np.zeros(3)
    weight, places = torch.from_numpy(table), torch.from_numpy(flat)
    for starts in ([0, 4, 8], [0, 5, 5, 11], [0]):
        bags = [flat[a:b] for a, b in zip(starts, [*starts[1:], 12])]
        got = torch.nn.functional.embedding_bag(places, weight, torch.tensor(starts), mode=mode, padding_idx=padding_idx)
        np.testing.assert_allclose(got.numpy(), np.stack([of_bag(bag) for bag in bags]))
    got = torch.nn.functional.embedding_bag(places.reshape(3, 4), weight, mode=mode, padding_idx=padding_idx)
    np.testing.assert_allclose(got.numpy(), np.stack([of_bag(bag) for bag in flat.reshape(3, 4)]))


def test_unique_counts_and_says_where_each_element_went():
    found, inverse, counts = torch.tensor([3, 1, 3]).unique(return_inverse=True, return_counts=True)
    assert (found.tolist(), inverse.tolist(), counts.tolist()) == ([1, 3], [1, 0, 1], [1, 2])
