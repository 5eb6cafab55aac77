"""Parametrizations, pruning, fusion, lazy layers and modules as functions, by what has to hold of them."""
import copy
import pickle

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.nn.utils import parametrizations, parametrize, prune


@pytest.fixture(autouse=True)
def seeded(monkeypatch):
    monkeypatch.setattr("rushlight.runtime.plan.backend", lambda: "reference")  # quick: nothing here is about compiling
    torch.manual_seed(0)


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, y):
        return y / 2


class Halves(nn.Module):
    """A tensor from its upper and its lower part."""

    def forward(self, upper, lower):
        return torch.cat([upper, lower])

    def right_inverse(self, y):
        return y[:1].clone(), y[1:].clone()


# Parametrizations ----------------------------------------------------------------------------------------------------

def test_a_parametrized_weight_is_computed_when_read_and_inverted_when_assigned():
    layer = nn.Linear(3, 2)
    before, original = layer.weight.detach().clone(), layer.weight
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert torch.equal(layer.weight, before) and layer.parametrizations.weight.original is original
    layer.weight = torch.ones(2, 3)
    assert original.tolist() == [[0.5] * 3] * 2 and layer(torch.ones(1, 3)).requires_grad
    layer(torch.ones(1, 3)).sum().backward()
    assert original.grad.tolist() == [[2.0] * 3] * 2
    assert parametrize.remove_parametrizations(layer, "weight").weight is original and type(layer) is nn.Linear
    assert original.tolist() == [[1.0] * 3] * 2


def test_parametrizations_apply_in_order_and_a_copy_has_its_own():
    layer = nn.Linear(2, 2)
    for _ in range(3):
        parametrize.register_parametrization(layer, "bias", Doubled())
    layer.bias = torch.full((2,), 8.0)
    other = copy.deepcopy(layer)
    other.bias = torch.zeros(2)
    assert layer.parametrizations.bias.original.tolist() == [1.0, 1.0] and layer.bias.tolist() == [8.0, 8.0] and other.bias.tolist() == [0.0, 0.0]
    assert [name for name, _ in layer.named_parameters()] == ["weight", "parametrizations.bias.original"]
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(layer)


def test_a_parametrization_of_several_tensors_cannot_be_left_unparametrized():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Halves())
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {
        "bias": (2,), "parametrizations.weight.original0": (1, 2), "parametrizations.weight.original1": (1, 2)}
    with pytest.raises(ValueError, match="Cannot leave unparametrized"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.load_state_dict(layer.state_dict()) and torch.equal(layer.weight, torch.cat(list(layer.parametrizations.weight.parameters())))


def test_cached_computes_a_weight_once():
    calls = []

    class Counting(Doubled):
        def forward(self, x):
            calls.append(x)
            return super().forward(x)

    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Counting(), unsafe=True)
    with parametrize.cached():
        assert layer.weight is layer.weight and len(calls) == 1
    assert layer.weight is not layer.weight and len(calls) == 3


@pytest.mark.parametrize("change, message", [(lambda x: x[:1], "may not change the shape"), (lambda x: x.double(), "may not change the "
                                                                                                                   "dtype"),
                                             (lambda x: None, "must return a tensor")])
def test_a_parametrization_that_changes_shape_or_dtype_is_refused(change, message):
    class Changing(nn.Module):
        def forward(self, x):
            return change(x)

    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=message):
        parametrize.register_parametrization(layer, "weight", Changing())
    assert type(layer) is nn.Linear and [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_weight_norm_in_both_forms_learns_length_and_direction(dim):
    layer = nn.Conv1d(2, 3, 2)
    weight, x = layer.weight.detach().clone(), torch.randn(1, 2, 5)
    expected = layer(x)
    new = parametrizations.weight_norm(copy.deepcopy(layer), dim=dim)
    with pytest.warns(FutureWarning):
        old = nn.utils.weight_norm(copy.deepcopy(layer), dim=dim)
    for made, length in ((new, new.parametrizations.weight.original0), (old, old.weight_g)):
        np.testing.assert_allclose(made(x).detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
        with torch.no_grad():
            length.mul_(3)
        np.testing.assert_allclose((made(x), made.weight)[1].detach().numpy(), 3 * weight.numpy(), rtol=1e-5)
    assert new.load_state_dict(old.state_dict())  # names of the older form are understood
    removed = nn.utils.remove_weight_norm(old)
    assert [name for name, _ in removed.named_parameters()] == ["bias", "weight"] and not removed._forward_pre_hooks


def test_spectral_norm_in_both_forms_makes_the_largest_singular_value_one():
    layer = nn.Linear(5, 7)
    largest = lambda m: np.linalg.svd(m.weight.detach().numpy())[1][0]  # noqa: E731
    new, old = parametrizations.spectral_norm(copy.deepcopy(layer), n_power_iterations=30), nn.utils.spectral_norm(copy.deepcopy(layer), n_power_iterations=30)
    old(torch.ones(1, 5))
    assert abs(largest(new) - 1) < 1e-3 and abs(largest(old) - 1) < 1e-3 and largest(layer) != 1
    before = new.eval().weight
    assert torch.equal(before, new.weight)  # no step of the iteration in evaluation
    assert set(old.state_dict()) == {"bias", "weight_orig", "weight_u", "weight_v"}
    nn.utils.remove_spectral_norm(old)
    assert set(old.state_dict()) == {"bias", "weight"} and not old._state_dict_hooks and not old._load_state_dict_pre_hooks


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_orthogonal_weights_stay_orthogonal_while_they_learn(kind, shape):
    layer = parametrizations.orthogonal(nn.Linear(*shape, bias=False), orthogonal_map=kind)
    start = layer.weight.detach().clone()
    (layer.weight * torch.randn(layer.weight.shape)).sum().backward()
    original = layer.parametrizations.weight.original
    original.data -= 0.1 * original.grad
    moved = layer.weight.detach().numpy()
    columns = moved if moved.shape[0] >= moved.shape[1] else moved.T
    np.testing.assert_allclose(columns.T @ columns, np.eye(columns.shape[1]), atol=1e-5)
    assert np.abs(moved - start.numpy()).max() > 1e-3


# Pruning -------------------------------------------------------------------------------------------------------------

def test_pruned_entries_get_no_gradient_and_stay_pruned_until_removed():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, -4.0], [0.5, 2.0]])
    prune.l1_unstructured(layer, "weight", amount=0.5)
    assert layer.weight.tolist() == [[0.0, -4.0], [0.0, 2.0]] and prune.is_pruned(nn.Sequential(layer))
    layer(torch.ones(1, 2)).sum().backward()
    assert layer.weight_orig.grad.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    prune.l1_unstructured(layer, "weight", amount=1)  # of what is left
    assert layer.weight.tolist() == [[0.0, -4.0], [0.0, 0.0]]
    prune.remove(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.tolist() == [[0.0, -4.0], [0.0, 0.0]] and not prune.is_pruned(layer)


def test_global_pruning_compares_across_layers():
    a, b = nn.Linear(2, 1, bias=False), nn.Linear(1, 2, bias=False)
    a.weight.data, b.weight.data = torch.tensor([[1.0, 5.0]]), torch.tensor([[2.0], [0.1]])
    prune.global_unstructured([(a, "weight"), (b, "weight")], pruning_method=prune.L1Unstructured, amount=2)
    assert a.weight.tolist() == [[0.0, 5.0]] and b.weight.tolist() == [[2.0], [0.0]]


@pytest.mark.parametrize("amount, left", [(0, 12), (3, 0), (1 / 3, 8)])
def test_structured_pruning_takes_whole_channels(amount, left):
    layer = prune.ln_structured(nn.Linear(4, 3), "weight", amount, n=1, dim=0)
    rows = layer.weight_mask.sum(1).tolist()
    assert sum(rows) == left and set(rows) <= {0.0, 4.0}


def test_a_failed_pruning_leaves_the_layer_as_it_was():
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="smaller than the number"):
        prune.l1_unstructured(layer, "weight", amount=5)
    assert list(layer.state_dict()) == ["bias", "weight"] and not layer._forward_pre_hooks


# Lazy layers ---------------------------------------------------------------------------------------------------------

def test_a_lazy_layer_becomes_an_ordinary_one_with_its_first_input():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
        net[0].weight + 1
    with pytest.raises(RuntimeError, match="Can't access the shape"):
        net[0].weight.shape  # noqa: B018
    net.double()
    assert net(torch.randn(2, 3, 5, 5, dtype=torch.float64)).shape == (2, 2) and [type(m) for m in net] == [nn.Conv2d, nn.BatchNorm2d, nn.Flatten, nn.Linear]
    assert {p.dtype for p in net.parameters()} == {torch.float64} and all(not m._forward_pre_hooks for m in net)
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    assert str(lazy.load_state_dict(net.state_dict())) == "<All keys matched successfully>"
    assert torch.equal(lazy[3].weight, net[3].weight.float())


def test_a_lazy_layer_starts_with_the_numbers_of_its_ordinary_form():
    torch.manual_seed(5)
    lazy = nn.LazyLinear(3)
    lazy(torch.ones(1, 4))
    torch.manual_seed(5)
    assert torch.equal(lazy.weight, nn.Linear(4, 3).weight)


# Modules as functions ------------------------------------------------------------------------------------------------

def test_functional_call_leaves_the_module_alone_also_when_it_fails():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    own = dict(net.named_parameters())
    given = {"0.weight": torch.eye(2), "1.running_mean": torch.zeros(2)}
    torch.func.functional_call(net, given, (torch.ones(2, 2),))
    with pytest.raises(RuntimeError):
        torch.func.functional_call(net, {"0.weight": torch.eye(3)}, (torch.ones(2, 2),))
    assert all(p is own[name] for name, p in net.named_parameters()) and net[1].running_mean.tolist() == [0.0, 0.0]
    assert given["1.running_mean"].tolist() != [0.0, 0.0]  # what the call wrote to the buffer that it was given


def test_fused_batch_normalization_computes_the_same():
    conv, bn = nn.ConvTranspose2d(3, 4, 2, bias=False), nn.BatchNorm2d(4)
    bn(torch.randn(5, 4, 2, 2) * 3 + 1)
    conv.eval(), bn.eval()
    x = torch.randn(2, 3, 4, 5)
    np.testing.assert_allclose(nn.utils.fuse_conv_bn_eval(conv, bn, transpose=True)(x).detach().numpy(), bn(conv(x)).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_skip_init_draws_nothing():
    torch.manual_seed(3)
    nn.utils.skip_init(nn.Linear, 4, 5)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
