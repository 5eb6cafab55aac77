"""What random programs have found: loops without turns, products with one column, sums that are cut where a trace ends."""
import numpy as np
import pytest

import rushlight as torch


def test_nothing_is_read_for_a_loop_without_turns():
    x = torch.randn(13, 16).requires_grad_()
    nothing = torch.from_numpy(np.zeros(0, np.int64))
    chosen = torch.index_select(x.permute(1, 0), -1, nothing)
    chosen.exp().sum().backward()
    assert x.grad.tolist() == np.zeros((13, 16)).tolist() and chosen.shape == (16, 0)


def test_a_kernel_for_an_empty_loop_is_not_taken_for_one_with_turns():
    row = torch.arange(3.0)
    for n in (0, 3, 5):
        assert (torch.ones(n, 3) * row).sum(1).tolist() == [3.0] * n
        assert (torch.ones(3, n) * row.unsqueeze(1)).sum(1).tolist() == [0.0, float(n), 2.0 * n]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_a_product_of_constants_with_one_column(dtype):
    product = torch.ones(2, 3, dtype=dtype) @ torch.ones(3, 1, dtype=dtype)
    assert product.tolist() == [[3], [3]]


def gradient_of_many_uses(look):
    torch.manual_seed(0)
    x = torch.randn(1000).requires_grad_()
    y = torch.hypot(x, x * 3)
    if look:
        y.tolist()
    z = torch.hypot(x, y)
    if look:
        z.tolist()
    (y.sum() + (z * x).sum()).backward()
    return x.grad.tolist()


def test_a_gradient_is_added_up_in_the_same_order_whenever_values_are_looked_at():
    assert gradient_of_many_uses(look=True) == gradient_of_many_uses(look=False)


def test_addbmm_in_place_takes_the_shape_of_the_result():
    x = torch.full((1,), 2.0)
    assert x.addbmm_(torch.ones(3, 2, 4), torch.ones(3, 4, 5)) is x
    assert x.tolist() == [[14.0] * 5] * 2


def test_arrays_are_compared_element_by_element_from_both_sides():
    x, a = torch.arange(3), np.array([0, 1, 5])
    assert (x == a).tolist() == (a == x).tolist() == [True, True, False]
    assert (x != a).tolist() == (a != x).tolist() == [False, False, True]
    assert (x == "a") is False and (x != "a") is True


@pytest.mark.parametrize("data, dtype, error, words", [
    (300, torch.uint8, RuntimeError, "value cannot be converted to type uint8 without overflow"),
    ([0, -300], torch.uint8, RuntimeError, "value cannot be converted to type uint8 without overflow"),
    ([0.0, -2.5], torch.uint8, RuntimeError, "value cannot be converted to type uint8 without overflow"),
    ([1.5, float("nan")], torch.int32, RuntimeError, "value cannot be converted to type int32 without overflow"),
    (1j, torch.float32, TypeError, "must be real number, not complex"),
    ([1, [2]], None, TypeError, "'list' object cannot be interpreted as an integer"),
    ({1: 2}, None, RuntimeError, "Could not infer dtype of dict")])
def test_what_is_no_number_of_the_dtype_is_refused(data, dtype, error, words):
    with pytest.raises(error, match=words):
        torch.tensor(data, dtype=dtype)


def test_numbers_that_fit_are_rounded_and_wrapped_as_c_does():
    assert torch.tensor([1.9, -2.9, 127], dtype=torch.int8).tolist() == [1, -2, 127]
    assert torch.tensor([-1, True], dtype=torch.uint8).tolist() == [255, 1]


def test_only_single_elements_are_indices_and_have_formats():
    with pytest.raises(TypeError, match="only integer tensors of a single element can be converted to an index"):
        [1, 2][torch.tensor([0, 1])]
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor.__format__"):
        format(torch.ones(2), ".2f")
    assert f"{torch.ones(2)}" == "tensor([1., 1.])" and f"{torch.tensor(2.5):.2f}" == "2.50"


def test_a_number_that_nothing_reads_may_be_of_any_kind():
    x = torch.tensor([1.0, 2.0])
    y = x * 2
    dropped = x * 1j
    del dropped
    assert (y + 1).tolist() == [3, 5]
    turned = x * 1j
    assert (y * 3).tolist() == [6, 12] and turned.tolist() == [1j, 2j]


def test_a_weighted_huber_loss_is_the_mean_of_the_weighted_losses():
    x, y, w = torch.tensor([0.0, 3.0]), torch.tensor([1.0, 0.0]), torch.tensor([2.0, 4.0])
    assert torch.nn.functional.huber_loss(x, y, weight=w).item() == (2 * 0.5 + 4 * 2.5) / 2
