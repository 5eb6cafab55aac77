"""What libraries written for PyTorch import and rely on: its paths, one process, graphs of forward, profiles, hub, operators by name."""
import importlib
import json
import pickle
import warnings

import pytest

import rushlight as torch
from rushlight import _paths, fx, nn

# ---------------------------------------------------------------------------------------------------------------------
# Paths

@pytest.mark.parametrize("path", [*_paths.GATHERED, *_paths.ABSENT])
def test_every_path_of_the_table_can_be_imported(path):
    module = importlib.import_module(f"rushlight.{path}")
    assert module.__doc__ and getattr(importlib.import_module(f"rushlight.{path}".rpartition(".")[0]), path.rpartition(".")[2]) is module


def test_a_path_holds_what_the_files_define_and_nothing_else():
    from rushlight.nn.modules.conv import Conv2d, _ConvNd
    assert Conv2d is nn.Conv2d and issubclass(Conv2d, _ConvNd)
    assert not hasattr(nn.modules.conv, "Linear") and not hasattr(nn.modules, "nothing")
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        importlib.import_module("rushlight.nn.modules.nothing")


def test_what_is_only_a_name_says_so_when_it_is_used():
    from rushlight.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy
    assert not isinstance(nn.Linear(1, 1), FullyShardedDataParallel)
    with pytest.raises(RuntimeError, match="torch.distributed.fsdp.FullyShardedDataParallel: Rushlight runs one process"):
        FullyShardedDataParallel(nn.Linear(1, 1))
    with pytest.raises(AttributeError, match="FULL_SHARD: Rushlight runs one process"):
        _ = ShardingStrategy.FULL_SHARD
    with pytest.raises(RuntimeError, match="torch.onnx.export: Rushlight exports no graphs"):
        torch.onnx.export(nn.Linear(1, 1), torch.ones(1), "model.onnx")
    with pytest.raises(NotImplementedError, match="torch.complex32: Rushlight has no tensors of this dtype"):
        torch.zeros(2, dtype=torch.complex32).tolist()


def test_a_machine_without_a_gpu_answers():
    assert not any(torch.get_device_module(kind).is_available() for kind in ("cuda", "mps", "xpu", "mtia"))
    assert torch.cuda.memory_allocated() == 0 and torch.cuda.get_rng_state_all() == []
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        torch.cuda.Stream()
    with torch.cuda.device(-1), torch.cuda.stream(None):
        assert torch.ones(1).device.type == "cpu"


# ---------------------------------------------------------------------------------------------------------------------
# One process

def test_a_group_of_one_process():
    dist = torch.distributed
    assert not dist.is_available() and not dist.is_initialized()
    with pytest.raises(ValueError, match="has not been initialized"):
        dist.all_reduce(torch.ones(1))
    with pytest.raises(RuntimeError, match="2 processes"):
        dist.init_process_group("gloo", rank=0, world_size=2)
    dist.init_process_group("gloo", rank=0, world_size=1)
    try:
        x, out = torch.arange(3.0), [torch.zeros(3)]
        dist.all_reduce(x)
        assert dist.all_gather(out, x, async_op=True).wait() and out[0].tolist() == x.tolist() == [0, 1, 2]
        assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
        model = nn.parallel.DistributedDataParallel(nn.Linear(2, 1))
        with model.no_sync():
            model(torch.ones(1, 2)).sum().backward()
        assert model.module.weight.grad.tolist() == [[1, 1]] and next(iter(model.state_dict())) == "module.weight"
        with pytest.raises(ValueError, match="rank 1 does not exist"):
            dist.broadcast(x, src=1)
    finally:
        dist.destroy_process_group()
    assert not dist.is_initialized()


# ---------------------------------------------------------------------------------------------------------------------
# fx

class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.scale = nn.Parameter(torch.full((4,), 2.0))

    def forward(self, x, shift=1):
        a, b = torch.relu(self.body(x) * self.scale).chunk(2, dim=1)
        y = torch.cat([a, b], 1) + shift
        return y.view(y.shape[0], -1)[:, 1:3], -y


def test_a_traced_module_computes_and_learns_as_the_module():
    torch.manual_seed(0)
    model, x = Branching(), torch.randn(5, 3)
    traced = fx.symbolic_trace(model)
    for ours, theirs in zip(traced(x, shift=2), model(x, shift=2)):
        assert torch.equal(ours, theirs)
    traced(x)[1].sum().backward()
    assert model.scale.grad is traced.scale.grad is not None  # they are the same parameters
    assert all(torch.equal(a, b) for a, b in zip(fx.Interpreter(traced).run(x), model(x)))
    again = pickle.loads(pickle.dumps(traced))
    assert torch.equal(again(x)[0], model(x)[0]) and again.code == traced.code
    assert vars(model)["scale"] is model._parameters["scale"]  # nothing stays changed behind the trace


def test_the_code_of_a_graph():
    def function(x, y):
        return torch.relu(x) * 2 + y @ y.T
    assert fx.symbolic_trace(function).code == """


def forward(self, x, y):
    relu = torch.relu(x);  x = None
    mul = relu * 2;  relu = None
    getattr_1 = y.T
    matmul = y @ getattr_1;  y = getattr_1 = None
    add = mul + matmul;  mul = matmul = None
    return add
    """


def test_a_graph_is_rewritten():
    traced = fx.symbolic_trace(lambda x: torch.relu(x) + torch.relu(-x))
    for node in traced.graph.find_nodes(op="call_function", target=torch.relu):
        with traced.graph.inserting_after(node):
            node.replace_all_uses_with(traced.graph.call_function(torch.sigmoid, node.args))
        traced.graph.erase_node(node)
    traced.graph.lint()
    traced.recompile()
    x = torch.linspace(-1, 1, 5)
    assert torch.equal(traced(x), torch.sigmoid(x) + torch.sigmoid(-x))
    first = next(iter(traced.graph.nodes))
    with pytest.raises(RuntimeError, match="still had 2 users"):
        traced.graph.erase_node(first)
    with traced.graph.inserting_after(first):
        traced.graph.call_function(torch.exp, (first,))
    assert traced.graph.eliminate_dead_code() and "exp" not in str(traced.graph)


@pytest.mark.parametrize("function, error, message", [
    (lambda x: x if x.sum() > 0 else -x, fx.TraceError, "control flow"),
    (lambda x: list(x), fx.TraceError, "cannot be iterated"),
    (lambda x: len(x), RuntimeError, "'len' is not supported"),
])
def test_what_cannot_be_traced_says_so(function, error, message):
    with pytest.raises(error, match=message):
        fx.symbolic_trace(function)
    assert nn.Linear(1, 1)(torch.ones(1)).shape == (1,)  # calls of modules are what they were


def test_a_transformer_makes_another_graph():
    class Doubled(fx.Transformer):
        def call_function(self, target, args, kwargs):
            return super().call_function(torch.mul, (super().call_function(target, args, kwargs), 2), {})
    made = Doubled(fx.symbolic_trace(lambda x: torch.relu(x))).transform()
    assert made(torch.tensor([-1.0, 3.0])).tolist() == [0, 6]


# ---------------------------------------------------------------------------------------------------------------------
# Profiles, measurements, anomalies

def test_a_profile_counts_calls_and_nests_them(tmp_path):
    from rushlight.profiler import ProfilerAction, profile, record_function, schedule
    x = torch.randn(8, 8, requires_grad=True)
    with profile(record_shapes=True) as prof:
        with record_function("step"):
            torch.relu(x @ x).sum().backward()
            torch.relu(x)
    found = {event.key: event for event in prof.key_averages()}
    assert found["aten::relu"].count == 2 and {"step", "autograd::backward", "aten::sum"} <= found.keys()
    step = prof.events()[0]
    assert step.cpu_time_total >= sum(child.cpu_time_total for child in step.cpu_children) > 0
    assert prof.events()[1].input_shapes == [[8, 8], [8, 8]] and "# of Calls" in prof.key_averages().table(sort_by="count")
    prof.export_chrome_trace(tmp_path / "trace.json")
    assert len(json.loads((tmp_path / "trace.json").read_text())["traceEvents"]) == len(prof.events())
    action = schedule(wait=1, warmup=1, active=2, repeat=1)
    assert [action(i) for i in range(5)] == [ProfilerAction.NONE, ProfilerAction.WARMUP, ProfilerAction.RECORD,
                                             ProfilerAction.RECORD_AND_SAVE, ProfilerAction.NONE]
    assert (torch.ones(2) + 1).tolist() == [2, 2]


def test_a_timer_measures_a_statement():
    from rushlight.utils.benchmark import Compare, Measurement, Timer
    timer = Timer("x + 1", globals={"x": torch.ones(3)}, label="adds", description="one")
    measured = timer.timeit(20)
    assert isinstance(measured, Measurement) and measured.number_per_run == 20 and 0 < measured.median < 1
    assert "adds" in str(Compare([measured, timer.timeit(20)])) and "Median" in str(timer.blocked_autorange(min_run_time=0.01))


def test_an_anomaly_is_shown_where_it_comes_from():
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with torch.autograd.detect_anomaly():
            y = x.sqrt()
            with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"):
                (y * torch.tensor([0.0, 1.0])).sum().backward()
    assert "y = x.sqrt()" in str(seen[-1].message)
    (x.sqrt() * torch.tensor([0.0, 1.0])).sum().backward()
    assert x.grad.isnan().tolist() == [True, False]


# ---------------------------------------------------------------------------------------------------------------------
# Operators by name, lists of tensors, trees, hub

def test_an_operator_of_ones_own_has_a_name_and_a_gradient():
    @torch.library.custom_op("tested::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x.detach()
    x = torch.ones(2, requires_grad=True)
    twice.register_autograd(lambda ctx, grad: 2 * grad)
    torch.ops.tested.twice(x).sum().backward()
    assert x.grad.tolist() == [2, 2] and torch.equal(torch.ops.aten.add.Tensor(x, x), x + x)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = torch.ops.aten.nothing_like_it


def test_operators_on_lists_of_tensors():
    a, b = [torch.ones(2), torch.zeros(3)], [torch.full((2,), 3.0), torch.ones(3)]
    assert [t.tolist() for t in torch._foreach_add(a, b, alpha=2)] == [[7, 7], [2, 2, 2]]
    torch._foreach_lerp_(a, b, 0.5)
    assert a[0].tolist() == [2, 2] and [n.item() for n in torch._foreach_norm(b, 1)] == [6, 3]
    with pytest.raises(RuntimeError, match="same number of tensors"):
        torch._foreach_add(a, b[:1])


def test_trees_have_paths_and_classes_of_ones_own():
    from rushlight.utils import _pytree as pytree
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b
    pytree.register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda parts, _: Pair(*parts))
    leaves, spec = pytree.tree_flatten({"p": Pair(1, [2]), "q": (3,)})
    assert leaves == [1, 2, 3] and spec.num_leaves == 3 and spec.unflatten([4, 5, 6])["p"].b == [5]
    paths, _ = pytree.tree_flatten_with_path({"w": [1, (2,)]})
    assert [(pytree.keystr(path), leaf) for path, leaf in paths] == [("['w'][0]", 1), ("['w'][1][0]", 2)]
    with pytest.raises(ValueError, match="refers to a pytree that holds 3"):
        spec.unflatten([1])


def test_weights_come_from_a_url_and_are_checked(tmp_path):
    import hashlib
    torch.save({"w": torch.arange(3.0)}, tmp_path / "plain.pth")
    digest = hashlib.sha256((tmp_path / "plain.pth").read_bytes()).hexdigest()
    for name, right in ((f"net-{digest[:8]}.pth", True), ("net-00000000.pth", False)):
        (tmp_path / name).write_bytes((tmp_path / "plain.pth").read_bytes())
        fetch = lambda: torch.hub.load_state_dict_from_url(  # noqa: E731
            (tmp_path / name).as_uri(), tmp_path / "kept", progress=False, check_hash=True)
        if right:
            assert fetch()["w"].tolist() == [0, 1, 2]
        else:
            with pytest.raises(RuntimeError, match="invalid hash value"):
                fetch()
    assert [file.name for file in (tmp_path / "kept").iterdir()] == [f"net-{digest[:8]}.pth"]


def test_an_output_that_was_written_to_before_it_was_saved_can_be_read_in_backward():
    class Filled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = torch.empty_like(x)
            y[0] = x[0] * 2
            y[1:] = x[1:]
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, grad):
            return grad * ctx.saved_tensors[0]
    x = torch.ones(3, requires_grad=True)
    Filled.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 1, 1]


def test_batch_normalization_over_processes_is_that_of_one():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    x = torch.randn(6, 3)
    expected = plain(x)
    plain[1].reset_running_stats()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(plain)
    assert torch.equal(converted(x), expected) and converted[1].weight is plain[1].weight


def test_a_transformed_distribution_is_the_one_it_makes():
    from rushlight import distributions as D
    loc, scale = torch.tensor([0.5, -1.0]), torch.tensor([1.5, 0.3])
    made = D.TransformedDistribution(D.Normal(torch.zeros(2), 1), [D.AffineTransform(loc, scale), D.ExpTransform()])
    named, y = D.LogNormal(loc, scale), torch.tensor([0.7, 0.4])
    torch.testing.assert_close(made.log_prob(y), named.log_prob(y))
    torch.testing.assert_close(made.icdf(made.cdf(y)), y)
    with pytest.raises(ValueError, match="within the support"):
        made.log_prob(-y)


@pytest.mark.parametrize("name", ["ExpTransform", "SigmoidTransform", "SoftplusTransform", "TanhTransform", "StickBreakingTransform"])
def test_a_transform_has_its_own_derivative_and_a_way_back(name):
    from rushlight import distributions as D
    t, x = getattr(D, name)(), torch.tensor([0.3, -0.8, 1.1], dtype=torch.float64)
    y = t(x)
    torch.testing.assert_close(t.inv(y), x)
    jacobian = torch.func.jacrev(t)(x)
    expected = jacobian[:-1].det().abs().log() if t.event_dim else jacobian.diagonal().abs().log()
    torch.testing.assert_close(t.log_abs_det_jacobian(x, y), expected)
