"""Tensors on "meta": shapes without memory, models larger than any machine, and no way to a number."""
import copy

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn import functional as F


def test_shapes_follow_without_memory():
    x = torch.empty(10 ** 7, 10 ** 6, device="meta")
    y = x @ torch.zeros(10 ** 6, 5, device="meta", dtype=torch.float32)
    assert (y.shape, y.dtype, y.device.type, y.is_meta, y.is_cpu) == ((10 ** 7, 5), torch.float32, "meta", True, False)
    assert (y > 0).dtype is torch.bool and y.t().stride() == (1, 5) and y.max(0).indices.shape == (5,) and len(y.split(10 ** 6)) == 10
    assert F.softmax(y, -1).shape == y.shape and y[:3, None].shape == (3, 1, 5) and torch.cat([y, y]).shape == (2 * 10 ** 7, 5)
    assert y.add_(1) is y and y.relu_() is y and (y.half() + 1).dtype is torch.float16


def test_errors_of_shape_are_those_of_real_tensors():
    with pytest.raises(RuntimeError):
        torch.ones(2, 3, device="meta") @ torch.ones(2, 3, device="meta")
    with pytest.raises(IndexError):
        torch.ones(2, device="meta").sum(3)


@pytest.mark.parametrize("look", [torch.Tensor.item, bool, float, torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu,
                                  lambda x: x.to("cpu"), lambda x: x.nonzero(), lambda x: (x + 1).item()])
def test_there_is_no_way_to_a_number(look):
    with pytest.raises((NotImplementedError, RuntimeError), match="no data|meta tensors"):
        look(torch.ones((), device="meta"))


def test_they_are_shown_by_their_size():
    assert repr(torch.empty(2, 3, device="meta")) == "tensor(..., device='meta', size=(2, 3))"
    assert repr(nn.Parameter(torch.ones(2).to("meta"))) == "Parameter containing:\ntensor(..., device='meta', size=(2,), requires_grad=True)"


def test_a_model_is_made_without_memory_and_given_it_later():
    before = torch.get_rng_state()
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.LSTM(3, 2))
        made = torch.tensor([1, 2]), torch.arange(3), torch.randn(2), torch.as_tensor([1.0])
    assert not torch.ones(1).is_meta and all(t.is_meta for t in made)
    assert torch.equal(torch.get_rng_state(), before)  # nothing was drawn
    assert all(t.is_meta for t in (*model.parameters(), *model.buffers()))
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in model.parameters())
    out = model[:2](torch.empty(5, 4, device="meta"))
    assert out.is_meta and out.shape == (5, 3) and out.requires_grad
    assert model.to_empty(device="cpu") is model and not any(t.is_meta for t in (*model.parameters(), *model.buffers()))
    assert type(model[0].weight) is nn.Parameter and model[0].weight.requires_grad
    model[0].reset_parameters()
    assert model[0](torch.ones(1, 4)).sum().item() != 0


def test_a_state_is_put_into_a_model_that_has_no_memory():
    real = nn.Linear(3, 2)
    with torch.device("meta"):
        empty = nn.Linear(3, 2)
    empty.load_state_dict(real.state_dict(), assign=True)
    assert torch.equal(empty(torch.ones(1, 3)), real(torch.ones(1, 3)))


def test_a_model_can_lose_its_memory():
    model = nn.Linear(3, 2).to("meta")
    assert model.weight.is_meta and model.weight.requires_grad and copy.deepcopy(model).bias.is_meta
    assert {name: value.shape for name, value in model.state_dict().items()} == {"weight": (2, 3), "bias": (2,)}
    assert torch.zeros_like(model.weight, device="cpu").tolist() == [[0.0] * 3] * 2


def test_indices_need_no_numbers():
    table = nn.Embedding(10 ** 9, 1024, device="meta")
    assert table(torch.empty(2, 3, dtype=torch.int64, device="meta")).shape == (2, 3, 1024)


def test_buffers_have_no_memory_either():
    module = torch.nn.Module()
    module.mean = torch.nn.Buffer(torch.empty(2, device="meta"), persistent=False)
    assert isinstance(module.mean, torch.nn.Buffer) and [b.device.type for b in module.buffers()] == ["meta"] and not module.state_dict()
    assert module.to_empty(device="cpu").mean.shape == (2,)
