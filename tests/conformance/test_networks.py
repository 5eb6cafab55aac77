"""What users do to modules from outside, on both libraries: hooks, loading, parametrizations, pruning, lazy layers, functional transforms.

    python -m pytest tests/conformance/test_networks.py               all programs
    python tests/conformance/test_networks.py NAME                    one, with what each library printed

As in test_programs.py: a program is a function of the library, and prints the same text on both.
"""
import copy
import difflib
import importlib
import pickle
import sys
import warnings
from collections import OrderedDict
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_programs import printed

import rushlight

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


def attempt(call):
    """Print the result, or the exception with its message."""
    try:
        print(call())
    except Exception as error:
        print(type(error).__name__, str(error).strip('"'))


def refused(call):
    """Print the class of what is raised."""
    try:
        print("nothing was raised:", call())
    except Exception as error:
        print(type(error).__name__)


# ---------------------------------------------------------------------------------------------------------------------
# Module

@program
def forward_hooks(torch):
    nn = torch.nn
    x = torch.tensor([[1., -2.]])

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.ReLU()

        def forward(self, x, scale=1.0, *, shift=0.0):
            return self.b(self.a(x) * scale) + shift

    net = Two()
    nn.init.eye_(net.a.weight), nn.init.zeros_(net.a.bias)
    handles = [net.register_forward_pre_hook(lambda m, args: print("pre", args)),
               net.register_forward_pre_hook(lambda m, args, kwargs: (print("pre kw", args, kwargs), (args, {**kwargs, "shift": 1.0}))[1], with_kwargs=True),
               net.register_forward_pre_hook(lambda m, args: print("first"), prepend=True),
               net.register_forward_hook(lambda m, args, out: print("post", args, out)),
               net.register_forward_hook(lambda m, args, kwargs, out: (print("post kw", kwargs), out * 2)[1], with_kwargs=True),
               net.register_forward_hook(lambda m, args, out: print("before all", out), prepend=True),
               net.b.register_forward_hook(lambda m, args, out: out + 10)]
    print(net(x, scale=2.0))
    for handle in handles:
        handle.remove()
    print(net(x), [len(d) for d in (net._forward_hooks, net._forward_pre_hooks, net._forward_hooks_with_kwargs, net._forward_pre_hooks_with_kwargs)])
    with net.register_forward_pre_hook(lambda m, args: args[0] * 3):
        print(net(x))
    net.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    attempt(lambda: net(x))
    failing = nn.Linear(3, 2)
    failing.register_forward_hook(lambda m, args, out: print("always", out), always_call=True)
    failing.register_forward_hook(lambda m, args, out: print("never"))
    refused(lambda: failing(x))
    seen = []
    everywhere = [nn.modules.module.register_module_forward_pre_hook(lambda m, args: seen.append(("pre", type(m).__name__))),
                  nn.modules.module.register_module_forward_hook(lambda m, args, out: seen.append(("post", type(m).__name__))),
                  nn.modules.module.register_module_full_backward_hook(lambda m, gi, go: seen.append(("back", type(m).__name__, len(gi)))),
                  nn.modules.module.register_module_full_backward_pre_hook(lambda m, go: seen.append(("back pre", type(m).__name__)))]
    nn.Sequential(nn.Linear(2, 1), nn.Tanh())(x.clone().requires_grad_()).sum().backward()
    for handle in everywhere:
        handle.remove()
    print(seen)
    named = []
    register = nn.modules.module
    for kind in ("parameter", "buffer", "module"):
        everywhere.append(getattr(register, f"register_module_{kind}_registration_hook")(lambda m, name, value, kind=kind: named.append((kind, type(m).__name__, name))))
    nn.BatchNorm1d(2), nn.Sequential(nn.Linear(1, 1))
    for handle in everywhere:
        handle.remove()
    print(named)


@program
def backward_hooks(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1))
    for p in net.parameters():
        nn.init.constant_(p, 0.5)
    for name, module in net.named_modules():
        module.register_full_backward_hook(lambda m, gi, go, name=name: print("hook", name, gi, go))
        module.register_full_backward_pre_hook(lambda m, go, name=name: print("pre", name, go))
    x = torch.tensor([[1., -1.]], requires_grad=True)
    net(x).sum().backward()
    print(x.grad)
    changed = nn.Linear(2, 1)
    changed.register_full_backward_pre_hook(lambda m, go: (go[0] * 10,))
    changed.register_full_backward_hook(lambda m, gi, go: (gi[0] * 0 + 7,))
    x.grad = None
    changed(x).sum().backward()
    print(x.grad, changed.bias.grad)

    class Pair(nn.Module):
        def forward(self, a, b, k=None):
            return a * b, a + b

    pair = Pair()
    pair.register_full_backward_hook(lambda m, gi, go: print("pair", gi, go))
    a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0)
    pair(a, b)[0].backward()
    print(a.grad)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        layer = nn.Linear(1, 1)
        layer.register_full_backward_hook(lambda m, gi, go: print("no input", gi, go))
        layer(torch.ones(1, 1)).sum().backward()
        print(layer.weight.grad, [str(w.message)[:60] for w in seen])
    wrong = nn.Linear(2, 1)
    wrong.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    attempt(lambda: wrong(x).sum().backward())
    with torch.no_grad():
        print(net(x).shape)


@program
def state_hooks(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    net.register_state_dict_pre_hook(lambda m, prefix, keep_vars: print("before", prefix, keep_vars))
    net[0].register_state_dict_post_hook(lambda m, state, prefix, meta: print("after", prefix, list(state), meta))
    net[1]._register_state_dict_hook(lambda m, state, prefix, meta: state.pop(prefix + "num_batches_tracked"))
    saved = net.state_dict(prefix="net.", keep_vars=True)
    print(list(saved), saved._metadata, saved["net.0.weight"] is net[0].weight)
    other = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    other._register_load_state_dict_pre_hook(lambda state, *rest: [state.__setitem__(k[4:], state.pop(k)) for k in list(state) if k.startswith("net.")])
    other[0].register_load_state_dict_pre_hook(lambda m, state, prefix, *rest: print("loading", type(m).__name__, prefix, rest[1]))
    other.register_load_state_dict_post_hook(lambda m, keys: print("loaded", keys))
    print(other.load_state_dict(saved, strict=False), other[0].weight == net[0].weight)
    attempt(lambda: other.load_state_dict(saved))
    other.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    print(other.load_state_dict(saved))

    class Counted(nn.Module):
        _version = 3

        def __init__(self):
            super().__init__()
            self.count = 5

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    a, b = nn.Sequential(Counted()), nn.Sequential(Counted())
    a[0].count = 9
    print(a.state_dict(), b.load_state_dict(a.state_dict()), b[0].count, a.state_dict()._metadata)
    attempt(lambda: b.load_state_dict({}))
    attempt(lambda: nn.Sequential(nn.ReLU()).load_state_dict(a.state_dict()))

    class Renamed(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *rest):
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
            super()._load_from_state_dict(state_dict, prefix, *rest)

    renamed = Renamed(1, 1)
    print(renamed.load_state_dict({"w": torch.ones(1, 1), "bias": torch.ones(1)}), renamed.weight)


@program
def loading_strictly(torch):
    nn = torch.nn
    net = nn.Sequential(OrderedDict(a=nn.Linear(2, 2), b=nn.Sequential(nn.Linear(2, 1))))
    good = {k: torch.ones_like(v) for k, v in net.state_dict().items()}
    for change in ({"a.weight": torch.ones(3, 2)}, {"more": torch.ones(1), "b.0.more.yet": torch.ones(1)}, {"a.weight": 3, "b.0.bias": torch.ones(1, 1)},
                   {"a.weight": torch.ones(2, 2, dtype=torch.float64)}):
        attempt(lambda change=change: net.load_state_dict({**good, **change}))
    attempt(lambda: net.load_state_dict({"a.weight": good["a.weight"], "c": good["a.bias"], "b.0.weight": torch.ones(3)}))
    attempt(lambda: net.load_state_dict({"a.weight": good["a.weight"], "c": good["a.bias"]}, strict=False))
    attempt(lambda: net.load_state_dict(3))
    weight = net.a.weight
    new = {k: v.double() for k, v in good.items()}
    print(net.load_state_dict(new, assign=True), net.a.weight.dtype, net.a.weight is weight, net.a.weight.requires_grad, type(net.a.weight).__name__)
    print(net.a.weight.data_ptr() == new["a.weight"].data_ptr())
    scalar = nn.Module()
    scalar.p = nn.Parameter(torch.tensor(1.0))
    print(scalar.load_state_dict({"p": torch.tensor([2.0])}), scalar.p)
    bn = nn.BatchNorm1d(2)
    bn.register_buffer("other", torch.zeros(1), persistent=False)
    print(list(bn.state_dict()), [n for n, _ in bn.named_buffers()], bn.load_state_dict(nn.BatchNorm1d(2).state_dict()))
    print(bn.load_state_dict(bn.state_dict(), assign=True), bn.running_mean)
    old = OrderedDict((k, v) for k, v in nn.BatchNorm1d(2).state_dict().items() if k != "num_batches_tracked")
    print(bn.load_state_dict(old))


@program
def members_of_modules(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net.again = net[0]
    net.register_buffer("mean", torch.zeros(2))
    net.register_buffer("loose", torch.ones(1), persistent=False)
    net.register_parameter("none", None)
    net.scale = nn.Parameter(torch.ones(1))
    net.buffer = nn.Buffer(torch.ones(2), persistent=False)
    for remove_duplicate in (True, False):
        print([n for n, _ in net.named_parameters(remove_duplicate=remove_duplicate)], [n for n, _ in net.named_modules(remove_duplicate=remove_duplicate)],
              [n for n, _ in net.named_buffers("here", remove_duplicate=remove_duplicate)])
    print([n for n, _ in net.named_children()], [n for n, _ in net.named_parameters("x", recurse=False)], list(net.state_dict()), net.none, len(list(net.children())))
    print(net.get_submodule("0"), net.get_submodule("") is net, net.get_parameter("0.weight").shape, net.get_buffer("mean"))
    for wrong in (lambda: net.get_submodule("0.weight"), lambda: net.get_submodule("7"), lambda: net.get_parameter("mean"), lambda: net.get_buffer("0.weight"),
                  lambda: net.register_buffer("a.b", None), lambda: net.register_buffer("", None), lambda: net.register_buffer("scale", torch.ones(1)),
                  lambda: net.register_buffer("b", 3), lambda: net.register_parameter("p", torch.ones(1)), lambda: net.register_parameter(3, None),
                  lambda: net.register_parameter("q", nn.Parameter(torch.ones(1)) * 2), lambda: net.add_module("m", 3), lambda: net.add_module("a.b", None),
                  lambda: setattr(net, "scale", torch.ones(1)), lambda: setattr(net, "0", 3), lambda: setattr(net, "mean", 3), lambda: net.nothing,
                  lambda: delattr(net, "nothing"), lambda: net.set_submodule("", nn.ReLU()), lambda: net.set_submodule("0", 3),
                  lambda: net.set_submodule("9", nn.ReLU(), strict=True), lambda: nn.Module()(1), lambda: nn.Module(3), lambda: nn.Module(a=3), lambda: net.train(1),
                  lambda: net.register_module("forward", nn.ReLU()), lambda: nn.Linear(2, 2).to(torch.int32)):
        attempt(wrong)
    net.set_submodule("1", nn.Tanh())
    net.mean = None
    print(net, net.mean, list(net._buffers))
    net.mean = torch.full((2,), 3.0)
    del net.scale, net.again
    print(net.mean, sorted(set(dir(net)) & {"mean", "loose", "scale", "0", "again", "forward"}), hasattr(net, "scale"), list(net.state_dict()))

    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    class EarlyParameter(nn.Module):
        def __init__(self):
            self.p = nn.Parameter(torch.ones(1))

    attempt(Early)
    attempt(EarlyParameter)
    print(nn.Module().apply(lambda m: print("applied to", type(m).__name__)), [m.training for m in net.eval().modules()], net.train().training)


@program
def converting_modules(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Embedding(3, 2))
    weight = net[0].weight
    net(torch.randint(0, 3, (2, 2)).float()) if False else net[0](torch.ones(1, 2)).sum().backward()
    for change in (net.double, net.half, net.bfloat16, net.float, lambda: net.to(torch.float64), lambda: net.to("cpu", torch.float32), lambda: net.type(torch.float64),
                   lambda: net.to(torch.zeros(1)), lambda: net.to(dtype=torch.float16), lambda: net.to("cpu", non_blocking=True), lambda: net.cpu().float()):
        print(change() is net, net[0].weight.dtype, net[0].weight is weight, net[1].running_mean.dtype, net[1].num_batches_tracked.dtype, net[0].weight.grad.dtype)
    print(net.requires_grad_(False)[0].weight.requires_grad, net.requires_grad_()[0].weight.requires_grad, net.zero_grad(set_to_none=False), net[0].weight.grad)
    net.zero_grad()
    print(net[0].weight.grad, net.to_empty(device="cpu")[0].weight.shape, net.share_memory() is net, net[0].weight.requires_grad)
    net[0].reset_parameters(), net[1].reset_parameters(), net[2].reset_parameters()
    again = pickle.loads(pickle.dumps(net))
    print(again, torch.equal(again[0].weight, net[0].weight), again[0].weight is net[0].weight, [n for n, _ in again.named_buffers()], again.training)
    copied = copy.deepcopy(net)
    copied[0].weight.data.fill_(0)
    print(net[0].weight.abs().sum() > 0, type(copied[0].weight).__name__, copied[0].weight.requires_grad)
    shallow = copy.copy(net[0])
    print(shallow.weight is net[0].weight, shallow)
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    tied = copy.deepcopy(tied)
    print(tied[1].weight is tied[0].weight)
    hooked = nn.Linear(1, 1)
    hooked.register_forward_hook(print_shape)
    copy.deepcopy(hooked)(torch.ones(1, 1))

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.ModuleDict({"x": nn.Linear(1, 1), "y": nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Tanh()])})
            self.values = nn.ParameterList([torch.ones(1), nn.Parameter(torch.ones(2, 2))])
            self.named = nn.ParameterDict({"a": torch.ones(1), "b": nn.Parameter(torch.zeros(3))})

        def extra_repr(self):
            return "line one\nline two"

    print(Odd(), nn.Sequential(), nn.ModuleList(), nn.Module())


def print_shape(module, args, output):
    print("hooked", output.shape)


@program
def random_activations(torch):
    x = torch.randn(3, 4, requires_grad=True)
    soft = torch.nn.functional.gumbel_softmax(x, 0.7, dim=0)
    soft.square().sum().backward()
    print(soft, x.grad)
    x.grad = None
    hard = torch.nn.functional.gumbel_softmax(x, hard=True)
    (hard * torch.arange(4.)).sum().backward()
    print(hard, x.grad)
    y = torch.randn(5)
    print(torch.nn.functional.rrelu_(y, training=True) is y, y, torch.nn.RReLU(inplace=True).eval()(y.clone() - 1))
    print(torch.nn.functional.relu(torch.tensor([float("nan"), -0.0, 1.0])), torch.nn.functional.softshrink(torch.tensor([-0.2, 0.2, float("nan")])))
    nan = torch.tensor([float("nan"), 0.0, 1.0], requires_grad=True)
    torch.relu(nan).sum().backward()
    print(nan.grad)


@program
def gradients_of_convolutions(torch):
    for dims in (1, 2, 3):
        x, w = torch.randn(2, 4, *(5,) * dims), torch.randn(6, 2, *(3,) * dims)
        y = getattr(torch.nn.functional, f"conv{dims}d")(x, w, None, 2, 1, 1, 2)
        g = torch.randn(y.shape)
        print(getattr(torch.nn.grad, f"conv{dims}d_input")(x.shape, w, g, 2, 1, 1, 2).flatten()[:5])
        print(getattr(torch.nn.grad, f"conv{dims}d_weight")(x, w.shape, g, 2, 1, 1, 2).flatten()[:5])


@program
def wrapped_models(torch):
    nn = torch.nn
    wrapped = nn.DataParallel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    print(wrapped, list(wrapped.state_dict()), wrapped(torch.ones(3, 2)).shape, wrapped.module[0].weight.shape)
    saved = wrapped.state_dict()
    nn.modules.utils.consume_prefix_in_state_dict_if_present(saved, "module.")
    print(list(saved), list(saved._metadata), wrapped.module.load_state_dict(saved))
    print(isinstance(nn.BatchNorm2d(1), nn.modules.batchnorm._BatchNorm), isinstance(nn.Conv1d(1, 1, 1), nn.modules.conv._ConvNd), nn.modules.Linear is nn.Linear)
    print(issubclass(nn.MSELoss, nn.modules.loss._Loss), nn.modules.utils._pair(3), nn.modules.utils._triple([1, 2, 3]))


# ---------------------------------------------------------------------------------------------------------------------
# nn.utils

@program
def parametrization(torch):
    nn, parametrize = torch.nn, torch.nn.utils.parametrize

    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, a):
            return a.triu()

    class Exponential(nn.Module):
        def forward(self, x):
            return x.exp()

        def right_inverse(self, a):
            return a.log()

    class RankOne(nn.Module):
        def forward(self, x, y):
            return x.unsqueeze(-1) @ y.unsqueeze(-2)

        def right_inverse(self, z):
            return z[:, 0].clone(), z[0].clone()

    class Smaller(nn.Module):
        def forward(self, x):
            return x[:1]

    layer = nn.Linear(3, 3)
    weight = layer.weight
    print(parametrize.register_parametrization(layer, "weight", Symmetric()), type(layer).__name__, isinstance(layer, nn.Linear))
    print(layer.weight, layer.parametrizations.weight.original is weight, [n for n, _ in layer.named_parameters()], list(layer.state_dict()))
    layer(torch.ones(1, 3)).sum().backward()
    print(weight.grad, parametrize.is_parametrized(layer), parametrize.is_parametrized(layer, "bias"), parametrize.type_before_parametrizations(layer).__name__)
    layer.weight = torch.arange(9.).reshape(3, 3)
    print(weight, layer.weight)
    parametrize.register_parametrization(layer, "weight", Exponential())
    layer.weight = torch.full((3, 3), 2.0)
    print(layer.weight, weight)
    with parametrize.cached():
        print(layer.weight is layer.weight)
    print(layer.weight is layer.weight)
    again = copy.deepcopy(layer)
    again.weight = torch.ones(3, 3)
    print(again.weight, layer.weight[0, 0], type(again).__name__)
    print(again.load_state_dict(layer.state_dict()), again.weight[0, 0])
    attempt(lambda: pickle.dumps(layer))
    parametrize.remove_parametrizations(layer, "weight")
    print(layer, type(layer).__name__, layer.weight, layer.weight is weight)
    parametrize.register_parametrization(layer, "weight", RankOne())
    print(layer.weight, [tuple(p.shape) for p in layer.parameters()], layer.parametrizations.weight)
    attempt(lambda: parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False))
    print([tuple(p.shape) for p in parametrize.remove_parametrizations(layer, "weight").parameters()])
    attempt(lambda: parametrize.register_parametrization(layer, "weight", Smaller()))
    attempt(lambda: parametrize.register_parametrization(layer, "nothing", Smaller()))
    attempt(lambda: parametrize.register_parametrization(nn.Linear(1, 1), "weight", nn.Module()))
    attempt(lambda: parametrize.remove_parametrizations(nn.Linear(1, 1), "weight"))
    attempt(lambda: parametrize.ParametrizationList([], layer.weight))
    norm = nn.BatchNorm1d(2)
    parametrize.register_parametrization(norm, "running_mean", Exponential())
    print(norm.running_mean, list(norm.state_dict()), [n for n, _ in norm.named_buffers()])
    plain = nn.Linear(3, 3)
    print(parametrize.transfer_parametrizations_and_params(parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric()), plain))
    attempt(lambda: setattr(plain, "weight", nn.Parameter(torch.ones(3, 3))))


@program
def norms_of_weights(torch):
    nn, new = torch.nn, torch.nn.utils.parametrizations
    x = torch.linspace(-1, 1, 12).reshape(2, 6)
    for layer, data in ((nn.Linear(6, 4), x), (nn.Conv2d(2, 3, 2), torch.ones(1, 2, 3, 3) / 3), (nn.ConvTranspose1d(2, 3, 2), torch.ones(1, 2, 3))):
        for dim in (0, 1, -1, None):
            made = new.weight_norm(copy.deepcopy(layer), dim=dim)
            made(data).square().sum().backward()
            print(made, {name: (tuple(p.shape), p.grad.flatten()[:3]) for name, p in made.named_parameters()}, made(data).flatten()[:3])
        made = new.spectral_norm(copy.deepcopy(layer), n_power_iterations=2)
        made(data).square().sum().backward()
        print({name: tuple(b.shape) for name, b in made.state_dict().items()}, made.weight.flatten()[:4], made.parametrizations.weight.original.grad.flatten()[:4])
        print(made.eval().weight.flatten()[:3], made.weight.flatten()[:3])
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            old = nn.utils.weight_norm(copy.deepcopy(layer))
        print([w.category.__name__ for w in seen], list(old.state_dict()), old.weight.flatten()[:3], type(old.weight).__name__, old)
        print(new.weight_norm(copy.deepcopy(layer)).load_state_dict(old.state_dict()))
        old(data).sum().backward()
        print(old.weight_g.grad.flatten()[:3], nn.utils.remove_weight_norm(old), list(old.state_dict()))
        attempt(lambda old=old: nn.utils.remove_weight_norm(old))
        old = nn.utils.spectral_norm(copy.deepcopy(layer))
        old(data).sum().backward()
        print(list(old.state_dict()), old.weight.flatten()[:3], old.weight_orig.grad.flatten()[:3], old.state_dict()._metadata)
        print(copy.deepcopy(old.weight.detach()).flatten()[:2], nn.utils.remove_spectral_norm(old.eval()), list(old.state_dict()), old.weight.flatten()[:3])
        attempt(lambda old=old: nn.utils.remove_spectral_norm(old))
    attempt(lambda: nn.utils.spectral_norm(nn.utils.spectral_norm(nn.Linear(2, 2))))
    attempt(lambda: new.spectral_norm(nn.Linear(2, 2), dim=2))
    attempt(lambda: new.spectral_norm(nn.Linear(2, 2), n_power_iterations=0))
    attempt(lambda: new.spectral_norm(nn.Linear(2, 2), name="nothing"))
    print(new.spectral_norm(nn.LayerNorm(3)).weight)


@program
def orthogonal_weights(torch):
    nn, orthogonal = torch.nn, torch.nn.utils.parametrizations.orthogonal
    for shape in ((3, 3), (5, 3), (3, 5)):
        for kind in (None, "matrix_exp", "cayley", "householder"):
            layer = orthogonal(nn.Linear(*shape), orthogonal_map=kind)
            q = layer.weight
            q = q if q.shape[0] >= q.shape[1] else q.T
            print(kind, torch.allclose(q.T @ q, torch.eye(3), atol=1e-5), list(layer.state_dict()), layer)
            nn.init.orthogonal_(wanted := torch.empty(shape[1], shape[0]))
            layer.weight = wanted
            print(torch.allclose(layer.weight, wanted, atol=1e-4))
            (layer(torch.ones(1, shape[0])) * torch.arange(shape[1])).sum().backward()
            print(layer.parametrizations.weight.original.grad.abs().sum() > 0)
    layer = orthogonal(nn.Linear(3, 3), use_trivialization=False)
    attempt(lambda: setattr(layer, "weight", torch.eye(3)))
    attempt(lambda: orthogonal(nn.Linear(3, 3), orthogonal_map="other"))
    attempt(lambda: orthogonal(nn.Linear(3, 3), name="bias"))
    householder = orthogonal(nn.Linear(3, 4), use_trivialization=False, orthogonal_map="householder")
    attempt(lambda: setattr(householder, "weight", torch.eye(4)))


@program
def pruning(torch):
    nn, prune = torch.nn, importlib.import_module(torch.__name__ + ".nn.utils.prune")
    layer = prune.random_unstructured(nn.Linear(4, 3), "weight", amount=0.5)
    print(layer.weight, layer.weight_mask, [n for n, _ in layer.named_parameters()], list(layer.state_dict()), prune.is_pruned(layer))
    prune.l1_unstructured(layer, "weight", amount=2)
    print(layer.weight, layer.weight_mask.sum(), list(layer._forward_pre_hooks.values())[0].__class__.__name__, len(list(layer._forward_pre_hooks.values())[0]))
    prune.ln_structured(layer, "weight", amount=1, n=2, dim=0)
    prune.l1_unstructured(layer, "bias", amount=1)
    layer(torch.ones(2, 4)).sum().backward()
    print(layer.weight, layer.weight_orig.grad, layer.bias, layer)
    prune.remove(layer, "weight")
    print(layer.weight, list(layer.state_dict()), prune.is_pruned(layer), prune.is_pruned(nn.Sequential(layer)))
    attempt(lambda: prune.remove(layer, "weight"))
    for method in (lambda m: prune.random_structured(m, "weight", 2, 1), lambda m: prune.ln_structured(m, "weight", 0.4, float("inf"), -1),
                   lambda m: prune.identity(m, "weight"), lambda m: prune.custom_from_mask(m, "weight", torch.eye(3, 4)),
                   lambda m: prune.l1_unstructured(m, "weight", 1, importance_scores=torch.arange(12.).reshape(3, 4)),
                   lambda m: prune.random_structured(prune.random_structured(m, "weight", 1, 0), "weight", 1, 0),
                   lambda m: prune.l1_unstructured(prune.ln_structured(m, "weight", 1, 1, 1), "weight", 0.5)):
        print(method(nn.Linear(4, 3)).weight)
    a, b = nn.Linear(3, 2), nn.Linear(2, 2)
    prune.global_unstructured([(a, "weight"), (b, "weight")], pruning_method=prune.L1Unstructured, amount=0.5)
    print(a.weight, b.weight)
    prune.global_unstructured(((a, "weight"), (b, "weight")), pruning_method=prune.L1Unstructured, amount=2)
    print(a.weight, b.weight, prune.L1Unstructured(1).prune(torch.tensor([3., -1., 2.])))
    attempt(lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", 5))
    attempt(lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", 1.5))
    attempt(lambda: prune.l1_unstructured(nn.Linear(2, 2), "weight", "some"))
    attempt(lambda: prune.ln_structured(nn.Linear(2, 2), "bias", 1, 2, 0))
    attempt(lambda: prune.random_structured(nn.Linear(2, 2), "weight", 1, 5))
    refused(lambda: prune.global_unstructured([(a, "weight")], pruning_method=prune.LnStructured, amount=1, n=1))

    class Every(prune.BasePruningMethod):
        PRUNING_TYPE = "unstructured"

        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask.view(-1)[::2] = 0
            return mask

    layer = nn.Linear(2, 2)
    Every.apply(layer, "weight")
    Every.apply(layer, "weight")
    print(layer.weight, copy.deepcopy(nn.Sequential(nn.Linear(1, 1))))


@program
def fusion_and_vectors(torch):
    nn, utils = torch.nn, torch.nn.utils
    for conv, transpose in ((nn.Conv2d(2, 3, 2), False), (nn.ConvTranspose2d(2, 3, 2, bias=False), True)):
        bn = nn.BatchNorm2d(3)
        bn(torch.randn(4, 3, 2, 2))
        fused = utils.fuse_conv_bn_eval(conv.eval(), bn.eval(), transpose)
        x = torch.randn(1, 2, 3, 3)
        print(torch.allclose(fused(x), bn(conv(x)), atol=1e-5), fused.bias, type(fused.weight).__name__, fused.weight.requires_grad)
    attempt(lambda: utils.fuse_conv_bn_eval(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3)))
    linear, bn = nn.Linear(2, 3).eval(), nn.BatchNorm1d(3).eval()
    print(utils.fuse_linear_bn_eval(linear, bn).weight - linear.weight)
    attempt(lambda: utils.fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.BatchNorm1d(2).eval()))
    vector = utils.parameters_to_vector(linear.parameters())
    print(vector, vector.requires_grad)
    utils.vector_to_parameters(torch.arange(9.), linear.parameters())
    print(linear.weight, linear.bias)
    refused(lambda: utils.vector_to_parameters([1.0], linear.parameters()))
    print(utils.skip_init(nn.Linear, 3, 2, dtype=torch.float64).weight.shape, torch.rand(1))
    refused(lambda: utils.skip_init(nn.ReLU))
    conv = utils.convert_conv2d_weight_memory_format(nn.Sequential(nn.Conv2d(2, 3, 2)), torch.channels_last)
    print(conv[0].weight.stride())
    w = nn.Parameter(torch.tensor([3.0, 4.0]))
    (w * w).sum().backward()
    print(utils.clip_grad_norm_([w], 1.0), w.grad, utils.get_total_norm([w.grad]), utils.clip_grad_value_([w], 0.1), w.grad)
    w.grad[0] = float("nan")
    attempt(lambda: utils.clip_grad_norm_([w], 1.0, error_if_nonfinite=True))


@program
def lazy_layers(torch):
    nn = torch.nn
    cases = [(lambda: nn.LazyLinear(3), (2, 5)), (lambda: nn.LazyLinear(3, bias=False), (5,)), (lambda: nn.LazyConv2d(4, 3, groups=2, padding="same"), (2, 4, 5, 5)),
             (lambda: nn.LazyConvTranspose1d(4, 3, stride=2, bias=False), (2, 4, 5)), (lambda: nn.LazyBatchNorm2d(), (2, 4, 5, 5)),
             (lambda: nn.LazyInstanceNorm1d(affine=True), (2, 4, 5)), (lambda: nn.LazyBatchNorm1d(affine=False), (4, 3)), (lambda: nn.LazyConv3d(2, 2), (3, 4, 4, 4))]
    for make, shape in cases:
        x, layer = torch.randn(shape), make()
        print(layer, list(layer.state_dict()), [type(p).__name__ for p in layer.parameters()], [type(b).__name__ for b in layer.buffers()])
        layer.to(torch.float64)
        y = layer(x.double())
        print(layer, y.shape, y.dtype, type(layer).__name__, len(layer._forward_pre_hooks), [p.flatten()[:3] for p in layer.parameters()])
        loaded = make()
        print(loaded.load_state_dict(layer.state_dict()), [tuple(p.shape) for p in loaded.parameters()], type(loaded).__name__)
    again = copy.deepcopy(nn.LazyLinear(3))
    print(again, pickle.loads(pickle.dumps(again)), again(torch.ones(1, 2)).shape, again)
    lazy = nn.LazyLinear(3)
    attempt(lambda: lazy.weight.shape)
    refused(lambda: lazy.weight * 2)
    attempt(lambda: nn.Linear(5, 3).load_state_dict(lazy.state_dict()))
    print(nn.LazyLinear(3).load_state_dict(lazy.state_dict()), lazy.weight, lazy.weight.requires_grad, lazy.weight.dtype, lazy.weight.is_leaf)
    refused(lambda: lazy(torch.ones(())))
    attempt(lambda: nn.LazyConv2d(3, 3)(torch.ones(2, 3)))
    attempt(lambda: nn.LazyConv2d(4, 3, groups=2)(torch.ones(1, 3, 4, 4)))
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    net(torch.ones(1, 2, 5, 5))
    print(net, sum(p.numel() for p in net.parameters()))


# ---------------------------------------------------------------------------------------------------------------------
# torch.func and torch.autograd.functional

@program
def gradients_of_functions(torch):
    func = torch.func
    x, y = torch.tensor([1., 2., 3.]), torch.tensor([0.5, -1., 2.])
    f = lambda a, b: (a.sin() * b ** 2).sum()  # noqa: E731
    print(func.grad(f)(x, y), func.grad(f, argnums=1)(x, y), func.grad(f, argnums=(0, 1))(x, y), func.grad(f, argnums=-1)(x, y))
    print(func.grad_and_value(f)(x, y), func.grad(lambda a: (a.sum(), {"a": a * 2}), has_aux=True)(x), func.grad_and_value(lambda a: (a.sum(), a), has_aux=True)(x))
    print(func.grad(func.grad(func.grad(torch.sin)))(torch.tensor(0.3)), func.grad(lambda p: (p["w"] * p["b"][0]).sum())({"w": x, "b": (y, x)}))
    print(func.grad(lambda a: torch.tensor(1.0))(x), func.grad(lambda a, *, k: (a * k).sum())(x, k=3.0), func.grad(lambda a: a.detach().sum() + (a * 2).sum())(x))
    with torch.no_grad():
        print(func.grad(f)(x, y), func.grad(lambda a: f(a, a))(x).requires_grad)
    w = torch.tensor([2., 3., 4.], requires_grad=True)
    g = func.grad(lambda a: (a ** 2 * w).sum())(x)
    print(g, func.grad(lambda a: (a ** 2).sum())(x).requires_grad)
    g.sum().backward()
    print(w.grad)
    g = func.grad(lambda a: (a ** 3).sum())(w)
    g.sum().backward()
    print(g, w.grad)
    value, back = func.vjp(lambda a, b: (a * b, {"sum": a.sum()}), x, y)
    print(value, back((torch.ones(3), {"sum": torch.tensor(2.)})), back((y, {"sum": torch.tensor(0.)})))
    print(func.vjp(torch.exp, x, has_aux=False)[1](torch.ones(3)), func.vjp(lambda a: (a * 2, a.sum()), x, has_aux=True)[::2])
    print(func.jvp(f, (x, y), (torch.ones(3), torch.zeros(3))), func.jvp(lambda a: (a * 2, a.cos()), (x,), (y,)), func.jvp(lambda a: (a ** 2, a), (x,), (y,), has_aux=True))
    print(func.jvp(lambda a: torch.ones(2), (x,), (y,)), func.jvp(lambda a: a, (x,), (y,)), func.jvp(func.grad(lambda a: (a ** 3).sum()), (x,), (torch.ones(3),)))
    out, push = func.linearize(lambda a: a ** 2, x)
    print(out, push(torch.ones(3)), push(y))
    refused(lambda: func.grad(lambda a: a)(x))
    refused(lambda: func.grad(lambda a: 3.0)(x))
    refused(lambda: func.grad(f, argnums=2)(x, y))
    refused(lambda: func.grad(f, argnums="a")(x, y))
    refused(lambda: func.grad(lambda a: a)(torch.tensor(1)))
    refused(lambda: func.jvp(f, x, y))
    refused(lambda: func.jvp(f, (x, y), (x,)))
    refused(lambda: back(torch.ones(3)))


@program
def jacobians_of_functions(torch):
    func = torch.func
    x, y = torch.tensor([1., 2., 3.]), torch.tensor([[0.5, -1.], [2., 1.]])
    for jac in (func.jacrev, func.jacfwd):
        print(jac(torch.sin)(x), jac(lambda a, b: a[:2] @ b, argnums=(0, 1))(x, y), jac(lambda a: {"s": a.sum(), "c": (a * 2, a[0])})(x))
        print(jac(lambda a: (a ** 2, a), has_aux=True)(x), jac(lambda a: torch.ones(2))(x), jac(lambda p: p["a"] * 2)({"a": x, "b": y}), jac(torch.exp)(torch.tensor(0.)))
        print(jac(jac(lambda a: a ** 3))(x), jac(lambda a, b: (a * b.sum()), argnums=1)(x, y).shape, jac(lambda a: a.sum())(torch.zeros(0)).shape)
    print(func.hessian(lambda a: (a ** 3).sum() * a[0])(x), func.hessian(lambda a, b: (a[:2] @ b).sum(), argnums=(0, 1))(x, y))
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh())
    params = {k: v.detach() for k, v in net.named_parameters()}
    print(func.jacrev(lambda p: func.functional_call(net, p, x))(params), func.hessian(lambda v: net(v).sum())(x).detach())


@program
def products_with_derivatives(torch):
    F = torch.autograd.functional
    x, y, v = torch.tensor([1., 2., 3.]), torch.tensor([2., 0.5, 1.]), torch.ones(3)
    square, scalar, both = (lambda a: a ** 2), (lambda a: (a ** 3).sum()), (lambda a, b: (a * b ** 2).sum())
    print(F.jacobian(square, x), F.jacobian(scalar, x), F.jacobian(both, (x, y)), F.jacobian(lambda a: (a, a.sum()), x), F.jacobian(square, x, vectorize=True))
    print(F.hessian(scalar, x), F.hessian(both, (x, y)), F.vjp(square, x, v), F.vjp(scalar, x), F.vjp(both, (x, y)), F.jvp(square, x, v), F.jvp(both, (x, y), (v, v)))
    print(F.vhp(scalar, x, v), F.hvp(scalar, x, v), F.vhp(both, (x, y), (v, v)), F.hvp(both, (x, y), (v, y)), F.jacobian(square, x, strategy="forward-mode", vectorize=True))
    w = x.clone().requires_grad_()
    made = F.jacobian(square, w, create_graph=True)
    made.sum().backward()
    print(made, w.grad, F.jacobian(square, w).requires_grad, F.hessian(scalar, w, create_graph=True), F.vjp(scalar, w, create_graph=True))
    attempt(lambda: F.vjp(square, x))
    attempt(lambda: F.jvp(square, x))
    attempt(lambda: F.vjp(square, x, torch.ones(2)))
    refused(lambda: F.hessian(square, x))
    refused(lambda: F.jacobian(lambda a: torch.ones(2), x, strict=True))
    refused(lambda: F.jacobian(lambda a, b: a * 2, (x, y), strict=True))
    print(F.jacobian(lambda a, b: a * 2, (x, y)), F.jacobian(lambda a: torch.ones(2), x), F.hessian(lambda a: a.sum(), x))
    print(torch.autograd.grad(square(w), w, torch.eye(3), is_grads_batched=True), torch.autograd.grad(w.sum(), w, torch.ones(2), is_grads_batched=True))


@program
def mapping_over_batches(torch):
    vmap, func = torch.vmap, torch.func
    x, w = torch.arange(6.).reshape(3, 2), torch.tensor([[1., 2.], [3., 4.]])
    print(vmap(torch.dot)(x, x), vmap(lambda a: w @ a)(x), vmap(lambda a, b: a * b, in_dims=(0, None))(x, torch.tensor(2.)), vmap(torch.sum, in_dims=1)(x))
    print(vmap(lambda a: (a, a.sum()), out_dims=(1, 0))(x), vmap(lambda a: a, out_dims=-1)(x), vmap(lambda p: p["a"] * 2, in_dims=({"a": 0},))({"a": x}))
    print(vmap(vmap(lambda a: a ** 2))(x), vmap(lambda a, *, k: a + k)(x, k=torch.arange(2.)), vmap(lambda a: torch.ones(2))(x), vmap(lambda a: 1, out_dims=None)(x))
    print(vmap(func.grad(lambda a: (a ** 3).sum()))(x), func.grad(lambda a: vmap(torch.dot)(a, a).sum())(x), vmap(lambda a: a.sort().values, in_dims=-1, out_dims=1)(-x))
    print(vmap(lambda a: a)(torch.zeros(0, 3)).shape, vmap(lambda a: a.sum(), chunk_size=2)(x), vmap(lambda a, b: a + b, in_dims=(0, 1))(x, x.T), vmap(torch.linalg.inv)(w[None]))
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    params = {k: v.detach() for k, v in net.named_parameters()}
    loss = lambda p, a, t: ((func.functional_call(net, p, (a,)) - t) ** 2).mean()  # noqa: E731
    per_sample = vmap(func.grad(loss), in_dims=(None, 0, 0))(params, x, torch.ones(3, 1))
    print({k: (v.shape, v.flatten()[:4]) for k, v in per_sample.items()})
    whole = func.grad(loss)(params, x, torch.ones(3, 1))
    print(all(torch.allclose(per_sample[k].mean(0), whole[k], atol=1e-6) for k in whole))
    stacked, buffers = func.stack_module_state([torch.nn.Linear(2, 1) for _ in range(3)])
    print(stacked["weight"].shape, stacked["weight"].requires_grad, stacked["weight"].is_leaf, buffers)
    base = torch.nn.Linear(2, 1)
    print(vmap(lambda p, a: func.functional_call(base, p, a), in_dims=(0, None))(stacked, x).shape)
    same = vmap(lambda a: a + torch.rand(()), randomness="same")(torch.zeros(3))
    different = vmap(lambda a: a + torch.rand(()), randomness="different")(torch.zeros(3))
    print(same[0] == same[1], different[0] != different[1])
    xg = x.clone().requires_grad_()
    vmap(lambda a: (a ** 2).sum())(xg).sum().backward()
    print(xg.grad)
    refused(lambda: vmap(lambda a: a + torch.rand(()))(x))
    refused(lambda: vmap(lambda a: a)(3))
    refused(lambda: vmap(lambda a, b: a)(x, torch.ones(2)))
    refused(lambda: vmap(lambda a: 3)(x))
    refused(lambda: vmap(lambda a: a, in_dims=2)(x))
    refused(lambda: vmap(lambda a: a, in_dims=(0, 0))(x))
    refused(lambda: vmap(lambda a: a, in_dims=None)(x))
    refused(lambda: vmap(lambda: 1)())
    refused(lambda: vmap(lambda a: a, out_dims=(0, 0))(x))
    refused(lambda: vmap(lambda a: a, randomness="some")(x))


@program
def modules_as_functions(torch):
    nn, call = torch.nn, torch.func.functional_call
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    own = {k: v.clone() for k, v in net.state_dict().items()}
    given = {"0.weight": torch.eye(2), "0.bias": torch.zeros(2), "1.running_mean": torch.zeros(2), "1.running_var": torch.ones(2)}
    x = torch.arange(4.).reshape(2, 2)
    print(call(net, given, x), given["1.running_mean"], all(torch.equal(own[k], v) or k == "1.num_batches_tracked" for k, v in net.state_dict().items()))
    print(call(net, ({"0.weight": torch.eye(2)}, {"0.bias": torch.ones(2)}), args=(x,), kwargs={}), type(net[0].weight).__name__, [n for n, _ in net.named_parameters()])
    attempt(lambda: call(net, {"0.weight": torch.eye(2)}, x, strict=True))
    attempt(lambda: call(net, {"0.nothing": torch.eye(2)}, x, strict=True))
    attempt(lambda: call(net, ({"0.weight": torch.eye(2)}, {"0.weight": torch.eye(2)}), x))
    refused(lambda: call(net, {"0.weight": torch.eye(3)}, x))
    print(net[0].weight.shape)
    tied = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    tied[1].weight = tied[0].weight
    print(call(tied, {"0.weight": torch.eye(2)}, x), call(tied, {"0.weight": torch.eye(2)}, x, tie_weights=False).shape, tied[1].weight is tied[0].weight)
    attempt(lambda: call(tied, {"0.weight": torch.eye(2), "1.weight": torch.eye(2) * 2}, x))
    print(torch.func.replace_all_batch_norm_modules_(net), list(net.state_dict()))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        print(torch.nn.utils.stateless.functional_call(tied, {"0.weight": torch.eye(2)}, (x,)), [w.category.__name__ for w in seen])


# ---------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", list(PROGRAMS))
def test_a_program_prints_the_same_as_on_pytorch(name):
    torch = pytest.importorskip("torch")
    assert printed(PROGRAMS[name], rushlight) == printed(PROGRAMS[name], torch)


if __name__ == "__main__":
    import torch
    for name in sys.argv[1:] or PROGRAMS:
        theirs, ours = printed(PROGRAMS[name], torch).splitlines(), printed(PROGRAMS[name], rushlight).splitlines()
        difference = list(difflib.unified_diff(theirs, ours, "torch", "rushlight", lineterm="", n=0))
        print(f"=== {name}: {'same' if not difference else ''}", *difference[2:], sep="\n" if difference else " ")
