"""Convolution, pooling and their kin against loops over every window, written in NumPy."""
import itertools

import numpy as np
import pytest

import rushlight as torch
from rushlight.nn import functional as F


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def convolved(x, w, stride, padding, dilation, groups):
    """The definition: each window times the weights, added up."""
    dims = w.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation)]
    out = np.zeros((len(x), len(w), *counts))
    per_group, results = w.shape[1], len(w) // groups
    for o, *place in itertools.product(range(len(w)), *map(range, counts)):
        first = o // results * per_group
        window = tuple(slice(p * s, p * s + d * (k - 1) + 1, d) for p, s, d, k in zip(place, stride, dilation, w.shape[2:]))
        part = x[(slice(None), slice(first, first + per_group), *window)]
        out[(slice(None), o, *place)] = (part * w[o]).sum(axis=tuple(range(1, 2 + dims)))
    return out


CASES = [
    ((2, 3, 7), (4, 3, 3), (1,), (0,), (1,), 1),
    ((2, 3, 7, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 4, 9, 8), (6, 2, 3, 2), (1, 3), (2, 1), (2, 1), 2),
    ((3, 2, 5, 5), (2, 1, 1, 1), (2, 2), (0, 0), (1, 1), 2), ((1, 2, 5, 4, 6), (3, 2, 2, 3, 1), (2, 1, 1), (1, 1, 0), (1, 1, 1), 1),
    ((0, 3, 7, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1), ((2, 3, 4, 4), (5, 3, 4, 4), (1, 1), (0, 0), (1, 1), 1),
]


@pytest.mark.parametrize("x, w, stride, padding, dilation, groups", CASES)
def test_a_convolution_is_the_sum_over_each_window(x, w, stride, padding, dilation, groups):
    x, w = normal(*x), normal(*w, seed=1)
    function = getattr(F, f"conv{w.ndim - 2}d")
    out = function(torch.from_numpy(x), torch.from_numpy(w), None, stride, padding, dilation, groups)
    np.testing.assert_allclose(out.numpy(), convolved(x, w, stride, padding, dilation, groups), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("x, w, stride, padding, dilation, groups", CASES)
def test_a_transposed_convolution_is_the_transpose(x, w, stride, padding, dilation, groups):
    """<conv(x), y> == <x, conv_transpose(y)>, for the x whose size the transpose makes."""
    dims = len(w) - 2
    w = normal(*w, seed=1)
    y = normal(x[0], len(w), *(3,) * dims, seed=2)
    back = getattr(F, f"conv_transpose{dims}d")(torch.from_numpy(y), torch.from_numpy(w), None, stride, padding, 0, groups, dilation).numpy()
    x = normal(*back.shape, seed=3)
    np.testing.assert_allclose((convolved(x, w, stride, padding, dilation, groups) * y).sum(), (x * back).sum(), rtol=1e-10)


def test_gradients_of_gradients():
    x, w = (torch.from_numpy(normal(*s)).requires_grad_() for s in ((2, 2, 4, 5), (2, 1, 2, 3)))

    def convolution(x, w):
        return F.conv2d(x, w, stride=(2, 1), padding=1, groups=2)

    assert torch.autograd.gradcheck(convolution, (x, w))
    assert torch.autograd.gradgradcheck(convolution, (x, w))


def test_another_batch_size_or_image_size_makes_no_new_numbers_wrong():
    w = normal(3, 2, 3, 3)
    for n, h, v in [(1, 5, 5), (2, 6, 7), (4, 5, 9)]:
        x = normal(n, 2, h, v)
        np.testing.assert_allclose(F.conv2d(torch.from_numpy(x), torch.from_numpy(w), padding=1).numpy(), convolved(x, w, (1, 1), (1, 1), (1, 1), 1),
                                   rtol=1e-12, atol=1e-12)


def test_same_padding_keeps_the_size():
    x, w = torch.zeros(1, 2, 7, 8), torch.zeros(3, 2, 4, 3)
    assert F.conv2d(x, w, padding="same", dilation=2).shape == (1, 3, 7, 8)
    with pytest.raises(RuntimeError, match="not supported for strided"):
        F.conv2d(x, w, padding="same", stride=2)


def test_what_cannot_be_convolved_is_refused():
    with pytest.raises(RuntimeError, match=r"expected input\[1, 3, 5, 5\] to have 2 channels, but got 3"):
        F.conv2d(torch.zeros(1, 3, 5, 5), torch.zeros(4, 2, 3, 3))
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        F.conv2d(torch.zeros(1, 2, 2, 5), torch.zeros(4, 2, 3, 3))


# Pooling -------------------------------------------------------------------------------------------------------------

def test_the_maximum_of_each_window_and_its_place():
    x = torch.tensor([[[1.0, 5.0, 2.0, 5.0, 0.0], [7.0, 1.0, 1.0, 1.0, 9.0]]])
    values, places = F.max_pool2d(x, 2, return_indices=True)
    assert values.tolist() == [[[7.0, 5.0]]] and places.tolist() == [[[5, 3]]]
    values, places = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
    assert values.tolist() == [[[7.0, 5.0, 9.0]]] and places.tolist() == [[[5, 3, 9]]]


def test_nan_wins_and_minus_infinity_has_a_place():
    x = torch.tensor([[1.0, float("nan"), 3.0, 4.0], [-float("inf")] * 4])
    values, places = F.max_pool1d(x, 2, return_indices=True)
    assert np.isnan(values[0, 0].item()) and places.tolist() == [[1, 3], [0, 2]]


def test_the_gradient_of_overlapping_maxima_adds_up():
    x = torch.tensor([[0.0, 1.0, 3.0, 2.0, 1.0]], requires_grad=True)
    F.max_pool1d(x, 3, 1).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0, 3.0, 0.0, 0.0]]


@pytest.mark.parametrize("kernel, stride, padding, dilation, ceil_mode", [
    (3, 2, 1, 1, False), (3, 1, 1, 1, False), (2, 2, 1, 1, False), (3, 2, 0, 1, True), (2, 3, 0, 1, False), (3, 2, 1, 2, False)])
def test_each_window_hands_its_gradient_to_the_place_of_its_maximum(kernel, stride, padding, dilation, ceil_mode):
    array = np.round(normal(2, 3, 9, 11) * 2)
    array[0, 1] = -np.inf
    array[1, 2, 3] = np.nan
    x = torch.tensor(array, requires_grad=True)
    values, places = F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, return_indices=True)
    grad = normal(*values.shape, seed=1)
    values.backward(torch.from_numpy(grad))
    wanted = np.zeros((6, 99))
    for plane, (at, given) in enumerate(zip(places.numpy().reshape(6, -1), grad.reshape(6, -1))):
        np.add.at(wanted[plane], at, given)
    np.testing.assert_allclose(x.grad.numpy(), wanted.reshape(array.shape), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(np.take_along_axis(array.reshape(6, 99), places.numpy().reshape(6, -1), 1), values.detach().numpy().reshape(6, -1))


@pytest.mark.parametrize("parts", [(1, 1), (2, 3), (4, 5), (9, 11)])
def test_the_greatest_of_each_part_is_the_first_but_of_nan_the_last(parts):
    array = np.round(normal(2, 9, 11))
    array[0, 2:4, 2:5] = np.nan
    x = torch.tensor(array, requires_grad=True)
    values, places = F.adaptive_max_pool2d(x, parts, return_indices=True)
    values.sum().backward()
    wanted, gradient = np.zeros((2, *parts), int), np.zeros((2, 99))
    for plane, i, j in itertools.product(range(2), *map(range, parts)):
        cut = [range(k * n // p, -(-(k + 1) * n // p)) for k, n, p in zip((i, j), (9, 11), parts)]
        inside = [(array[plane, a, b], 11 * a + b) for a in cut[0] for b in cut[1]]
        nans = [at for value, at in inside if np.isnan(value)]
        wanted[plane, i, j] = nans[-1] if nans else next(at for value, at in inside if value == max(v for v, _ in inside))
        gradient[plane, wanted[plane, i, j]] += 1
    assert places.tolist() == wanted.tolist() and x.grad.reshape(2, 99).tolist() == gradient.tolist()
    np.testing.assert_array_equal(values.detach().numpy(), np.take_along_axis(array.reshape(2, 99), wanted.reshape(2, -1), 1).reshape(wanted.shape))


def of_first_greatest(x, grad, kernel, stride):
    """Where the gradient of a maximum goes: the first of equals, or the last NaN, in each window of the last two dimensions."""
    out = np.zeros_like(x)
    for place in itertools.product(*map(range, grad.shape)):
        start = [p * s for p, s in zip(place[-2:], stride)]
        best = None
        for tap in itertools.product(*map(range, kernel)):
            at = (*place[:-2], start[0] + tap[0], start[1] + tap[1])
            if best is None or x[at] > x[best] or np.isnan(x[at]):
                best = at
        out[best] += grad[place]
    return out


@pytest.mark.parametrize("size, kernel, stride", [((8, 6), (2, 2), (2, 2)), ((9, 11), (2, 3), (2, 3)), ((7, 20), (2, 1), (3, 4)), ((6, 34), (3, 2), (3, 2)),
                                                  ((7, 8), (3, 3), (2, 2))])
def test_the_gradient_of_a_maximum_goes_to_the_first_of_equals(size, kernel, stride):
    x = np.random.default_rng(0).integers(0, 3, (2, 3, *size)).astype(np.float32)
    x[0, 0, :3, :4], x[1, 1, 2, 1:4] = -np.inf, np.nan
    image = torch.from_numpy(x).requires_grad_()
    y = F.max_pool2d(image, kernel, stride)
    grad = normal(*y.shape).astype(np.float32)
    y.backward(torch.from_numpy(grad))
    np.testing.assert_allclose(image.grad.numpy(), of_first_greatest(x, grad, kernel, stride), rtol=1e-6, atol=1e-6)


def test_borders_may_count_or_not():
    x = torch.ones(1, 1, 3, 3)
    assert F.avg_pool2d(x, 2, 2, 1).tolist() == [[[[0.25, 0.5], [0.5, 1.0]]]]
    assert F.avg_pool2d(x, 2, 2, 1, count_include_pad=False).tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]


@pytest.mark.parametrize("size, parts", [(7, 3), (6, 3), (5, 1), (3, 5), (1, 1)])
def test_parts_of_nearly_equal_size(size, parts):
    x = normal(2, size)
    cuts = [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]
    np.testing.assert_allclose(F.adaptive_avg_pool1d(torch.from_numpy(x), parts).numpy(), np.stack([x[:, a:b].mean(1) for a, b in cuts], 1))
    np.testing.assert_allclose(F.adaptive_max_pool1d(torch.from_numpy(x), parts).numpy(), np.stack([x[:, a:b].max(1) for a, b in cuts], 1))


def test_fold_adds_up_what_unfold_takes_apart():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    columns = F.unfold(x, 2)
    assert columns.shape == (1, 4, 6) and columns[0, :, 0].tolist() == [0.0, 1.0, 4.0, 5.0]
    times = F.fold(F.unfold(torch.ones(1, 1, 3, 4), 2), (3, 4), 2)
    assert times[0, 0].tolist() == [[1.0, 2.0, 2.0, 1.0], [2.0, 4.0, 4.0, 2.0], [1.0, 2.0, 2.0, 1.0]]
    assert torch.equal(F.fold(columns, (3, 4), 2), x * times)


def test_pixels_from_channels_and_back():
    x = torch.arange(16.0).reshape(1, 4, 2, 2)
    assert F.pixel_shuffle(x, 2)[0, 0].tolist() == [[0.0, 4.0, 1.0, 5.0], [8.0, 12.0, 9.0, 13.0], [2.0, 6.0, 3.0, 7.0], [10.0, 14.0, 11.0, 15.0]]
    assert torch.equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)


def test_an_image_in_another_size():
    x = torch.tensor([[[0.0, 1.0, 2.0]]])
    assert F.interpolate(x, 6).tolist() == [[[0.0, 0.0, 1.0, 1.0, 2.0, 2.0]]]
    assert F.interpolate(x, 5, mode="linear", align_corners=True).tolist() == [[[0.0, 0.5, 1.0, 1.5, 2.0]]]


def test_the_identity_grid_gives_the_image_back():
    x, theta = torch.from_numpy(normal(2, 3, 4, 5)), torch.tensor([[[1.0, 0, 0], [0, 1, 0]]] * 2, dtype=torch.float64)
    grid = F.affine_grid(theta, (2, 3, 4, 5), align_corners=True)
    np.testing.assert_allclose(F.grid_sample(x, grid, align_corners=True).numpy(), x.numpy(), atol=1e-12)


def test_a_transposed_convolution_some_of_whose_phases_are_empty():
    y = torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 1, 1) * 2, torch.ones(1, 3, 3, 3), stride=2, padding=1)
    assert y.tolist() == [[[[2.0]], [[2.0]], [[2.0]]]]


def test_a_crop_to_one_element_broadcasts():
    for n in (5, 2):  # the second time along the path of the first
        x = torch.nn.functional.pad(torch.ones(3, n), (1 - n, 0)) if n == 2 else torch.nn.functional.pad(torch.ones(3, n), (-1, 0))
        assert (x + torch.ones(3, 4)).tolist() == [[2.0] * 4] * 3
