"""Lazy modules: layers that take the number of their input features or channels from the first input.

    layer = LazyLinear(10)      layer.weight is an UninitializedParameter
    layer(x)                    a pre-hook materializes the parameters, and the layer becomes a Linear(x.shape[-1], 10)

A lazy class says what it becomes (`cls_to_become`), makes its parameters uninitialized, and knows in `initialize_parameters` how to
shape them.  One whose parameters came out of a state_dict has their shapes from there, and its own settings from the first input.
"""
import rushlight as torch

from .batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .parameter import UninitializedBuffer, UninitializedParameter, is_lazy


class LazyModuleMixin:
    """What makes a module lazy; stands before the class of the module in the list of bases
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.modules.lazy.LazyModuleMixin.html).
    """

    cls_to_become = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def initialize_parameters(self, *args, **kwargs):
        """Materialize the parameters for these arguments of forward; every lazy class defines it."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self):
        """Whether a parameter or buffer has no shape yet."""
        return any(is_lazy(tensor) for tensor in (*self._parameters.values(), *self._buffers.values()))

    def reset_parameters(self):
        if not self.has_uninitialized_params():
            super().reset_parameters()

    def _lazy_load_hook(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        """Before a load: what is lazy here and not there gets the shape it has there."""
        for name, tensor in (*self._parameters.items(), *self._buffers.items()):
            saved = state_dict.get(prefix + name)
            if is_lazy(tensor) and saved is not None and not is_lazy(saved):
                tensor.materialize(saved.shape)

    @staticmethod
    def _infer_parameters(module, args, kwargs=None):
        """The pre-hook of the first forward, after which the module is an ordinary one."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become


# Linear --------------------------------------------------------------------------------------------------------------

class LazyLinear(LazyModuleMixin, Linear):
    """Linear, y = x W^T + b, with `in_features` from the first input
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyLinear.html).

    Shapes: x (*, in_features), y (*, out_features).

    >>> layer = nn.LazyLinear(3)
    >>> layer(torch.ones(2, 5)).shape, layer
    (torch.Size([2, 3]), Linear(in_features=5, out_features=3, bias=True))
    """

    cls_to_become = Linear

    def __init__(self, out_features, bias=True, device=None, dtype=None):
        super().__init__(0, 0, False)
        self.out_features = out_features
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self):
        if self.in_features:
            super().reset_parameters()

    def initialize_parameters(self, input):
        if self.has_uninitialized_params():
            self.in_features = input.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))
            if self.bias is not None:
                self.bias.materialize((self.out_features,))
            self.reset_parameters()
        elif not self.in_features:
            if input.shape[-1] != self.weight.shape[-1]:
                raise AssertionError(f"The in_features inferred from input: {input.shape[-1]} is not equal to in_features from "
                                     f"self.weight: {self.weight.shape[-1]}")
            self.in_features = input.shape[-1]


# Convolutions --------------------------------------------------------------------------------------------------------

class _LazyConvolution(LazyModuleMixin):
    """A convolution whose `in_channels` are those of the first input."""

    def _make_lazy(self, out_channels, bias, device, dtype):
        self.out_channels = out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self):
        if self.in_channels:
            super().reset_parameters()

    def initialize_parameters(self, input, *args, **kwargs):
        if not self.has_uninitialized_params():
            return
        if input.dim() not in (self.dims + 1, self.dims + 2):
            raise RuntimeError(f"Expected {self.dims + 1}D (unbatched) or {self.dims + 2}D (batched) input to {type(self).__name__}, but "
                               f"got input of size: {input.shape}")
        self.in_channels = input.shape[-self.dims - 1]
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        self.weight.materialize(self._weight_shape())
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyConv(_LazyConvolution):
    def __init__(self, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode="zeros",
                 device=None, dtype=None):
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode)
        self._make_lazy(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvolution):
    def __init__(self, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True, dilation=1,
                 padding_mode="zeros", device=None, dtype=None):
        super().__init__(0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode)
        self._make_lazy(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """Conv1d with `in_channels` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv1d.html).

    Shapes: (N, in_channels, L) -> (N, out_channels, L').

    >>> nn.LazyConv1d(4, 3)(torch.ones(2, 3, 9)).shape
    torch.Size([2, 4, 7])
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """Conv2d with `in_channels` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv2d.html).

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W').

    >>> nn.LazyConv2d(4, 3)(torch.ones(2, 3, 9, 8)).shape
    torch.Size([2, 4, 7, 6])
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """Conv3d with `in_channels` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConv3d.html).

    Shapes: (N, in_channels, D, H, W) -> (N, out_channels, D', H', W').

    >>> nn.LazyConv3d(4, 2)(torch.ones(2, 3, 4, 5, 6)).shape
    torch.Size([2, 4, 3, 4, 5])
    """

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """ConvTranspose1d with `in_channels` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose1d.html).

    Shapes: (N, in_channels, L) -> (N, out_channels, L').

    >>> nn.LazyConvTranspose1d(4, 3)(torch.ones(2, 3, 7)).shape
    torch.Size([2, 4, 9])
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """ConvTranspose2d with `in_channels` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose2d.html).

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W').

    >>> nn.LazyConvTranspose2d(4, 2, stride=2)(torch.ones(2, 3, 4, 5)).shape
    torch.Size([2, 4, 8, 10])
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """ConvTranspose3d with `in_channels` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyConvTranspose3d.html).

    Shapes: (N, in_channels, D, H, W) -> (N, out_channels, D', H', W').

    >>> nn.LazyConvTranspose3d(4, 2)(torch.ones(1, 3, 2, 3, 4)).shape
    torch.Size([1, 4, 3, 4, 5])
    """

    cls_to_become = ConvTranspose3d


# Normalizations ------------------------------------------------------------------------------------------------------

class _LazyNorm(LazyModuleMixin):
    """A normalization whose `num_features` are the channels of the first input."""

    def __init__(self, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True):
        super().__init__(0, eps, momentum, False, False)
        self.affine, self.track_running_stats = affine, track_running_stats
        settings = {"device": device, "dtype": dtype}
        if affine:
            self.weight = UninitializedParameter(**settings)
            if bias:
                self.bias = UninitializedParameter(**settings)
        if track_running_stats:
            self.running_mean, self.running_var = UninitializedBuffer(**settings), UninitializedBuffer(**settings)
            self.num_batches_tracked = torch.tensor(0, dtype=torch.long, device=device)

    def reset_parameters(self):
        if self.num_features:
            super().reset_parameters()

    def initialize_parameters(self, input):
        if self.has_uninitialized_params():
            self.num_features = input.shape[1]
            for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
                if is_lazy(tensor):
                    tensor.materialize((self.num_features,))
            self.reset_parameters()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """BatchNorm1d with `num_features` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm1d.html).

    Shapes: (N, C) or (N, C, L) -> the same.

    >>> nn.LazyBatchNorm1d()(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """BatchNorm2d with `num_features` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm2d.html).

    Shapes: (N, C, H, W) -> the same.

    >>> nn.LazyBatchNorm2d()(torch.ones(2, 3, 4, 5)).shape
    torch.Size([2, 3, 4, 5])
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """BatchNorm3d with `num_features` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm3d.html).

    Shapes: (N, C, D, H, W) -> the same.

    >>> nn.LazyBatchNorm3d()(torch.ones(2, 3, 4, 5, 2)).shape
    torch.Size([2, 3, 4, 5, 2])
    """

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """InstanceNorm1d with `num_features` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm1d.html).

    Shapes: (N, C, L) -> the same.

    >>> nn.LazyInstanceNorm1d()(torch.ones(2, 3, 4)).shape
    torch.Size([2, 3, 4])
    """

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """InstanceNorm2d with `num_features` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm2d.html).

    Shapes: (N, C, H, W) -> the same.

    >>> nn.LazyInstanceNorm2d()(torch.ones(2, 3, 4, 5)).shape
    torch.Size([2, 3, 4, 5])
    """

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """InstanceNorm3d with `num_features` from the first input: see there for the formula
    (https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm3d.html).

    Shapes: (N, C, D, H, W) -> the same.

    >>> nn.LazyInstanceNorm3d()(torch.ones(2, 3, 4, 5, 2)).shape
    torch.Size([2, 3, 4, 5, 2])
    """

    cls_to_become = InstanceNorm3d
