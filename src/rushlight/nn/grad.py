"""`torch.nn.grad`: the gradients of convolutions, for those who write a backward by hand.

    conv2d_input(x.shape, w, g)  ==  d (conv2d(x, w) . g) / dx            conv2d_weight(x, w.shape, g)  ==  d (...) / dw
"""
from ..autograd.transforms import vjp
from . import functional as F


def _of_input(convolution, input_size, weight, grad_output, settings):
    _, back = vjp(lambda x: convolution(x, weight.detach(), None, *settings), grad_output.new_zeros(input_size))
    return back(grad_output)[0]


def _of_weight(convolution, input, weight_size, grad_output, settings):
    _, back = vjp(lambda w: convolution(input.detach(), w, None, *settings), grad_output.new_zeros(weight_size))
    return back(grad_output)[0]


def conv1d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv1d with respect to its input (N, C, L)."""
    return _of_input(F.conv1d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv1d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv1d with respect to its weight."""
    return _of_weight(F.conv1d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv2d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv2d with respect to its input (N, C, H, W).

    >>> torch.nn.grad.conv2d_input((1, 1, 2, 2), torch.tensor([[[[1.0, 2.0]]]]), torch.ones(1, 1, 2, 1)).flatten()
    tensor([1., 2., 1., 2.])
    """
    return _of_input(F.conv2d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv2d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv2d with respect to its weight."""
    return _of_weight(F.conv2d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv3d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv3d with respect to its input (N, C, D, H, W)."""
    return _of_input(F.conv3d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv3d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv3d with respect to its weight."""
    return _of_weight(F.conv3d, input, weight_size, grad_output, (stride, padding, dilation, groups))
