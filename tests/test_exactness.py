"""PyTorch's behaviour where it is easily missed: how arguments are taken, what `out=` accepts, views that read memory as another dtype, what
is saved for backward and seen by hooks, tensors of inference mode, and whose a gradient is.  Figures are PyTorch's."""
import math

import numpy as np
import pytest

import rushlight as torch
from rushlight.autograd.graph import disable_saved_tensors_hooks, saved_tensors_hooks
from rushlight.utils.checkpoint import checkpoint


def leaf(*shape):
    return torch.ones(*shape, requires_grad=True)


# How arguments are taken ---------------------------------------------------------------------------------------------

X = torch.arange(6.0).view(2, 3)


@pytest.mark.parametrize("call", [
    lambda d: X.sum(d), lambda d: X.softmax(d), lambda d: X.prod(d), lambda d: X.sort(d)[0], lambda d: X.cumsum(d), lambda d: X.transpose(0, d),
    lambda d: torch.cat([X, X], d), lambda d: X.roll(1, d), lambda d: X.unsqueeze(d), lambda d: X.argmax(d)])
def test_a_dimension_may_be_an_integer_tensor_and_is_no_bool(call):
    assert torch.equal(call(torch.tensor(1)), call(1))
    for wrong in (torch.tensor(1.0), True, 1.0, leaf(())):
        with pytest.raises(TypeError):
            call(wrong)


def test_an_int_is_no_bool_and_a_factor_needs_no_gradient():
    with pytest.raises(TypeError):
        X.sum(1, 1)
    with pytest.raises(TypeError):
        torch.add(X, X, alpha=leaf(()))


def test_arithmetic_on_numbers_alone_is_there_for_the_four_operations():
    assert torch.add(1.5, 2).item() == 3.5 and torch.sub(2, 1).dtype is torch.int64 and torch.div(1, 2).item() == 0.5
    assert torch.add(1.5, 2).dtype is torch.float32
    for name in ("pow", "maximum", "eq", "remainder", "bitwise_and"):
        with pytest.raises(TypeError):
            getattr(torch, name)(1, 2)


def test_old_programs_give_a_factor_before_the_tensors():
    x = torch.ones(2)
    assert torch.add(x, 2, x).tolist() == [3, 3] and x.clone().add_(-0.5, x).tolist() == [0.5, 0.5]
    assert x.clone().addcdiv_(2, x, x * 4).tolist() == [1.5, 1.5] and torch.addcmul(x, 2, x, x).tolist() == [3, 3]


# out= ----------------------------------------------------------------------------------------------------------------

ONES = torch.ones(2, 2)


@pytest.mark.parametrize("call", [
    lambda out: torch.mm(ONES, ONES, out=out), lambda out: torch.amax(ONES, 0, out=out), lambda out: torch.abs(ONES, out=out),
    lambda out: torch.softmax(ONES, 0, out=out), lambda out: torch.where(ONES > 0, ONES, ONES, out=out), lambda out: torch.tril(ONES, out=out),
    lambda out: torch.linalg.inv(torch.eye(2), out=out), lambda out: torch.gather(ONES, 0, torch.zeros(1, 2, dtype=torch.int64), out=out)])
def test_out_has_the_very_dtype_where_nothing_is_promoted(call):
    call(torch.empty(0))
    for dtype in (torch.float64, torch.float16, torch.complex64):
        with pytest.raises(RuntimeError):
            call(torch.empty(0, dtype=dtype))


@pytest.mark.parametrize("call", [
    lambda out: torch.add(ONES, ONES, out=out), lambda out: torch.exp(ONES, out=out), lambda out: torch.cat([ONES, ONES], out=out),
    lambda out: torch.std(ONES, 0, out=out), lambda out: torch.cumprod(ONES, 0, out=out), lambda out: torch.outer(ONES[0], ONES[0], out=out)])
def test_out_is_cast_to_where_numbers_are_promoted(call):
    assert call(torch.empty(0, dtype=torch.float64)).dtype is torch.float64


def test_sums_are_made_in_the_dtype_of_out():
    assert torch.sum(torch.tensor([0.5, 0.5]), 0, out=torch.empty(0, dtype=torch.int64)).item() == 0
    assert torch.prod(torch.tensor([1.5, 2.0]), 0, out=torch.empty(0, dtype=torch.int64)).item() == 2


@pytest.mark.parametrize("call", [
    lambda x: torch.add(x[:-1], 1, out=x[1:]), lambda x: torch.exp(x[:4], out=x[1:5]), lambda x: torch.cumsum(x[:4], 0, out=x[1:5]),
    lambda x: torch.stack([x[:2], x[2:4]], out=x[:4].view(2, 2)), lambda x: x.index_add_(0, torch.tensor([0, 1]), x[:2]),
    lambda x: x.scatter_(0, torch.tensor([0, 1]), x[:2]), lambda x: x.__setitem__(slice(0, 4), x[1:5]),
    lambda x: torch.topk(x, 2, out=(x[:2], torch.empty(2, dtype=torch.int64)))])
def test_what_is_written_must_not_lie_partly_in_what_is_read(call):
    x = torch.arange(8.0)
    with pytest.raises(RuntimeError, match="unsupported operation"):
        call(x)
    assert x.tolist() == list(range(8))


def test_whole_overlap_and_broadcast_parts_are_fine():
    x = torch.arange(8.0).view(2, 4)
    torch.add(x, 1, out=x)
    x[:] = x[0]
    x[1] = x[0] + 1
    assert x.tolist() == [[1, 2, 3, 4], [2, 3, 4, 5]]


# Numbers -------------------------------------------------------------------------------------------------------------

def test_a_zero_remainder_has_the_sign_of_the_dividend():
    x = torch.tensor([-0.0, 0.0, -4.0, 4.0, -3.5])
    for divisor, wanted in ((2, [-0.0, 0.0, -0.0, 0.0, 0.5]), (-2.0, [-0.0, 0.0, -0.0, 0.0, -1.5]), (math.inf, [-0.0, 0.0, math.inf, 4.0, math.inf])):
        found = torch.remainder(x, divisor).numpy()
        assert found.tolist() == wanted and np.signbit(found).tolist() == np.signbit(wanted).tolist()


def test_infinite_parts_of_complex_numbers_stay_apart():
    z = torch.complex(torch.tensor([1.0, math.inf]), torch.tensor([math.inf, math.nan]))
    assert z[0].item() == complex(1, math.inf)
    assert torch.nan_to_num(z, 1.0, 2.0).tolist() == [1 + 2j, 2 + 1j]
    assert z.requires_grad_().imag[0].item() == math.inf


def test_only_bits_can_be_inverted_and_some_derivatives_are_not_there():
    with pytest.raises(TypeError):
        ~torch.tensor([1.5])
    a = torch.tensor([0.5], requires_grad=True)
    for call in (lambda: torch.igamma(a, torch.ones(1)), lambda: torch.special.zeta(a + 2, torch.ones(1)), lambda: a // 2,
                 lambda: torch.heaviside(a, torch.ones(1))):
        made = call()
        made.tolist()
        with pytest.raises(NotImplementedError, match="derivative"):
            made.sum().backward()
    torch.igamma(torch.ones(1), a).sum().backward()
    assert abs(a.grad.item() - math.exp(-0.5)) < 1e-6


# The same memory as another dtype ------------------------------------------------------------------------------------

U, V = torch.tensor([[1.0, 2.0], [3.0, -4.0]]), torch.tensor([[0.5, -1.0], [2.0, 5.0]])


@pytest.mark.parametrize("look", [lambda *t: None, lambda *t: [x.tolist() for x in t]])
@pytest.mark.parametrize("write, real, imag", [
    (lambda b: b.real.mul_(2), 4, 1), (lambda b: b.imag.mul_(2), 1, 4), (lambda b: b.real.zero_(), 0, 1), (lambda b: torch.view_as_real(b).mul_(3), 9, 9),
    (lambda b: b.t().imag.mul_(-1), 1, 1), (lambda b: setattr(b, "imag", 7.0), 1, 0)])
def test_writing_to_a_part_of_complex_numbers_is_part_of_the_graph(write, real, imag, look):
    x = torch.complex(U, V).requires_grad_()
    b = x * 1
    look(b)
    write(b)
    look(b, b.real)
    (b.abs() ** 2).sum().backward()
    assert torch.allclose(x.grad, torch.complex(2 * U * real, 2 * V * imag))


def test_a_part_sees_what_is_written_to_the_whole_and_has_its_gradient():
    x = torch.complex(U, V).requires_grad_()
    b = x * 1
    part = b.real
    b.mul_(2)
    part.sum().backward()
    assert part.tolist() == (2 * U).tolist() and x.grad.tolist() == [[2, 2], [2, 2]] and part._base is b
    with pytest.raises(RuntimeError, match="leaf"):
        x.real.mul_(2)


def test_pairs_written_to_as_complex_numbers():
    y = leaf(2, 4)
    b = y * 1
    torch.view_as_complex(b.view(2, 2, 2)).mul_(1j)
    (b * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert b[0].tolist() == [-1, 1, -1, 1] and y.grad[0].tolist() == [2, -1, 4, -3]


def test_no_gradient_passes_a_view_of_other_bits():
    x = leaf(2, 2)
    b = x * 2
    bits = b.view(torch.int32)
    assert not bits.requires_grad and bits.data_ptr() == b.data_ptr()
    bits.zero_()
    assert b.tolist() == [[0, 0], [0, 0]]
    b.sum().backward()
    assert x.grad.tolist() == [[2, 2], [2, 2]]
    assert not x.view(torch.float64).requires_grad


# What is saved for backward ------------------------------------------------------------------------------------------

def count(function, *inputs):
    packed, unpacked = [], []
    with saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: unpacked.append(t) or t):
        y = function(*inputs)
    y.sum().backward()
    return len(packed), len(unpacked)


@pytest.mark.parametrize("function, wanted", [
    (lambda a, b: a * b, 2), (lambda a, b: a * a, 2), (lambda a, b: a + b, 0), (lambda a, b: a @ b, 2), (lambda a, b: a.exp(), 1), (lambda a, b: a * 2, 0),
    (lambda a, b: a.sin().tanh(), 2), (lambda a, b: a**b, 3), (lambda a, b: a.sum(0), 0), (lambda a, b: a.clone().mul_(b), 2), (lambda a, b: a[0], 0),
    (lambda a, b: torch.nn.functional.linear(a, b), 2), (lambda a, b: ((a * b).exp() @ b).tanh(), 6), (lambda a, b: a.clone().exp_(), 1)])
def test_hooks_see_each_tensor_that_an_operator_saves_once_each_way(function, wanted):
    assert count(function, leaf(3, 3), leaf(3, 3)) == (wanted, wanted)


def test_what_hooks_keep_is_what_backward_reads():
    x = torch.tensor([0.26, 1.3], requires_grad=True)
    with saved_tensors_hooks(lambda t: (t * 4).round().to(torch.int8).numpy(), lambda a: torch.from_numpy(a).float() / 4):
        y = (x * x).sum()
    y.backward()
    assert x.grad.tolist() == [0.5, 2.5]


def test_hooks_count_for_the_graph_made_inside_and_for_no_other():
    x = leaf(2)
    with saved_tensors_hooks(lambda t: t * 10, lambda t: t):
        inside = x * x
    outside = x * x
    inside.tolist()
    inside.sum().backward()
    outside.sum().backward()
    assert x.grad.tolist() == [22, 22]


def test_what_was_unpacked_can_be_differentiated_again():
    x = torch.tensor([3.0], requires_grad=True)
    with saved_tensors_hooks(lambda t: t.numpy(force=True).copy(), lambda a: torch.tensor(a)):
        y = x**3
    slope, = torch.autograd.grad(y, x, create_graph=True)
    curve, = torch.autograd.grad(slope, x)
    assert slope.item() == 27 and curve.item() == 18


def test_hooks_are_refused_where_they_write_answer_wrongly_or_are_not_wanted():
    with pytest.raises(RuntimeError, match="in place"), saved_tensors_hooks(lambda t: t.add_(1), lambda t: t):
        leaf(2).exp()
    with saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = leaf(2).exp()
    with pytest.raises(TypeError, match="unpack_hook"):
        y.sum().backward()
    with disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        saved_tensors_hooks(lambda t: t, lambda t: t).__enter__()


def test_nodes_show_what_they_save_under_pytorchs_names():
    a, b = leaf(2), torch.full((2,), 3.0, requires_grad=True)
    y = a * b
    assert type(y.grad_fn).__name__ == "MulBackward0" and isinstance(y.grad_fn, torch.autograd.graph.Node)
    assert y.grad_fn._saved_self.tolist() == [1, 1] and y.grad_fn._saved_other is b and "_saved_other" in dir(y.grad_fn)
    e = a.exp()
    assert torch.equal(e.grad_fn._saved_result, e) and e.sum(0).grad_fn._saved_dim == 0
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        print(y.grad_fn._saved_self)
    b.data.add_(1)
    x = a * 1
    x[0].mul_(2)
    assert x.grad_fn.name() == "CopySlices"


# Inference mode ------------------------------------------------------------------------------------------------------

def made_in_inference_mode():
    with torch.inference_mode():
        return torch.ones(2, 2) * 1


@pytest.mark.parametrize("look", [lambda t: None, lambda t: t.tolist()])
def test_tensors_of_inference_mode_are_not_written_to_nor_saved_outside(look):
    x, w = made_in_inference_mode(), leaf(2, 2)
    look(x)
    assert x.is_inference() and x[0].is_inference() and x.detach().is_inference() and not (x + 1).is_inference() and not x.clone().is_inference()
    for write in (lambda: x.add_(1), lambda: x.__setitem__(0, 1.0), lambda: x[0].zero_(), lambda: x.requires_grad_(), lambda: torch.exp(w.detach(), out=x)):
        with pytest.raises(RuntimeError, match="nference"):
            write()
    with pytest.raises(RuntimeError, match="version counter"):
        print(x._version)
    with pytest.raises(RuntimeError, match="cannot be saved for backward"):
        x * w
    (x + w).sum().backward()
    (x.clone() * w).sum().backward()
    assert w.grad.tolist() == [[2, 2], [2, 2]] and x.tolist() == [[1, 1], [1, 1]]


def test_inference_mode_writes_to_its_tensors_and_to_others():
    x, normal = made_in_inference_mode(), torch.ones(2)
    with torch.inference_mode():
        x.add_(1)
        normal.add_(1)
        assert not normal.is_inference() and not normal[:1].is_inference() and torch.zeros(3).is_inference() and torch.tensor([1]).is_inference()
        with torch.inference_mode(False):
            assert not torch.zeros(3).is_inference()
    normal.add_(1)
    assert x.tolist() == [[2, 2], [2, 2]] and normal.tolist() == [3, 3] and not torch.zeros(3).is_inference()


# Whose a gradient is -------------------------------------------------------------------------------------------------

class Twice(torch.autograd.Function):
    """The same gradient for both."""

    @staticmethod
    def forward(ctx, x, y):
        return x + y

    @staticmethod
    def backward(ctx, grad):
        return grad, grad


class Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sum()

    @staticmethod
    def backward(ctx, grad):
        return grad.expand(4)


def test_each_leaf_has_a_gradient_of_its_own():
    x, y, z = leaf(2), leaf(2), leaf(4)
    for _ in range(3):
        Twice.apply(x, y).sum().backward()
        Summed.apply(z).backward()
    assert x.grad.tolist() == y.grad.tolist() == [3, 3] and z.grad.tolist() == [3] * 4 and z.grad.stride() == (1,)


def test_a_gradient_that_was_handed_out_is_not_written_to():
    x, seen, given = leaf(2), [], torch.full((2,), 3.0)
    x.register_hook(seen.append)
    (x * 2).sum().backward()
    x.grad.zero_()
    w = leaf(2)
    w.backward(given)
    w.grad.zero_()
    assert seen[0].tolist() == [2, 2] and given.tolist() == [3, 3]


def test_a_gradient_lies_as_its_leaf_does():
    for make in (lambda x: x.sum(), lambda x: (x.exp() * torch.ones(3, 5)).sum(), lambda x: Twice.apply(x, x).sum()):
        x = torch.randn(5, 3).t().requires_grad_()
        make(x).backward()
        assert x.grad.stride() == (1, 3)
    gaps = torch.randn(3, 10)[:, ::2].requires_grad_()
    gaps.exp().sum().backward()
    assert gaps.grad.stride() == (5, 1)


def test_a_function_that_writes_to_a_view_is_part_of_the_graph():
    class Added(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.mark_dirty(x)
            return x.add_(y)

        @staticmethod
        def backward(ctx, grad):
            return grad, grad * 2

    root, b = leaf(4, 4), leaf(2, 2)
    x = root.clone()
    view = x[1:3, 2:]
    assert Added.apply(view, b) is view
    Added.apply(x[1:3, :2], b)
    (x * x).sum().backward()
    assert b.grad.tolist() == [[16, 16], [16, 16]] and root.grad[1].tolist() == [4] * 4 and root.grad[0].tolist() == [2] * 4


def test_what_was_written_over_in_place_can_be_differentiated_twice():
    a, b = torch.arange(4.0).requires_grad_(), torch.tensor(2.0, requires_grad=True)
    x = a.clone()
    x.mul_(b)
    x.mul_(b)
    first = torch.autograd.grad(x.sum(), (a, b), create_graph=True)
    (first[0].sum() + first[1].sum()).backward()
    assert a.grad.tolist() == [4] * 4 and b.grad.item() == 28


def test_the_second_run_of_a_checkpoint_is_like_the_first():
    w, seen = leaf(4, 4), []

    def block(inputs, scale):
        y = inputs["x"] @ w
        seen.append(y.dtype)
        return {"y": y * scale, "n": 3}

    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = checkpoint(block, {"x": leaf(2, 4)}, scale=2, use_reentrant=False)
    made["y"].float().sum().backward()
    assert seen == [torch.bfloat16, torch.bfloat16] and made["n"] == 3 and w.grad.tolist() == [[4] * 4] * 4


def test_a_gradcheck_moves_the_numbers_where_they_lie():
    x = torch.rand(3, dtype=torch.float64).requires_grad_()
    known = {"x": x}
    assert torch.autograd.gradcheck(lambda _: known["x"] ** 2, (x,))
    assert torch.autograd.gradcheck(lambda x: torch.complex(x, 2 * x), (x,))


# Storages ------------------------------------------------------------------------------------------------------------

def test_a_typed_storage_is_the_memory_of_a_tensor_and_its_views(tmp_path):
    x = torch.arange(6.0).view(2, 3)
    s = x.storage()
    assert len(s) == 6 and s.tolist() == list(range(6)) and s.data_ptr() == x[1].storage().data_ptr() and isinstance(s, torch.FloatStorage)
    s[4] = 9
    assert x[1, 1].item() == 9 and s.int().tolist()[4] == 9 and s.dtype is torch.float32 and torch.is_storage(s)
    assert torch.tensor([0.0]).set_(torch.FloatStorage([1.0, 2.0, 3.0])).tolist() == [1, 2, 3]
    assert torch.UntypedStorage([1, 2, 3]).tolist() == [1, 2, 3] and torch.LongStorage(2).nbytes() == 16
    assert torch.UntypedStorage(8, device="meta").nbytes() == 8 and torch.ByteStorage.from_buffer(b"ab").tolist() == [97, 98]
    shared = torch.from_file(str(tmp_path / "numbers"), True, 4)
    shared.fill_(2)
    shared.tolist()
    assert np.fromfile(tmp_path / "numbers", np.float32).tolist() == [2, 2, 2, 2]


# Images whose channels are innermost ---------------------------------------------------------------------------------

def test_channels_last_images_stay_that_through_networks():
    F = torch.nn.functional
    x = torch.arange(2 * 4 * 6 * 6.0).view(2, 4, 6, 6)
    images = x.to(memory_format=torch.channels_last)
    for call in (lambda t: F.conv2d(t, torch.ones(3, 4, 3, 3)), lambda t: F.batch_norm(t, None, None, training=True), lambda t: F.group_norm(t, 2),
                 lambda t: F.interpolate(t, scale_factor=2), lambda t: F.pixel_shuffle(t, 2), lambda t: F.pad(t, (1, 1)), lambda t: F.max_pool2d(t, 2),
                 lambda t: F.adaptive_avg_pool2d(t, 2), lambda t: torch.cat([t, t], 1), lambda t: t.roll(1, 2).relu()):
        made = call(images)
        assert made.is_contiguous(memory_format=torch.channels_last) and torch.allclose(made, call(x)) and call(x).is_contiguous()
