"""What programs use around tensors: mixed precision, checkpoints, seeds, switches, comparisons."""
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.utils.checkpoint import checkpoint, checkpoint_sequential


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3))


# ---------------------------------------------------------------------------------------------------------------------
# Mixed precision

def test_autocast_narrows_products_and_widens_losses():
    model, x, y = network(), torch.randn(5, 8), torch.tensor([0, 1, 2, 1, 0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
        loss = nn.functional.cross_entropy(out, y)
        assert (x @ x.T).dtype is out.dtype is torch.bfloat16
        assert (x + x).dtype is loss.dtype is torch.float32
        assert torch.cat([out, torch.zeros(5, 1)], 1).dtype is torch.float32
        with torch.autocast("cpu", enabled=False):
            assert (x @ x.T).dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
        assert torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
    assert (x @ x.T).dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    loss.backward()
    assert model[0].weight.grad.dtype is torch.float32 and model[0].weight.grad.abs().sum() > 0


def test_autocast_decorates():
    @torch.autocast("cpu", dtype=torch.float16)
    def product(a):
        return a @ a
    assert product(torch.eye(3)).dtype is torch.float16


def test_a_scaler_skips_steps_that_are_not_finite():
    model = network()
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.1), torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    before = model[0].weight.clone()
    scaler.scale((model(torch.randn(2, 8)) * float("inf")).sum()).backward()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert scaler.get_scale() == 512 and torch.equal(model[0].weight, before)
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale(model(torch.randn(2, 8)).sum()).backward()
        scaler.unscale_(optimizer)
        with pytest.raises(RuntimeError, match="already been called"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 1024 and not torch.equal(model[0].weight, before)
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()


# ---------------------------------------------------------------------------------------------------------------------
# Checkpoints

@pytest.mark.parametrize("use_reentrant", [True, False])
def test_a_checkpoint_gives_the_gradients_of_the_plain_run(use_reentrant):
    model, drop = network(), nn.Dropout(0.5)
    x = torch.randn(4, 8, requires_grad=True)
    seen = []
    for run in (lambda f, *a: f(*a), lambda f, *a: checkpoint(f, *a, use_reentrant=use_reentrant)):
        torch.manual_seed(1)
        model.zero_grad()
        x.grad = None
        y = run(lambda a, scale: drop(model(a)) * scale, x, 2.0)
        y.square().sum().backward()
        seen.append([y.tolist(), x.grad.tolist(), model[0].weight.grad.tolist(), torch.rand(1).item()])
    assert seen[0] == seen[1]


def test_checkpoints_in_sequence():
    model, x = network(), torch.randn(4, 8)
    wanted = torch.autograd.grad(model(x).sum(), list(model.parameters()))
    checkpoint_sequential(model, 2, x, use_reentrant=False).sum().backward()
    for p, g in zip(model.parameters(), wanted):
        assert torch.equal(p.grad, g)
    with pytest.raises(ValueError, match="4 functions cannot be run in 5 segments"):
        checkpoint_sequential(model, 5, x, use_reentrant=False)


# ---------------------------------------------------------------------------------------------------------------------
# Comparisons

@pytest.mark.parametrize("a, b, text", [
    (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.5, 3.0]), "Mismatched elements: 1 / 3 (33.3%)\nGreatest absolute difference: 0.5 at index (1,)"),
    (torch.ones(2), torch.ones(3), "'shape' do not match: torch.Size([2]) != torch.Size([3])"),
    (torch.ones(2), torch.ones(2).double(), "'dtype' do not match: torch.float32 != torch.float64"),
    ({"a": [torch.ones(1)]}, {"a": [torch.zeros(1)]}, "The failure occurred for item ['a'][0]"),
    (torch.tensor(float("nan")), torch.tensor(float("nan")), "Scalars are not close!"),
    (torch.tensor(3), torch.tensor(4), "Scalars are not equal!")])
def test_assert_close_says_what_differs(a, b, text):
    with pytest.raises(AssertionError) as error:
        torch.testing.assert_close(a, b)
    assert text in str(error.value)


def test_assert_close_lets_close_numbers_pass():
    torch.testing.assert_close(torch.tensor([1.0, float("inf")]), torch.tensor([1.0 + 1e-7, float("inf")]))
    torch.testing.assert_close(torch.tensor(float("nan")), torch.tensor(float("nan")), equal_nan=True)
    torch.testing.assert_close([1, torch.ones(2)], [1, torch.ones(2)])
    torch.testing.assert_close(torch.ones(2), torch.ones(2) * 1.05, rtol=0.1, atol=0)


def test_made_tensors_lie_between_their_limits():
    torch.manual_seed(0)
    x = torch.testing.make_tensor((5, 4), dtype=torch.float32, low=2, high=3, noncontiguous=True)
    assert x.shape == (5, 4) and not x.is_contiguous() and x.min() >= 2 and x.max() < 3
    n = torch.testing.make_tensor(200, dtype=torch.int64, low=-1, high=2, exclude_zero=True)
    assert set(n.tolist()) == {-1, 1}


# ---------------------------------------------------------------------------------------------------------------------
# Switches

def test_a_fork_of_the_generator_leaves_it_as_it_was():
    torch.manual_seed(3)
    with torch.random.fork_rng():
        first = torch.rand(2)
        torch.manual_seed(4)
    assert torch.equal(first, torch.rand(2))


def test_what_is_compiled_stays_what_it_is():
    model = network()
    assert torch.compile(model) is model and torch.jit.script(model) is model

    @torch.compile(mode="max-autotune")
    def twice(x):
        return x + x
    assert twice(torch.ones(1)).item() == 2


def test_switches_keep_what_they_are_told():
    assert torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    assert not torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    with pytest.raises(RuntimeError, match="'fast' is none of"):
        torch.set_float32_matmul_precision("fast")
    assert not torch.cuda.is_available() and torch.cpu.device_count() == 1 and torch.version.cuda is None


# ---------------------------------------------------------------------------------------------------------------------
# Modules that programs import by name

def test_modules_that_programs_import_by_name_are_there():
    import rushlight.backends.cudnn as cudnn
    from rushlight.cuda.amp import GradScaler, autocast

    cudnn.benchmark = True
    with cudnn.flags(enabled=True, benchmark=False):
        assert cudnn.enabled and not torch.backends.cudnn.benchmark
    assert cudnn.benchmark and not cudnn.enabled
    cudnn.benchmark = False
    x = torch.ones(2, 2)
    with autocast():  # of the GPU, so that nothing changes
        assert (x @ x).dtype is torch.float32
    assert not GradScaler().is_enabled() and GradScaler().scale(x) is x
    assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None


def test_trees_are_taken_apart_and_put_together():
    from rushlight.utils._pytree import tree_flatten, tree_map, tree_map_only, tree_unflatten

    tree = {"w": 1, "rest": (2, [3.0, None])}
    leaves, spec = tree_flatten(tree)
    assert leaves == [1, 2, 3.0, None] and tree_unflatten(leaves, spec) == tree
    assert tree_map(lambda a, b: (a, b), [1, (2,)], [3, (4,)]) == [(1, 3), ((2, 4),)]
    assert tree_map_only(int, lambda n: -n, tree) == {"w": -1, "rest": (-2, [3.0, None])}
    with pytest.raises(ValueError, match="expected 2, but got 1"):
        tree_map(max, [1, 2], [1])


def test_a_gradient_penalty_asks_for_only_the_inputs():
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    gradient, = torch.autograd.grad(outputs=(x * x).sum(), inputs=x, create_graph=True, retain_graph=True, only_inputs=True)
    ((gradient.norm(2) - 1) ** 2).backward()  # |2 x| = 10, and the norm's own gradient is 2 x / |x|
    assert torch.allclose(x.grad, 2 * (10.0 - 1) * 2 * torch.tensor([0.6, 0.8]))
