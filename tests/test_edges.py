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
