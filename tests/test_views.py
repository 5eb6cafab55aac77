"""Views share memory, whatever is written through whichever of them, and in whatever order things are looked at."""
import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rushlight as torch

# Each makes a view of a NumPy array and of a tensor alike; the array shows what the tensor has to be.
VIEWS = {
    "row": lambda x: x[x.shape[0] // 2:],
    "column": lambda x: x[..., :1],
    "step": lambda x: x[::2],
    "swapped": lambda x: x.swapaxes(0, x.ndim - 1),
    "new": lambda x: x[None],
    "first": lambda x: x[0] if x.ndim > 1 and x.shape[0] else x,
}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(VIEWS)), st.integers(0, 5), st.sampled_from(["write", "scale", "look", "nothing"])), max_size=7))
def test_writes_show_in_every_view(steps):
    array, tensor = np.arange(24.0).reshape(4, 6), torch.arange(24.0, dtype=torch.float64).reshape(4, 6)
    arrays, tensors = [array], [tensor]
    for name, which, action in steps:
        arrays.append(VIEWS[name](arrays[which % len(arrays)]))
        tensors.append(VIEWS[name](tensors[which % len(tensors)]))
        if action == "write":
            arrays[-1][...] = which
            tensors[-1].fill_(which)
        elif action == "scale":
            arrays[-1][...] *= 2
            tensors[-1].mul_(2)
        elif action == "look":
            assert tensors[-1].tolist() == arrays[-1].tolist()
    for a, t in zip(arrays, tensors):
        assert t.tolist() == a.tolist()


@pytest.mark.parametrize("make, strides", [
    (lambda x: x.t(), (1, 3)), (lambda x: x.unsqueeze(1), (3, 3, 1)), (lambda x: x.expand(2, 2, 3), (0, 3, 1)), (lambda x: x.view(3, 2), (2, 1)),
    (lambda x: x.diagonal(), (4,)), (lambda x: x.unfold(1, 2, 1), (3, 1, 1)), (lambda x: x.as_strided((2, 2), (1, 2)), (1, 2)),
    (lambda x: x.reshape(-1), (1,)), (lambda x: x.movedim(0, 1), (1, 3)), (lambda x: x.flatten(), (1,)),
])
def test_views_lie_in_the_memory_of_their_base(make, strides):
    x = torch.arange(6.0).reshape(2, 3)
    view = make(x)
    assert view.stride() == strides
    assert view.untyped_storage() == x.untyped_storage()


def test_one_trace_serves_sizes_that_shrink_to_one():
    for n in (5, 3, 2):  # x[1:n] has extent 1 in the end, and broadcasts
        x = torch.arange(float(n))
        assert (torch.zeros(4, 1) + x[1:n]).shape == (4, n - 1)


def test_a_shape_that_does_not_fit_the_strides_says_both():
    with pytest.raises(RuntimeError, match=r"shape \[6\] does not fit the strides of a tensor of shape \[3, 2\] and strides \[1, 3\]"):
        torch.zeros(2, 3).t().view(6)
    with pytest.raises(RuntimeError, match=r"shape '\[4, 4\]' is invalid for input of size 6"):
        torch.zeros(2, 3).view(4, 4)


def test_channels_last_is_kept_by_what_works_element_by_element():
    x = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    wanted = (60, 1, 15, 3)
    assert [t.stride() for t in (x, x + 1, x.clone(), x.double(), torch.empty_like(x), torch.cat([x, x])[:2])] == [wanted] * 6
    assert x.contiguous().stride() == (60, 20, 5, 1)


def test_pickled_and_copied_tensors_still_share_what_they_shared():
    base = torch.zeros(2, 3)
    for again in (lambda pair: pickle.loads(pickle.dumps(pair)), copy.deepcopy):
        x, row = again((base, base[1]))
        row[0] = 5
        assert x.tolist() == [[0, 0, 0], [5, 0, 0]] and base.sum() == 0


def test_a_shallow_copy_is_the_same_memory():
    x = torch.arange(3.0)
    y = copy.copy(x)
    y.add_(1)
    assert x.tolist() == [1, 2, 3]
    x.mul_(2)
    assert y.tolist() == [2, 4, 6] and y is not x


def test_data_is_the_same_memory_without_history():
    x = torch.ones(2, requires_grad=True)
    x.data[0] = 5
    assert x.tolist() == [5, 1] and x.grad_fn is None and x.requires_grad
    x.data = torch.zeros(3)
    assert x.shape == (3,)


def test_a_storage_knows_each_of_its_tensors_once_and_forgets_the_dead():
    x = torch.ones(2)
    for _ in range(50):
        x.data.add_(1)
        kept = x[0], x[1:]
    assert x.tolist() == [51, 51] and kept[0].item() == 51
    assert len(x._place.storage.members) <= 20 and len(x._place.storage.tensors()) == 3


def test_views_of_memory_and_small_writes_to_it_are_made_at_once():
    x = torch.zeros(5, 3)
    row, tail = x[1], x[2:]
    assert x._state is None and row._state is None and tail._state is None and row._base is x and tail.storage_offset() == 6
    y = x * 2  # now something pending reads it, so that the next write waits its turn
    x[0, 1] += 3
    row[:] = torch.arange(3.)
    assert y.sum().item() == 0
    assert x[0].tolist() == [0, 3, 0] and x[1].tolist() == [0, 1, 2] and x[::2].stride() == (6, 1) and x[5:].shape == (0, 3)
    tail[-1, 0] = float("nan")
    tail[:, 1] -= torch.tensor([1., 2., 3.])
    assert x[4, 0].isnan() and [v.item() for v in x[:, 1]] == [3, 1, -1, -2, -3]


def test_a_write_at_once_counts_as_a_version():
    x, w = torch.ones(3), torch.ones(3, requires_grad=True)
    loss = (w * x).sum()
    float(loss)
    x[0] = 5
    assert x._version == 1
    x[1] *= 2
    assert x._version >= 2 and x.tolist() == [5, 2, 1]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_writes_at_once_refuse_what_recorded_ones_refuse():
    x = torch.zeros(3, dtype=torch.int8)
    x[0] += 127
    x[0] += 1
    x[1] = 2.7
    assert x.tolist() == [-128, 2, 0]
    with pytest.raises(RuntimeError):
        x[1] += 0.5
    with pytest.raises(RuntimeError):
        x[:] = torch.zeros(2, dtype=torch.int8)
    array = np.zeros(3)
    y = torch.from_numpy(array)
    y[1] = 4
    y[2] += 1
    array[0] = 9
    assert array.tolist() == [9, 4, 1] and y[0].item() == 9


def test_data_shows_what_was_drawn_last():
    weight = torch.nn.Linear(2, 3).weight
    assert weight.data.tolist() == weight.tolist()


def test_bits_can_be_read_as_another_dtype_both_ways():
    x = torch.tensor([1.0, -2.0])
    bits = x.view(torch.int32)
    assert bits.tolist() == [0x3F800000, -0x40000000]
    bits[1] = 0x40000000
    assert x.tolist() == [1, 2]
    assert x.view(torch.uint8).shape == (8,)


def test_the_parts_of_a_complex_tensor_are_views():
    z = torch.tensor([1 + 2j, 3 - 1j])
    z.real[0] = 5
    z.imag.neg_()
    assert z.tolist() == [5 - 2j, 3 + 1j]
    assert torch.view_as_complex(torch.view_as_real(z)).tolist() == z.tolist()


def test_a_tensor_can_be_transposed_in_place():
    x = torch.arange(6).reshape(2, 3)
    row = x[0]
    x.t_()
    x[2, 0] = 9
    assert x.shape == (3, 2) and row.tolist() == [0, 1, 9]


@pytest.mark.parametrize("shared", [True, False])
def test_numpy_sees_writes_and_is_seen_writing(shared):
    x = torch.zeros(3)
    array = x.numpy() if shared else x.numpy().copy()
    pending = x + 1  # of the zeros, whatever the array's holder does next
    array[0] = 7
    x[1] = 8
    assert array.tolist() == ([7, 8, 0] if shared else [7, 0, 0])
    assert x.tolist() == ([7, 8, 0] if shared else [0, 8, 0])
    assert pending.tolist() == [1, 1, 1]


def test_arrays_come_in_without_a_copy_and_functions_of_numpy_give_tensors():
    array = np.arange(3.0)
    x = torch.from_numpy(array)
    x += 1
    assert array.tolist() == [1, 2, 3]
    assert isinstance(np.sqrt(x), torch.Tensor)
    assert torch.from_dlpack(array).tolist() == [1, 2, 3]
    with pytest.raises(RuntimeError, match="detach"):
        torch.ones(1, requires_grad=True).numpy()


def test_seeds_give_the_numbers_of_pytorch():
    torch.manual_seed(0)
    assert [round(v, 4) for v in torch.randn(3).tolist()] == [1.5410, -0.2934, -2.1788]
    assert torch.randperm(5).tolist() == [2, 4, 1, 3, 0]
    state = torch.get_rng_state()
    first = torch.rand(4)
    torch.set_rng_state(state)
    assert torch.rand(4).tolist() == first.tolist()


def test_a_draw_fills_memory_in_the_order_in_which_it_lies():
    torch.manual_seed(3)
    rows = torch.empty(4, 5).uniform_()
    torch.manual_seed(3)
    columns = torch.empty(4, 5).t().uniform_()
    assert columns.t().tolist() == rows.tolist()


def test_a_device_that_is_not_there_is_refused_by_name():
    assert torch.zeros(1).device == torch.device("cpu")
    with pytest.raises(AssertionError, match="'cuda' is not available"):
        torch.zeros(1, device="cuda")


def test_several_small_tensors_in_memory_are_joined_at_once():
    pieces = [torch.arange(6.0).reshape(2, 3) + i for i in range(5)]
    arrays = [x.numpy().copy() for x in pieces]
    for dim in (0, 1, 2, -1, -3):
        made = torch.stack(pieces, dim)
        assert made._state is None and np.array_equal(made.numpy(), np.stack(arrays, dim)) and made.is_contiguous()
    for dim in (0, 1, -1, -2):
        made = torch.cat([*pieces, pieces[0]], dim)
        assert made._state is None and np.array_equal(made.numpy(), np.concatenate([*arrays, arrays[0]], dim))
    made.add_(1)
    assert pieces[0][0, 0].item() == 0
    assert torch.cat([torch.ones(0), *pieces]).shape == (10, 3) and torch.stack([torch.zeros(2, 0)] * 4, 1).shape == (2, 4, 0)
    weight = torch.ones(2, requires_grad=True)
    assert torch.stack([weight] * 4).requires_grad and torch.cat([torch.ones(1), *[torch.ones(1).long()] * 4]).dtype is torch.float32
    for bad in (lambda: torch.stack(pieces, 3), lambda: torch.cat([*pieces, torch.ones(2)]), lambda: torch.stack([*pieces, torch.ones(3, 2)]),
                lambda: torch.cat([torch.tensor(1.0)] * 5)):
        with pytest.raises((RuntimeError, IndexError)):
            bad()
    for bad in (lambda: torch.cat(5), lambda: torch.stack([1, 2, 3, 4])):
        with pytest.raises(TypeError, match="Tensor"):
            bad()
