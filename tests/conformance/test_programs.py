"""Short programs as people write them from memory of PyTorch: run on both libraries, they print the same text.

    python -m pytest tests/conformance/test_programs.py               all of them
    python tests/conformance/test_programs.py NAME                    one, with what each library printed

Each program is a function of the library.  What it prints is rounded as tensors are when printed; where a program prints a sum of many terms, it
rounds for itself, since the two libraries add in different orders.
"""
import contextlib
import copy
import difflib
import io
import math
import pickle
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import rushlight

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


def printed(function, library):
    """What a program prints with a library; an exception ends it, and is part of the text."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        library.manual_seed(0)
        try:
            function(library)
        except Exception as error:
            print(type(error).__name__, error)
    return text.getvalue()


def refused(call, *args, **kwargs):
    """Print the class of what is raised."""
    try:
        call(*args, **kwargs)
        print("nothing was raised")
    except Exception as error:
        print(type(error).__name__)


# ---------------------------------------------------------------------------------------------------------------------
# Tensors

@program
def creation(torch):
    print(torch.tensor([1, 2, 3]), torch.tensor([1., 2.]).dtype, torch.tensor(3.5), torch.tensor([[True], [False]]))
    print(torch.zeros(2, 3), torch.ones(2, dtype=torch.int64), torch.full((2, 2), 7), torch.full((2,), 1.5, dtype=torch.float64))
    print(torch.arange(5), torch.arange(1, 2, 0.25), torch.arange(10, 0, -3), torch.linspace(0, 1, 5), torch.logspace(0, 2, 3))
    print(torch.eye(3), torch.eye(2, 3, dtype=torch.int32), torch.empty(0), torch.zeros((2, 0, 3)))
    x = torch.tensor([[1., 2.], [3., 4.]])
    print(torch.zeros_like(x), torch.ones_like(x, dtype=torch.int8), torch.full_like(x, 9), x.new_zeros(3), x.new_tensor([5, 6]), x.new_full((2,), 3))
    print(torch.as_tensor([1, 2]), torch.from_numpy(np.arange(3.0)), torch.asarray([1.5]), torch.tensor(np.float32(2)))
    print(torch.tensor([1, 2.5, True]), torch.tensor([]), torch.tensor([[], []]).shape, torch.scalar_tensor(3))
    print(torch.complex(torch.tensor(1.), torch.tensor(2.)), torch.tril(torch.ones(3, 3)), torch.triu(torch.ones(3, 3), 1), torch.diag(torch.arange(3)))
    a, b = torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
    print(a, b, torch.cartesian_prod(torch.arange(2), torch.arange(2)), torch.combinations(torch.arange(3)))
    print(torch.Tensor([1, 2]), torch.FloatTensor([1, 2]) if hasattr(torch, "FloatTensor") else "no FloatTensor", torch.LongTensor([3]))


@program
def printing(torch):
    print(torch.tensor(1), torch.tensor(1.0), torch.tensor(-0.0), torch.tensor(float("nan")), torch.tensor([float("inf"), 1.0, -float("inf")]))
    print(torch.tensor([1e-8, 1.0, 1e8]), torch.tensor([0.1, 0.25, 1000.5]), torch.tensor([1e10]), torch.tensor([123456.0, 1.5]))
    print(torch.arange(2000), torch.arange(1200.).reshape(30, 40), torch.zeros(20, 3, 2).shape)
    print(torch.arange(24).reshape(2, 3, 4), torch.ones(1, 1, 1, 1), torch.zeros(3, 0))
    print(torch.tensor([True, False]), torch.tensor([1 + 2j, 3 - 1j]), torch.tensor([1.5], dtype=torch.float16), torch.tensor([2.], dtype=torch.bfloat16))
    x = torch.tensor([1.0], requires_grad=True)
    print(x, x * 2, (x * 2).sum(), x.detach(), (x @ x), x.exp().log(), torch.sigmoid(x))
    print(f"{torch.tensor(3.14159):.2f} {torch.tensor(7):05d} {torch.tensor([1., 2.])} {torch.tensor(2.5)!r} {x.shape} {x.dtype} {x.device} {x.size()}")
    torch.set_printoptions(precision=2, sci_mode=False)
    print(torch.tensor([3.14159, 100000.0]))
    torch.set_printoptions(profile="default")
    print(torch.Size([1, 2]), torch.float32, torch.device("cpu"), torch.strided, torch.tensor(5).item(), repr(torch.zeros(2).dtype))
    print(str(torch.tensor([1, 2])), [torch.tensor(1), torch.tensor(2.)], {"a": torch.zeros(1)})


@program
def indexing(torch):
    x = torch.arange(24).reshape(2, 3, 4)
    print(x[0], x[-1, -1, -1], x[:, 1], x[..., 0], x[0, :, 1:3], x[::1, ::2, ::3], x[None].shape, x[:, None, 0].shape)
    print(x[[0, 1], [1, 2]], x[torch.tensor([1, 0])], x[:, torch.tensor([0, 2]), 1], x[x > 20], x[x % 2 == 0].sum(), x[0][x[0] > 5])
    print(x[torch.tensor([True, False])], x[0, torch.tensor([True, False, True])], x[:, [0, 2]][:, :, [1, 3]], x[1, ..., None].shape)
    y = torch.zeros(3, 4)
    y[0] = 1
    y[1, 2] = 5.5
    y[:, -1] = torch.tensor([7., 8., 9.])
    y[y == 0] = -1
    y[[0, 2], [0, 1]] = 99
    y[2] += 1
    y[..., 0] *= 2
    print(y)
    print(torch.where(y > 0), torch.nonzero(y > 50), y.argmax(), y.argmax(1), (y > 50).nonzero(as_tuple=True), y.masked_fill(y < 0, 0))
    print(torch.gather(y, 1, torch.tensor([[0], [1], [2]])), y.index_select(0, torch.tensor([2, 0])), torch.take(y, torch.tensor([0, 5])))
    print(torch.zeros(3, 3).scatter_(1, torch.tensor([[0], [1], [2]]), 1.0), torch.zeros(3).index_add_(0, torch.tensor([0, 0, 2]), torch.ones(3)))
    print(torch.take_along_dim(y, y.argsort(1), 1), torch.narrow(y, 1, 1, 2), y.select(0, 1), y.unbind(0)[2], y.diagonal())
    for row in torch.eye(2):
        print(row, row.tolist())
    refused(lambda: x[5])
    refused(lambda: x[0, 0, 0, 0])
    refused(lambda: x[torch.tensor([7])])
    refused(lambda: x[1.5])
    refused(lambda: x[torch.zeros(5, dtype=torch.bool)])


@program
def broadcasting_and_dtypes(torch):
    a, b = torch.arange(3), torch.arange(4.).reshape(4, 1)
    print(a + b, (a + b).dtype, a / 2, a // 2, a % 2, -a // 2, a ** 2, 2 ** a, a * 1.5, a + True, 7 // (a + 1), 1 / (a + 1))
    print((a.int() + a).dtype, (a.float() + a.double()).dtype, (a.half() * 2).dtype, (torch.tensor(1, dtype=torch.uint8) + a).dtype, torch.result_type(a, 1.0))
    print(torch.promote_types(torch.int32, torch.float16), torch.can_cast(torch.float32, torch.int32), a.to(torch.float64), a.bool(), b.long(), a.type(torch.float32))
    print(torch.tensor(300).to(torch.uint8), torch.tensor(-1.7).int(), torch.tensor(2.5).round(), torch.tensor(-2.5).round(), torch.tensor(5) / 2, torch.tensor(-7) // 2)
    print(torch.broadcast_to(a, (2, 3)), torch.broadcast_tensors(a, b)[1].shape, a.expand(2, -1), torch.broadcast_shapes((2, 1), (3,)))
    print(a & 1, a | 4, a ^ 1, ~a, a << 1, a > 1, (a > 0) & (a < 2), a == torch.tensor([0, 5, 2]), torch.equal(a, a.clone()), torch.allclose(b, b + 1e-9))
    print(torch.maximum(a, torch.tensor(1)), a.clamp(0, 1), a.clamp(min=1), torch.minimum(b, b.T), a.lerp(a + 2, 0.5) if a.is_floating_point() else "int")
    print(torch.finfo(torch.float32).eps, torch.iinfo(torch.int8).max, torch.finfo(torch.bfloat16).max, torch.is_tensor(a), a.numel(), a.element_size())
    refused(lambda: torch.zeros(2) + torch.zeros(3))
    refused(lambda: torch.zeros(2, 3) @ torch.zeros(2, 3))
    refused(lambda: torch.tensor([1]) + "a")
    refused(lambda: torch.tensor([1, 2]).add_(1.5))
    refused(lambda: torch.tensor([1]) ** -1)


@program
def reductions(torch):
    x = torch.tensor([[1., 5., 2.], [4., 3., 6.]])
    print(x.sum(), x.sum(0), x.sum(dim=1, keepdim=True), x.mean(), x.mean((0, 1)), x.prod(), x.std(), x.var(0), x.var(1, unbiased=False), x.norm(), x.norm(dim=1))
    print(x.max(), x.max(0), x.min(dim=1), x.argmin(), x.amax(1), x.median(), x.median(dim=1).values, x.mode(), x.logsumexp(1), x.cumsum(1), x.cumprod(0))
    values, indices = x.topk(2)
    print(values, indices, x.sort(descending=True), x.argsort(dim=0), x.kthvalue(2, dim=1), x.unique(), torch.unique(torch.tensor([3, 1, 3]), return_counts=True))
    print(x.any(), (x > 0).all(), (x > 3).sum(), (x > 3).any(1), x.count_nonzero(), torch.quantile(x, 0.5), torch.histc(x, bins=3, min=1, max=6), torch.bincount(torch.tensor([0, 1, 1])))
    print(torch.std_mean(x), torch.var_mean(x, 0), x.nanmean(), torch.cdist(x, x), torch.dist(x, x + 1), torch.trace(x[:, :2]), x.diff(), x.cummax(1))
    print(torch.sum(torch.tensor([1, 2], dtype=torch.uint8)).dtype, torch.tensor([True, True]).sum(), torch.mean(x, dtype=torch.float64), torch.empty(0).sum(), torch.empty(0).prod())
    print(x.softmax(0), x.log_softmax(-1), torch.nn.functional.normalize(x), x.renorm(2, 0, 1.0), x.flip(0), x.roll(1, 1), x.rot90())
    refused(lambda: torch.tensor([1, 2]).mean())
    refused(lambda: torch.empty(0).max())
    refused(lambda: x.sum(5))
    refused(lambda: x.max(7))


@program
def shapes(torch):
    x = torch.arange(24.)
    y = x.view(2, 3, 4)
    print(y.shape, y.size(1), y.stride(), y.permute(2, 0, 1).shape, y.transpose(0, 1).stride(), y.mT.shape, y.reshape(-1, 6).shape, y.flatten(1).shape, y.ndim)
    print(y.unsqueeze(0).shape, y[None, ..., None].squeeze().shape, y.unflatten(2, (2, 2)).shape, y.movedim(0, -1).shape, y.swapaxes(0, 2).shape)
    print(torch.cat([y, y], dim=2).shape, torch.stack([x, x]).shape, torch.hstack([x[:2], x[:3]]), torch.vstack([x[:2], x[2:4]]), [t.shape for t in y.split(2, dim=2)])
    print([t.tolist() for t in torch.chunk(x[:5], 2)], [t.shape for t in torch.tensor_split(x, 5)], x.repeat(2).shape, y.repeat(1, 2, 1).shape, x[:3].repeat_interleave(2))
    print(y.is_contiguous(), y.transpose(0, 1).is_contiguous(), y.transpose(0, 1).contiguous().stride(), y.transpose(0, 1).reshape(-1)[:5], y.data_ptr() == x.data_ptr())
    print(torch.nn.functional.pad(x[:4].view(2, 2), (1, 0, 0, 1)), x[:4].unfold(0, 2, 1), torch.kron(torch.eye(2), torch.ones(1, 2)), torch.block_diag(torch.ones(1, 1), torch.ones(1, 2)))
    v = x[:6].view(2, 3)
    v[0, 0] = 100
    print(x[0], v.T[0], v.T.flatten(), torch.flatten(v), v.ravel(), v.tile(2), torch.atleast_2d(x[:2]), torch.squeeze(torch.zeros(1, 2, 1), 0).shape)
    refused(lambda: y.transpose(0, 1).view(-1))
    refused(lambda: x.view(5, 5))
    refused(lambda: torch.cat([torch.zeros(2, 2), torch.zeros(3, 3)]))
    refused(lambda: torch.stack([torch.zeros(2), torch.zeros(3)]))
    refused(lambda: y.permute(0, 1))
    refused(lambda: y.squeeze(9))


@program
def products(torch):
    a, b = torch.arange(6.).view(2, 3), torch.arange(12.).view(3, 4)
    print(a @ b, torch.mm(a, b), torch.matmul(a, b[:, 0]), a.mv(torch.ones(3)), torch.dot(a[0], a[1]), torch.outer(a[0], a[1]), a[0] @ a[1])
    print(torch.einsum("ij,jk->ik", a, b), torch.einsum("ij->j", a), torch.einsum("i,j->ij", a[0], a[1]), torch.einsum("ii", torch.eye(3)), torch.einsum("...j,...j", a, a))
    q, k = torch.arange(24.).view(2, 2, 2, 3), torch.ones(2, 2, 4, 3)
    print(torch.einsum("bhqd,bhkd->bhqk", q, k).shape, torch.bmm(q[0], k[0].transpose(1, 2)), torch.baddbmm(torch.ones(2, 2, 4), q[0], k[0].mT), torch.tensordot(a, b, 1))
    print(torch.addmm(torch.ones(4), a, b), torch.linalg.norm(a), torch.linalg.inv(torch.tensor([[2., 0.], [0., 4.]])), torch.det(torch.tensor([[1., 2.], [3., 4.]])))
    print(torch.linalg.solve(torch.tensor([[2., 1.], [1., 3.]]), torch.tensor([3., 5.])), torch.linalg.matrix_rank(a), torch.cross(a[0], a[1], dim=0), torch.matrix_power(torch.eye(2) * 2, 3))
    print(torch.linalg.qr(torch.eye(2)).R.abs(), torch.linalg.svdvals(torch.diag(torch.tensor([3., 1.]))), torch.linalg.cholesky(torch.tensor([[4., 2.], [2., 3.]])))
    refused(lambda: torch.mm(a, a))
    refused(lambda: torch.einsum("ij,jk->ik", a, a))
    refused(lambda: torch.bmm(a, b))


@program
def randomness(torch):
    torch.manual_seed(42)
    print(torch.rand(3), torch.randn(2, 2), torch.randint(0, 10, (5,)), torch.randperm(6), torch.bernoulli(torch.full((4,), 0.5)), torch.normal(0., 1., (2,)))
    g = torch.Generator().manual_seed(7)
    print(torch.rand(2, generator=g), torch.empty(3).uniform_(-1, 1), torch.empty(2).normal_(5, 2), torch.multinomial(torch.tensor([0.1, 0.2, 0.7]), 5, replacement=True))
    print(torch.rand_like(torch.zeros(2)), torch.randn_like(torch.zeros(2)), torch.randint_like(torch.zeros(3), 5), torch.initial_seed(), torch.empty(2).exponential_())
    state = torch.get_rng_state()
    a = torch.rand(2)
    torch.set_rng_state(state)
    print(torch.equal(a, torch.rand(2)), torch.nn.functional.dropout(torch.ones(8), 0.5), torch.rand(1).item())


@program
def in_place(torch):
    x = torch.ones(3)
    y = x
    x += 1
    x.mul_(3).sub_(1).clamp_(max=4)
    print(x, y is x, x._version, torch.add(x, 1, out=torch.empty(3)), x.zero_(), x.fill_(2), x.copy_(torch.tensor([1, 2, 3])), x.neg_().abs_().sqrt_())
    z = torch.zeros(2, 3)
    z[0].add_(1)
    z[:, 1].copy_(torch.tensor([5., 6.]))
    z.t()[2] = 9
    print(z, z.transpose_(0, 1).shape, z.unsqueeze_(0).shape, z.squeeze_(0).resize_(2, 2).shape)
    a = torch.tensor([1., 2.], requires_grad=True)
    refused(lambda: a.add_(1))
    with torch.no_grad():
        a.add_(1)
    b = a * 1
    b.mul_(b.detach().clone())
    b.sum().backward()
    print(a, a.grad, a._version)
    c = a.exp()
    d = c * 2
    c.add_(1)
    refused(lambda: (c * c).sum().backward())
    out = torch.empty(2)
    print(torch.mul(torch.tensor([1., 2.]), 3, out=out) is out, out, d.sum().item() > 0)


# ---------------------------------------------------------------------------------------------------------------------
# Gradients

@program
def autograd_basics(torch):
    x = torch.tensor([1., 2., 3.], requires_grad=True)
    y = (x ** 2).sum()
    y.backward()
    print(x.grad, y.grad_fn.name(), x.is_leaf, y.is_leaf, y.requires_grad, x.grad.requires_grad)
    (x * 3).sum().backward()
    print(x.grad)
    x.grad.zero_()
    x.grad = None
    g, = torch.autograd.grad((x ** 3).sum(), x, create_graph=True)
    print(g, torch.autograd.grad(g.sum(), x))
    w = torch.randn(3, 3, requires_grad=True)
    (w @ x).backward(torch.ones(3))
    print(w.grad.shape, x.grad.shape, (x * 2).detach().requires_grad, x.data)
    with torch.no_grad():
        print((x * 2).requires_grad, torch.is_grad_enabled())
    z = (x * 2).sum()
    z.backward()
    refused(z.backward)
    refused(lambda: (x * 2).backward())
    refused(lambda: torch.ones(2).sum().backward())
    refused(lambda: torch.tensor([1], requires_grad=True))
    print(torch.autograd.grad(x.sum(), [x, w], allow_unused=True))
    refused(lambda: torch.autograd.grad(x.sum(), [w]))


@program
def autograd_tricks(torch):
    x = torch.tensor([0.5, -1.0], requires_grad=True)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.clone()) or g * 2)
    y = x.sin()
    y.retain_grad()
    y.register_hook(lambda g: print("gradient of y", g))
    (y * torch.tensor([1., 2.])).sum().backward()
    handle.remove()
    print(seen, x.grad, y.grad)
    hard = (x > 0).float()
    straight = hard + x.sigmoid() - x.sigmoid().detach()
    x.grad = None
    straight.sum().backward()
    print(straight, x.grad)
    print(torch.autograd.functional.jacobian(lambda v: v ** 2, torch.tensor([1., 2.])), torch.autograd.functional.hessian(lambda v: (v ** 3).sum(), torch.tensor([1., 2.])))
    a = torch.tensor(2.0, requires_grad=True)
    for _ in range(3):
        loss = (a - 5) ** 2
        grad, = torch.autograd.grad(loss, a)
        a = (a - 0.1 * grad).detach().requires_grad_()
    print(a)
    with torch.enable_grad():
        print((a * 1).requires_grad)

    @torch.no_grad()
    def evaluate(v):
        return v * 2
    print(evaluate(a).requires_grad, torch.where(a > 0, a, torch.zeros(())).grad_fn.name(), (a * a).grad_fn.name(), (a + 1).grad_fn.next_functions[0][0] is not None)
    with torch.inference_mode():
        print((a * 2).is_inference())
    print(torch.autograd.gradcheck(lambda v: v.exp().sum(), torch.rand(3, dtype=torch.double, requires_grad=True)))


@program
def custom_functions(torch):
    class Clip(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, limit):
            ctx.save_for_backward(x)
            ctx.limit = limit
            return x.clamp(-limit, limit)

        @staticmethod
        def backward(ctx, grad):
            x, = ctx.saved_tensors
            return grad * (x.abs() <= ctx.limit), None

    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.mark_non_differentiable(product := (a * b).detach())
            return a + b, product

        @staticmethod
        def backward(ctx, grad_sum, grad_product):
            print(ctx.needs_input_grad, grad_product)
            return grad_sum, grad_sum * 2

    x = torch.tensor([-3., 0.5, 2.], requires_grad=True)
    y = Clip.apply(x, 1.0)
    print(y, y.grad_fn.name())
    y.sum().backward()
    print(x.grad)
    a, b = torch.ones(2, requires_grad=True), torch.ones(2)
    s, p = Two.apply(a, b)
    s.sum().backward()
    print(s, p, a.grad, p.requires_grad)


# ---------------------------------------------------------------------------------------------------------------------
# Networks

@program
def modules(torch):
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 8)
            self.blocks = nn.ModuleList([nn.Linear(8, 8) for _ in range(2)])
            self.heads = nn.ModuleDict({"a": nn.Linear(8, 2), "b": nn.Linear(8, 3)})
            self.scale = nn.Parameter(torch.ones(1))
            self.register_buffer("steps", torch.zeros((), dtype=torch.long))
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            x = torch.relu(self.first(x))
            for block in self.blocks:
                x = x + block(x)
            return self.heads["a"](self.drop(x)) * self.scale

    torch.manual_seed(1)
    net = Net()
    print(net, sum(p.numel() for p in net.parameters()), [n for n, _ in net.named_parameters()], [n for n, _ in net.named_modules()], list(net.state_dict()))
    print(net(torch.ones(2, 4)), net.training, net.eval().training, net(torch.ones(1, 4)), dict(net.named_buffers()), net.double().scale.dtype, net.float() is net)
    net.apply(lambda m: nn.init.zeros_(m.weight) if isinstance(m, nn.Linear) else None)
    print(net.first.weight.sum(), net.requires_grad_(False).scale.requires_grad, net.get_parameter("first.weight").shape, [type(m).__name__ for m in net.children()])
    refused(lambda: net(torch.ones(2, 5)))
    refused(lambda: net.nothing)
    refused(lambda: setattr(net, "scale", 5))
    net.zero_grad()


@program
def hooks_on_modules(torch):
    nn = torch.nn
    net = nn.Sequential(OrderedDict(first=nn.Linear(2, 3), act=nn.Tanh(), last=nn.Linear(3, 1)))
    seen = {}
    handles = [net.act.register_forward_hook(lambda m, i, o: seen.update(act=o.detach().clone())),
               net.first.register_forward_pre_hook(lambda m, i: (i[0] * 2,)),
               net.last.register_full_backward_hook(lambda m, gi, go: print("backward", m, [g.shape for g in gi], go))]
    out = net(torch.ones(4, 2))
    out.sum().backward()
    print(seen["act"].shape, net.first.bias.grad.shape, net[0], net[-1], len(net), net[:2])
    for h in handles:
        h.remove()
    net(torch.ones(1, 2)).sum().backward()
    for name, p in net.named_parameters():
        print(name, tuple(p.shape), round(p.grad.abs().sum().item(), 3))


def _spirals(torch, n=64):
    t = torch.linspace(0, 3, n)
    a = torch.stack([t.cos() * t, t.sin() * t], 1)
    return torch.cat([a, -a]), torch.cat([torch.zeros(n), torch.ones(n)]).long()


@program
def training_loop(torch):
    nn, F = torch.nn, torch.nn.functional
    x, y = _spirals(torch)
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    opt = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=1e-4)
    sched = torch.optim.lr_scheduler.StepLR(opt, step_size=10, gamma=0.5)
    for epoch in range(30):
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        sched.step()
        if epoch % 10 == 0:
            print(epoch, f"{loss.item():.4f} {norm:.4f}", sched.get_last_lr())
    net.eval()
    with torch.no_grad():
        print("accuracy", (net(x).argmax(1) == y).float().mean())
    print(opt)


@program
def optimizers_and_schedulers(torch):
    nn = torch.nn
    for name, options in [("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}), ("Adam", {"lr": 0.1}), ("AdamW", {"lr": 0.1}),
                          ("Adam", {"lr": 0.1, "amsgrad": True})]:
        w = nn.Parameter(torch.tensor([1.0, -2.0]))
        opt = getattr(torch.optim, name)([w], **options)
        for _ in range(5):
            opt.zero_grad()
            (w ** 2).sum().backward()
            opt.step()
        print(name, w.data, sorted(opt.state_dict()["state"][0]) if opt.state_dict()["state"] else "", opt.param_groups[0]["lr"])
    w = nn.Parameter(torch.zeros(1))
    L = torch.optim.lr_scheduler
    for make in [lambda o: L.StepLR(o, 2, 0.1), lambda o: L.MultiStepLR(o, [1, 3]), lambda o: L.ExponentialLR(o, 0.9), lambda o: L.CosineAnnealingLR(o, 5),
                 lambda o: L.LambdaLR(o, lambda e: 1 / (e + 1)), lambda o: L.LinearLR(o), lambda o: L.OneCycleLR(o, 1.0, total_steps=6), lambda o: L.CosineAnnealingWarmRestarts(o, 2)]:
        opt = torch.optim.SGD([w], lr=1.0)
        sched = make(opt)
        rates = []
        for _ in range(5):
            opt.step()
            sched.step()
            rates.append(round(opt.param_groups[0]["lr"], 5))
        print(type(sched).__name__, rates)
    refused(lambda: torch.optim.SGD([], lr=0.1))
    refused(lambda: torch.optim.SGD([w], lr=-1))
    refused(lambda: torch.optim.SGD(w, lr=1))
    refused(lambda: torch.optim.Adam([w * 2]))


@program
def parameter_groups(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    opt = torch.optim.SGD([{"params": net[0].parameters(), "lr": 0.5}, {"params": net[1].parameters()}], lr=0.1, momentum=0.9)
    for _ in range(2):
        net(torch.ones(3, 2)).pow(2).mean().backward()
        opt.step()
        opt.zero_grad(set_to_none=True)
    print([g["lr"] for g in opt.param_groups], net[0].weight.grad, net[0].weight.data)
    saved = copy.deepcopy(opt.state_dict())
    print(sorted(saved), saved["param_groups"][0]["params"], saved["state"][0]["momentum_buffer"].shape)
    opt.load_state_dict(saved)

    def closure():
        opt.zero_grad()
        loss = net(torch.ones(3, 2)).pow(2).mean()
        loss.backward()
        return loss
    print(opt.step(closure))


@program
def checkpoints(torch):
    nn = torch.nn
    st = __import__("safetensors.numpy").numpy
    net, other = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        st.save_file({k: v.numpy() for k, v in net.state_dict().items()}, path)
        print(other.load_state_dict({k: torch.from_numpy(v) for k, v in st.load_file(path).items()}))
    x = torch.randn(5, 3)
    print(torch.equal(net(x), other(x)), list(net.state_dict()), net.state_dict()["0.weight"].requires_grad)
    print(other.load_state_dict({"0.weight": torch.zeros(4, 3), "extra": torch.zeros(1)}, strict=False))
    refused(lambda: other.load_state_dict({"0.weight": torch.zeros(4, 3)}))
    refused(lambda: other.load_state_dict({**net.state_dict(), "0.weight": torch.zeros(5, 5)}))
    again = pickle.loads(pickle.dumps(torch.arange(3.)))
    print(again, copy.deepcopy(net)[0].weight is net[0].weight, torch.equal(copy.deepcopy(net)(x), net(x)))


@program
def functional_layers(torch):
    F = torch.nn.functional
    x = torch.linspace(-2, 2, 5)
    for name in ("relu", "gelu", "silu", "elu", "selu", "leaky_relu", "softplus", "hardtanh", "hardswish", "hardsigmoid", "mish", "relu6", "logsigmoid", "tanhshrink",
                 "softsign", "celu", "softshrink", "hardshrink", "sigmoid", "tanh"):
        print(name, getattr(F, name)(x))
    print(F.gelu(x, approximate="tanh"), F.softmax(x, dim=0), F.log_softmax(x, 0), F.one_hot(torch.tensor([0, 2]), 3), F.glu(torch.ones(4)), F.threshold(x, 0, -1), F.prelu(x, torch.tensor([0.1])))
    print(F.layer_norm(x, (5,)), F.linear(torch.ones(2, 3), torch.ones(4, 3), torch.zeros(4)), F.embedding(torch.tensor([1, 0]), torch.eye(2)), F.cosine_similarity(x, x + 1, dim=0))
    print(F.pairwise_distance(torch.zeros(2, 2), torch.ones(2, 2)), F.group_norm(torch.arange(8.).view(1, 4, 2), 2) + 1, F.rms_norm(x, (5,)), F.normalize(x, dim=0))
    q = torch.randn(1, 2, 3, 4)
    print(F.scaled_dot_product_attention(q, q, q), F.scaled_dot_product_attention(q, q, q, is_causal=True).shape)
    print(F.batch_norm(torch.arange(6.).view(3, 2), torch.zeros(2), torch.ones(2), training=True) + 1, F.pad(x, (1, 1), value=9.))


@program
def losses(torch):
    F, nn = torch.nn.functional, torch.nn
    logits, target = torch.tensor([[2., 1., 0.1], [0.5, 2.5, 0.3]], requires_grad=True), torch.tensor([0, 1])
    print(F.cross_entropy(logits, target), nn.CrossEntropyLoss(reduction="none")(logits, target), F.cross_entropy(logits, target, label_smoothing=0.1).detach(),
          F.cross_entropy(logits, torch.tensor([0, -100])), F.cross_entropy(logits, target, weight=torch.tensor([1., 2., 3.])), F.nll_loss(logits.log_softmax(1), target))
    p = torch.sigmoid(logits)
    print(F.mse_loss(logits, torch.zeros(2, 3)), F.l1_loss(logits, torch.ones(2, 3)), F.smooth_l1_loss(logits, torch.zeros(2, 3)), F.huber_loss(logits, torch.zeros(2, 3)),
          F.binary_cross_entropy(p, torch.ones(2, 3)), F.binary_cross_entropy_with_logits(logits, torch.ones(2, 3)), F.kl_div(p.log(), p.detach() * 0.5, reduction="batchmean").detach())
    F.cross_entropy(logits, target).backward()
    print(logits.grad, nn.MSELoss(reduction="sum")(torch.ones(2), torch.zeros(2)), nn.BCEWithLogitsLoss()(torch.zeros(2), torch.ones(2)))
    refused(lambda: F.cross_entropy(logits, torch.tensor([0, 7])))
    refused(lambda: F.cross_entropy(logits, torch.tensor([0, 1, 2])))
    refused(lambda: F.mse_loss(logits, torch.zeros(2, 3), reduction="no"))
    refused(lambda: F.nll_loss(logits, torch.tensor([0., 1.])))


@program
def dataset_and_loader(torch):
    from importlib import import_module
    data = import_module(torch.__name__ + ".utils.data")

    class Squares(data.Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, i):
            return torch.tensor([float(i)]), i * i

    torch.manual_seed(3)
    for x, y in data.DataLoader(Squares(), batch_size=4, shuffle=True):
        print(x.squeeze(1), y, y.dtype)
    a, b = data.random_split(Squares(), [7, 3], generator=torch.Generator().manual_seed(1))
    print(len(a), list(b.indices), len(data.DataLoader(a, batch_size=2, drop_last=True)))
    pairs = data.TensorDataset(torch.arange(6), torch.arange(6) * 2)
    print(list(data.DataLoader(pairs, batch_size=3)), pairs[2], next(iter(data.DataLoader([{"a": 1, "b": [2.0]}, {"a": 3, "b": [4.0]}], batch_size=2))))
    print(list(data.DataLoader(range(5), batch_size=2, collate_fn=lambda b: b)), list(data.RandomSampler(range(4))), list(data.BatchSampler(data.SequentialSampler(range(5)), 2, False)))
    print(len(data.ConcatDataset([Squares(), pairs])), data.Subset(Squares(), [3])[0])


@program
def numpy_interchange(torch):
    a = np.arange(4.0)
    t = torch.from_numpy(a)
    a[0] = 10
    t[1] = 20
    print(t, a, t.numpy() is not a, np.asarray(t), t.numpy().dtype, np.mean(t.numpy()), torch.tensor(a).dtype, np.add(t, 1), t + torch.from_numpy(np.ones(4)))
    print(torch.ones(2).numpy() + 1, np.sqrt(torch.tensor([4.0])), torch.tensor(np.array([1, 2], dtype=np.int16)).dtype, torch.from_numpy(np.array(5)), float(torch.tensor(2.5)), int(torch.tensor(3)))
    x = torch.ones(2, requires_grad=True)
    refused(x.numpy)
    print(x.detach().numpy(), torch.from_dlpack(np.arange(3)), list(torch.tensor([1, 2])), [*map(float, torch.arange(2))], torch.tensor([[1, 2]]).tolist(), bool(torch.tensor(1)))
    print(t * np.float64(2), t.numpy(force=True), torch.arange(3)[np.int64(1)], torch.zeros(np.int64(2)), math.sqrt(torch.tensor(4.)), sum(torch.arange(4)), max(torch.tensor([1, 5])))


@program
def attention_by_hand(torch):
    nn, F = torch.nn, torch.nn.functional

    class Attention(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
            self.register_buffer("mask", torch.tril(torch.ones(8, 8)).view(1, 1, 8, 8), persistent=False)

        def forward(self, x):
            B, T, C = x.shape
            q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in self.qkv(x).split(C, dim=2))
            w = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            w = F.softmax(w.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf")), dim=-1)
            return self.out((w @ v).transpose(1, 2).contiguous().view(B, T, C))

    net = nn.Sequential(nn.Embedding(10, 8), Attention(8, 2), nn.LayerNorm(8), nn.Linear(8, 10))
    tokens = torch.randint(0, 10, (2, 6))
    logits = net(tokens)
    loss = F.cross_entropy(logits.view(-1, 10), tokens.view(-1))
    loss.backward()
    print(tokens, logits[0, 0], loss, net[1].qkv.weight.grad.norm(), list(net.state_dict()))
    for _ in range(3):
        probabilities = F.softmax(net(tokens)[:, -1], dim=-1)
        tokens = torch.cat([tokens, probabilities.argmax(-1, keepdim=True)], dim=1)[:, -6:]
    print(tokens)


@program
def regression_by_hand(torch):
    x = torch.linspace(-1, 1, 50).unsqueeze(1)
    y = 3 * x + 0.5 + 0.1 * torch.randn(50, 1)
    w, b = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    history = []
    for _step in range(40):
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for p in (w, b):
                p -= 0.3 * p.grad
                p.grad.zero_()
        history.append(loss)
    print(w, b, [f"{h.item():.3f}" for h in history[::10]], torch.stack(history)[-1] < history[0])


@program
def recurrent_by_hand(torch):
    torch.manual_seed(5)
    w, u, h = torch.randn(4, 3) * 0.3, (torch.randn(4, 4) * 0.3).requires_grad_(), torch.zeros(2, 4)
    outputs = []
    for _t in range(5):
        h = torch.tanh(torch.randn(2, 3) @ w.T + h @ u.T)
        outputs.append(h)
    out = torch.stack(outputs, dim=1)
    out[:, -1].sum().backward()
    print(out.shape, out[0, -1], u.grad)
    h = h.detach()
    print(h.requires_grad, out.mean(1).shape)


@program
def normalising_by_hand(torch):
    x = torch.randn(4, 3, requires_grad=True)
    y = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    y.pow(3).sum().backward()
    print(y, x.grad)
    bn = torch.nn.BatchNorm1d(3) if hasattr(torch.nn, "BatchNorm1d") else None
    if bn is not None:
        print(bn(x).sum().abs() < 1e-4, bn.running_mean, bn.num_batches_tracked)


@program
def gradient_penalty(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Linear(3, 5), nn.Softplus(), nn.Linear(5, 1))
    x = torch.randn(4, 3, requires_grad=True)
    g, = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    penalty = ((g.norm(dim=1) - 1) ** 2).mean()
    penalty.backward()
    print(penalty, [p.grad is None for p in net.parameters()], net[0].weight.grad)


@program
def functional_code(torch):
    x = torch.tensor([1., 2., 3.])
    f = lambda v: (v ** 2).sum()  # noqa: E731
    print(torch.func.grad(f)(x) if hasattr(torch, "func") else torch.autograd.functional.vjp(f, x)[1])
    params = {k: v.detach() for k, v in torch.nn.Linear(3, 1).named_parameters()}
    print(torch.func.functional_call(torch.nn.Linear(3, 1), params, (x,)) - (x @ params["weight"].T + params["bias"]))
    print(torch.vmap(lambda v: v * 2)(torch.ones(2, 3)))


@program
def moving_average_and_sharing(torch):
    nn = torch.nn
    net, average = nn.Linear(2, 2), nn.Linear(2, 2)
    average.load_state_dict(net.state_dict())
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        opt.zero_grad()
        net(torch.ones(1, 2)).sum().backward()
        opt.step()
        with torch.no_grad():
            for a, p in zip(average.parameters(), net.parameters()):
                a.lerp_(p, 0.1)
    print(average.weight, net.weight)
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    tied(torch.ones(1, 2)).sum().backward()
    print(len(list(tied.parameters())), tied[0].weight.grad, tied[1].weight is tied[0].weight)


@program
def accumulating_gradients(torch):
    net = torch.nn.Linear(4, 2)
    x, y = torch.randn(8, 4), torch.randint(0, 2, (8,))
    torch.nn.functional.cross_entropy(net(x), y).backward()
    whole = net.weight.grad.clone()
    net.zero_grad()
    for a, b in zip(x.chunk(4), y.chunk(4)):
        (torch.nn.functional.cross_entropy(net(a), b) / 4).backward()
    print(torch.allclose(whole, net.weight.grad, atol=1e-6), net.weight.grad)
    for p in net.parameters():
        p.grad = None
    refused(lambda: net(x.double()))
    refused(lambda: net("text"))


@program
def sampling_and_masks(torch):
    lengths = torch.tensor([2, 4, 1])
    mask = torch.arange(4)[None, :] < lengths[:, None]
    x = torch.arange(12.).view(3, 4)
    print(mask, (x * mask).sum(1) / lengths, x.masked_fill(~mask, float("-inf")).softmax(1), x.masked_select(mask), torch.where(mask, x, -1.))
    scores = torch.randn(2, 6)
    top, where = scores.topk(3, dim=1)
    filtered = torch.full_like(scores, float("-inf")).scatter(1, where, top)
    print(filtered.softmax(-1), torch.multinomial(filtered.softmax(-1), 1), torch.cumsum(torch.sort(scores.softmax(1), descending=True)[0], 1))
    one, two = torch.unique_consecutive(torch.tensor([1, 1, 2, 3, 3]), return_counts=True)
    print(one, two, torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([2, 5])), torch.bucketize(torch.tensor([0.5, 2.5]), torch.tensor([1., 2.])))


@program
def state_and_devices(torch):
    print(torch.cuda.is_available(), torch.device("cpu") == torch.device("cpu"), torch.zeros(1).to("cpu").device, torch.zeros(1).cpu().is_cuda, torch.get_default_dtype())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = torch.nn.Linear(2, 2).to(device)
    print(next(net.parameters()).device, torch.ones(2, device=device), torch.get_num_threads() > 0, torch.is_grad_enabled())
    torch.set_default_dtype(torch.float64)
    print(torch.tensor([1.0]).dtype, torch.zeros(1).dtype, torch.nn.Linear(1, 1).weight.dtype)
    torch.set_default_dtype(torch.float32)
    refused(lambda: torch.zeros(1, device="cuda"))
    refused(lambda: torch.zeros(1).to("nonsense"))
    refused(lambda: torch.nothing)


@program
def bags_of_words(torch):
    nn = torch.nn
    torch.manual_seed(11)
    embed = nn.Embedding(6, 3, padding_idx=0)
    x = torch.tensor([[1, 2, 0], [3, 0, 0]])
    e = embed(x)
    pooled = e.sum(1) / (x != 0).sum(1, keepdim=True)
    pooled.sum().backward()
    print(embed, embed.weight[0], pooled, embed.weight.grad)
    refused(lambda: embed(torch.tensor([6])))
    refused(lambda: embed(torch.tensor([1.0])))


@pytest.fixture
def awaited(request, name):
    """Programs that use what Rushlight does not have yet."""
    missing = {"autograd_tricks": "is_inference"}
    if name in missing:
        request.applymarker(pytest.mark.xfail(reason=missing[name]))


@pytest.mark.usefixtures("awaited")
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
