"""What is refused, warned of or left alone beside an operator's values: in-place writes to views, numbers that do not fit, `out=`, what
backward goes through and runs; each as PyTorch does it."""
import warnings

import numpy as np
import pytest

import rushlight as torch


def leaf(n=4):
    return torch.ones(n, requires_grad=True)


@pytest.mark.parametrize("parts", [lambda t: t.unbind(0), lambda t: t.split(2), lambda t: t.chunk(2), lambda t: t.split([1, 3])])
def test_one_of_several_views_is_not_written_to_while_gradients_are_recorded(parts):
    whole = leaf() * 1
    with pytest.raises(RuntimeError, match="returns multiple views"):
        parts(whole)[0].mul_(2)
    assert whole.tolist() == [1.0] * 4
    free = torch.ones(4)
    parts(free)[0].mul_(2)
    assert free[0].item() == 2


def test_views_that_a_call_makes_one_by_one_may_be_written_to():
    x = leaf()
    whole = x * 1
    whole.tensor_split(2)[0].mul_(2)
    whole.unsafe_split(2)[1].mul_(3)
    whole.sum().backward()
    assert x.grad.tolist() == [2, 2, 3, 3]


@pytest.mark.parametrize("look", [lambda t: None, lambda t: t.sum().item()])
def test_a_view_made_under_no_grad_is_written_to_under_no_grad(look):
    for whole in (leaf() * 1, leaf()):
        with torch.no_grad():
            view = whole[:2]
        detached = whole.detach()[:2]
        look(whole)
        with pytest.raises(RuntimeError, match="created in no_grad mode"):
            view.mul_(2)
        with torch.no_grad():
            view.mul_(2)
        detached.mul_(2)  # somebody who detaches it means to
        assert whole.tolist() == [4, 4, 1, 1]


def test_reading_and_writing_of_one_call_may_not_overlap_in_part():
    x = torch.arange(5.0)
    square = torch.arange(9.0).view(3, 3)
    with pytest.raises(RuntimeError, match="unsupported operation"):
        square.t().add_(square)
    x[2:].add_(x[2:])
    x[:2].add_(x[3:])
    assert square.tolist() == np.arange(9.0).reshape(3, 3).tolist()


def test_a_partly_overlapping_copy_is_refused_and_changes_nothing():
    x = torch.arange(5.0)
    for write in (lambda: x[1:].copy_(x[:-1]), lambda: x[1:].add_(x[:-1])):
        with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor"):
            write()
    assert x.tolist() == [0, 1, 2, 3, 4]


BYTE, HALF = torch.zeros(3, dtype=torch.int8), torch.zeros(3, dtype=torch.float16)


@pytest.mark.parametrize("call", [
    lambda: BYTE.clamp(max=300), lambda: BYTE.clamp(-1000), lambda: BYTE.clone().fill_(300),
    lambda: torch.full((2,), 300, dtype=torch.int8),
    lambda: BYTE.masked_fill(BYTE == 0, -129), lambda: HALF.masked_fill(HALF == 0, -1e9), lambda: HALF.clone().fill_(1e10),
    lambda: torch.full_like(HALF, 1e10), lambda: torch.ones(2).fill_(1e300), lambda: BYTE.clone().fill_(float("nan")),
    lambda: torch.ones(2, dtype=torch.uint8).fill_(-256), lambda: torch.full((2,), 2 ** 70)])
def test_a_number_that_does_not_fit_is_refused_by_the_call(call):
    with pytest.raises(RuntimeError, match="without overflow"):
        call()


def test_numbers_that_fit_or_lift_the_dtype_are_taken():
    assert BYTE.clamp(max=127).dtype is torch.int8 and BYTE.clamp(max=1000.5).dtype is torch.float32
    assert torch.ones(2, dtype=torch.uint8).fill_(-1).tolist() == [255, 255]
    assert HALF.clone().fill_(float("-inf")).tolist() == [float("-inf")] * 3
    assert BYTE.masked_fill(BYTE == 0, 1.5).tolist() == [1, 1, 1]
    assert torch.tensor([2 ** 70], dtype=torch.float64).item() == 2.0 ** 70
    with pytest.raises(ValueError, match="Overflow"):
        torch.tensor(2 ** 70)


def test_truth_values_are_not_subtracted():
    yes = torch.tensor([True])
    for call in (lambda: 1 - yes, lambda: yes - 1, lambda: yes - yes, lambda: torch.rsub(yes, 1.5), lambda: torch.tensor([2]) - True):
        with pytest.raises(RuntimeError, match="Subtraction, the `-` operator"):
            call()


def test_quotients_of_complex_numbers_are_refused_by_the_call():
    z = torch.tensor([1j])
    for call in (lambda: z // 2, lambda: z % 2, lambda: torch.fmod(z, 1)):
        with pytest.raises(NotImplementedError):
            call()


def test_an_out_that_has_another_shape_is_resized_with_a_warning():
    out = torch.empty(3)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        torch.add(torch.ones(2), 1, out=out)
    assert out.tolist() == [2, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.add(torch.ones(2), 1, out=torch.empty(0)).tolist() == [2, 2]


def test_a_sequence_of_numbers_fills_an_out_of_any_shape():
    x = torch.zeros(2, 3)
    torch.arange(4, out=x[:, 1:])
    assert x.tolist() == [[0, 0, 1], [0, 2, 3]]
    torch.linspace(4, 7, 4, out=x[:, :2])
    assert x.tolist() == [[4, 5, 1], [6, 7, 3]]
    with pytest.raises(RuntimeError, match="does not match dtype of out"):
        torch.zeros(2, dtype=torch.int64, out=torch.ones(2))


def test_python_types_are_dtypes():
    assert torch.tensor([1, 0], dtype=bool).dtype is torch.bool
    assert torch.ones(2).to(float).dtype is torch.float64 and torch.as_tensor([1.5], dtype=int).tolist() == [1]


def test_a_byte_mask_without_dimensions_is_a_mask():
    x = torch.arange(6).view(2, 3)
    yes, no = torch.tensor(1, dtype=torch.uint8), torch.tensor(0, dtype=torch.uint8)
    assert x[yes].shape == (1, 2, 3) and x[no].shape == (0, 2, 3)
    x[no] = 7
    assert x.sum().item() == 15
    with pytest.warns(UserWarning, match="torch.uint8 is now deprecated"):
        assert x[torch.tensor([0, 1], dtype=torch.uint8)].tolist() == [[3, 4, 5]]


def test_a_gradient_asked_for_stops_there():
    x = leaf(2)
    hidden = x.exp()
    out = (hidden * hidden).sum()
    grad, = torch.autograd.grad(out, hidden)
    hidden.backward(grad)  # what lies before `hidden` was not gone through, so it is there still
    assert np.allclose(x.grad.tolist(), 2 * np.e ** 2)


def test_calls_that_lead_to_nothing_asked_for_are_not_gone_back_through():
    class Loud(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            raise AssertionError("nobody asked for this")

    x, y = leaf(2), leaf(2)
    out = (Loud.apply(x) * y).sum() + y.sum()
    assert torch.autograd.grad(out, y, retain_graph=True)[0].tolist() == [2, 2]
    out.backward(inputs=[y])
    assert y.grad.tolist() == [2, 2] and x.grad is None


def test_a_gradient_edge_is_as_good_as_its_tensor():
    x = leaf(2)
    hidden = x * 3
    edge = torch.autograd.graph.get_gradient_edge(hidden)
    by_edge, by_tensor = torch.autograd.grad((hidden * 2).sum(), [edge, hidden])
    assert by_edge.tolist() == by_tensor.tolist() == [2, 2]
    for wrong in ([], [3], {"x": 1}):
        with pytest.raises(RuntimeError, match="inputs"):
            torch.autograd.grad((x * 1).sum(), wrong)


def test_hooks_run_without_recording():
    x, seen = leaf(2), []
    optimizer = torch.optim.SGD([x], lr=0.5)

    def step(parameter):
        optimizer.step()
        parameter.sub_(1)
        parameter.grad = None
        seen.append(torch.is_grad_enabled())

    handle = x.register_post_accumulate_grad_hook(step)
    (x * 2).sum().backward()
    assert x.tolist() == [-1, -1] and x.grad is None and seen == [False]
    handle.remove()
    x.register_post_accumulate_grad_hook(lambda parameter: 1)
    with pytest.raises(RuntimeError, match="should return None"):
        x.sum().backward()


def test_a_kept_gradient_is_what_hooks_made_of_it_and_adds_up():
    hidden = leaf(2) * 3
    hidden.retain_grad()
    hidden.register_hook(lambda grad: grad * 2)
    for expected in (2, 4):
        hidden.sum().backward(retain_graph=True)
        assert hidden.grad.tolist() == [expected] * 2


def test_a_decorator_switches_gradients_for_its_function_only():
    @torch.set_grad_enabled(False)
    def double(x):
        return x * 2

    x = leaf(2)
    assert torch.is_grad_enabled() and not double(x).requires_grad and (x * 2).requires_grad
    with torch.no_grad():
        assert x.numpy().tolist() == [1, 1]


def test_a_decorated_generator_takes_exceptions_and_closing():
    states = []

    @torch.no_grad()
    def steps():
        while True:
            try:
                yield torch.is_grad_enabled()
            except ValueError:
                states.append(torch.is_grad_enabled())
            except GeneratorExit:
                states.append("closed")
                raise

    running = steps()
    assert next(running) is False and running.throw(ValueError()) is False
    running.close()
    assert states == [False, "closed"] and torch.is_grad_enabled()


def test_what_forward_was_not_given_setup_context_gets_as_its_default():
    class Power(torch.autograd.Function):
        @staticmethod
        def forward(x, n=3):
            return x ** n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.n = inputs
            ctx.save_for_backward(x)

        @staticmethod
        def backward(ctx, grad):
            x, = ctx.saved_tensors
            return grad * ctx.n * x ** (ctx.n - 1), None

    x = torch.tensor(2.0, requires_grad=True)
    assert torch.autograd.grad(Power.apply(x), x)[0].item() == 12


def test_a_part_of_complex_numbers_can_be_set_with_a_gradient():
    x, part = torch.ones(2, dtype=torch.complex64, requires_grad=True), leaf(2)
    z = x * 1
    z.real = part * 2
    (z.abs() ** 2).sum().backward()
    assert part.grad.tolist() == [8, 8] and x.grad.real.tolist() == [0, 0]


def test_a_module_hook_may_remove_itself():
    module, handles, seen = torch.nn.Identity(), [], []
    handles.append(module.register_forward_pre_hook(lambda *_: handles[0].remove()))
    module.register_forward_pre_hook(lambda *_: seen.append("second"))
    module(torch.ones(1)), module(torch.ones(1))
    assert seen == ["second"] * 2 and len(module._forward_pre_hooks) == 1
