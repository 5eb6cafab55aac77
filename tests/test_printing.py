"""Every expected text is what PyTorch 2.13 prints for the same values."""
import ml_dtypes
import numpy as np
import pytest

from rushlight.ir import dtypes
from rushlight.tensors.printing import get_printoptions, printoptions, set_printoptions, tensor_format, tensor_repr

INF, NAN = float("inf"), float("nan")


def show(values, dtype=np.float32, **facts):
    array = np.asarray(values, dtype)
    return tensor_repr(array, dtypes.of_numpy(array.dtype), **facts)


@pytest.fixture(autouse=True)
def default_options():
    set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")


@pytest.mark.parametrize("values, dtype, text", [
    (3, np.int64, "tensor(3)"),
    ([1, -20, 300], np.int64, "tensor([  1, -20, 300])"),
    ([True, False], np.bool_, "tensor([ True, False])"),
    ([1], np.uint8, "tensor([1], dtype=torch.uint8)"),
    ([1, 2], np.float32, "tensor([1., 2.])"),
    ([1.5, -2.25], np.float32, "tensor([ 1.5000, -2.2500])"),
    ([1.5], np.float64, "tensor([1.5000], dtype=torch.float64)"),
    ([1.5, 2], np.float16, "tensor([1.5000, 2.0000], dtype=torch.float16)"),
    ([1.5, 2], ml_dtypes.bfloat16, "tensor([1.5000, 2.0000], dtype=torch.bfloat16)"),
    ([1 + 2j, -1.5 - 0.25j], np.complex64, "tensor([ 1.0000+2.0000j, -1.5000-0.2500j])"),
    (1 - 2j, np.complex64, "tensor(1.-2.j)"),
])
def test_each_dtype(values, dtype, text):
    assert show(values, dtype) == text


@pytest.mark.parametrize("values, text", [
    ([0.0, -0.0], "tensor([0., -0.])"),
    (NAN, "tensor(nan)"),
    ([1, INF, NAN, -INF], "tensor([1., inf, nan, -inf])"),
    ([1.5, INF, NAN], "tensor([1.5000,    inf,    nan])"),
])
def test_zeros_and_what_is_not_finite_have_no_say_in_the_width(values, text):
    assert show(values) == text


@pytest.mark.parametrize("values, text", [
    ([1e-5, 1], "tensor([1.0000e-05, 1.0000e+00])"),
    ([1.5, 20000], "tensor([1.5000e+00, 2.0000e+04])"),
    ([1e9], "tensor([1.0000e+09])"),
])
def test_numbers_too_small_too_large_or_too_far_apart_are_scientific(values, text):
    assert show(values) == text


def test_rows_stand_one_below_the_other_and_matrices_apart():
    assert show(np.arange(12).reshape(3, 4), np.int64) == """\
tensor([[ 0,  1,  2,  3],
        [ 4,  5,  6,  7],
        [ 8,  9, 10, 11]])"""
    assert show(np.arange(8).reshape(2, 2, 2), np.int64) == """\
tensor([[[0, 1],
         [2, 3]],

        [[4, 5],
         [6, 7]]])"""


def test_a_long_row_is_broken_at_80_columns():
    assert show(np.arange(30), np.int64) == """\
tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,
        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])"""


def test_more_than_1000_elements_show_their_edges():
    assert show(np.arange(1001), np.int64) == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    assert show(np.arange(10000.0).reshape(100, 100)) == """\
tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.7000e+01, 9.8000e+01,
         9.9000e+01],
        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.9700e+02, 1.9800e+02,
         1.9900e+02],
        [2.0000e+02, 2.0100e+02, 2.0200e+02,  ..., 2.9700e+02, 2.9800e+02,
         2.9900e+02],
        ...,
        [9.7000e+03, 9.7010e+03, 9.7020e+03,  ..., 9.7970e+03, 9.7980e+03,
         9.7990e+03],
        [9.8000e+03, 9.8010e+03, 9.8020e+03,  ..., 9.8970e+03, 9.8980e+03,
         9.8990e+03],
        [9.9000e+03, 9.9010e+03, 9.9020e+03,  ..., 9.9970e+03, 9.9980e+03,
         9.9990e+03]])"""


def test_an_empty_tensor_shows_what_its_elements_cannot():
    assert show([]) == "tensor([])"
    assert show(np.empty((0, 3))) == "tensor([], size=(0, 3))"
    assert show([], np.int64) == "tensor([], dtype=torch.int64)"


def test_suffixes_go_to_a_new_line_where_they_do_not_fit():
    assert show([1, 1], requires_grad=True) == "tensor([1., 1.], requires_grad=True)"
    assert show([1, 1], requires_grad=True, grad_fn_name="AddBackward0") == "tensor([1., 1.], grad_fn=<AddBackward0>)"
    assert show(np.full((3, 5), 0.5), np.float64, requires_grad=True) == """\
tensor([[0.5000, 0.5000, 0.5000, 0.5000, 0.5000],
        [0.5000, 0.5000, 0.5000, 0.5000, 0.5000],
        [0.5000, 0.5000, 0.5000, 0.5000, 0.5000]], dtype=torch.float64,
       requires_grad=True)"""


def test_the_default_dtype_is_not_shown():
    assert show([1.5], np.float64, default_dtype=dtypes.float64) == "tensor([1.5000])"
    assert show([1j], np.complex128, default_dtype=dtypes.float64) == "tensor([0.+1.j])"
    assert show([1.5], default_dtype=dtypes.float64) == "tensor([1.5000], dtype=torch.float32)"


def test_a_subclass_a_device_and_a_tensor_without_values():
    assert show([1.0], class_name="Mask") == "Mask([1.])"
    assert show([1.0], device="cuda:0") == "tensor([1.], device='cuda:0')"
    assert tensor_repr(None, dtypes.int64, device="meta", shape=(2, 3)) == "tensor(..., device='meta', size=(2, 3), dtype=torch.int64)"


def test_options():
    with printoptions(edgeitems=0, threshold=1):
        assert show(np.arange(4.0)) == "tensor([...], size=(4,))"
        assert show(np.ones((2, 2))) == "tensor([...], size=(2, 2))"
    with printoptions(profile="short"):
        assert show([1.2345, 2]) == "tensor([1.23, 2.00])"
    with printoptions(sci_mode=True):
        assert show([1, 2]) == "tensor([1.0000e+00, 2.0000e+00])"
    with printoptions(linewidth=20):
        assert show(np.arange(9), np.int64) == "tensor([0, 1, 2, 3,\n        4, 5, 6, 7,\n        8])"
        assert show([1, 1], requires_grad=True) == "tensor([1., 1.],\n       requires_grad=True)"
    with printoptions(profile="full"):
        assert "..." not in show(np.arange(1200), np.int64)
    assert get_printoptions() == {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}


def test_format_of_one_element_is_that_of_its_number():
    assert tensor_format(np.array(3.14159, np.float32), ".2f") == "3.14"
    assert tensor_format(np.array(1.5, ml_dtypes.bfloat16), "") == "1.5"
    assert tensor_format(np.array(7), "03d") == "007"
    assert tensor_format(np.array([1.0], np.float32), "") == "tensor([1.])"
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor.__format__"):
        tensor_format(np.ones(2), ".2f")
