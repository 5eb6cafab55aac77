"""Normalizations that look at each channel, and keep running statistics of what they saw.

    BatchNorm2d(C):  (N, C, H, W) -> the same, each channel with mean 0 and variance 1 over the batch, then weight * x + bias
    InstanceNorm2d(C):  the same for each sample alone

In training the batch's own statistics count; in evaluation the running ones.
"""
import rushlight as torch

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class _NormBase(Module):
    """`weight` and `bias` where `affine`; running_mean, running_var and num_batches_tracked where `track_running_stats`."""

    _version = 2  # the second has num_batches_tracked

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=True):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(torch.empty(num_features, device=device, dtype=dtype)) if wanted else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", torch.zeros(num_features, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", torch.ones(num_features, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long, device=device) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self):
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input):
        if input.dim() not in self.ranks:
            raise ValueError(f"{type(self).__name__}: expected {' or '.join(f'{rank}D' for rank in self.ranks)} input (got {input.dim()}D "
                             f"input)")

    def extra_repr(self):
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, "
                f"track_running_stats={self.track_running_stats}")

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        version = local_metadata.get("version")
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:  # saved before there was such a number
            own = self.num_batches_tracked
            state_dict[key] = torch.tensor(0, dtype=torch.long) if own is None or own.is_meta else own
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(_NormBase):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None, *, bias=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain mean of all batches
                momentum = 1.0 / float(self.num_batches_tracked)
        own = self.training or (self.running_mean is None and self.running_var is None)
        keep = not self.training or self.track_running_stats
        return F.batch_norm(input, self.running_mean if keep else None, self.running_var if keep else None, self.weight, self.bias, own,
                            momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel.

    In training, mean and var (biased) are the batch's, and the running ones become (1 - momentum) running + momentum batch's (var
    unbiased), or the plain mean of all batches with `momentum=None`; in evaluation the running ones count, if they are tracked.  weight
    starts at 1, bias at 0.

    Shapes: x (N, C) or (N, C, L), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html, https://arxiv.org/abs/1502.03167

    >>> nn.BatchNorm1d(1)(torch.tensor([[1.0], [3.0]]))
    tensor([[-1.0000],
            [ 1.0000]], grad_fn=<NativeBatchNormBackward0>)
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel.

    In training, mean and var (biased) are the batch's, and the running ones become (1 - momentum) running + momentum batch's (var
    unbiased), or the plain mean of all batches with `momentum=None`; in evaluation the running ones count, if they are tracked.  weight
    starts at 1, bias at 0.

    Shapes: x (N, C, H, W), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html, https://arxiv.org/abs/1502.03167

    >>> nn.BatchNorm2d(1)(torch.tensor([[[[1.0, 3.0]]]]))
    tensor([[[[-1.0000,  1.0000]]]], grad_fn=<NativeBatchNormBackward0>)
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel.

    In training, mean and var (biased) are the batch's, and the running ones become (1 - momentum) running + momentum batch's (var
    unbiased), or the plain mean of all batches with `momentum=None`; in evaluation the running ones count, if they are tracked.  weight
    starts at 1, bias at 0.

    Shapes: x (N, C, D, H, W), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html, https://arxiv.org/abs/1502.03167

    >>> nn.BatchNorm3d(1)(torch.tensor([[[[[1.0, 3.0]]]]]))
    tensor([[[[[-1.0000,  1.0000]]]]], grad_fn=<NativeBatchNormBackward0>)
    """

    ranks = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch normalization over the batches of all processes; there is one, so over its own.

    Shapes: x (N, C, ...), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SyncBatchNorm.html

    >>> type(nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(2)))[0]).__name__
    'SyncBatchNorm'
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, process_group=None, device=None,
                 dtype=None):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)
        self.process_group = process_group

    def _check_input_dim(self, input):
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """A model with a SyncBatchNorm, with the same parameters and statistics, in place of each batch normalization."""
        made = module
        if isinstance(module, _BatchNorm):
            made = cls(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats, process_group)
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked", "training"):
                if hasattr(module, name):
                    setattr(made, name, getattr(module, name))
        for name, child in module.named_children():
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made


class _InstanceNorm(_NormBase):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, device=None, dtype=None, *,
                 bias=True):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input):
        self._check_input_dim(input)
        batched = input.dim() == self.ranks[1]
        if input.shape[1 if batched else 0] != self.num_features and self.affine:
            raise ValueError(f"{type(self).__name__}: expected {self.num_features} channels, but input has shape {tuple(input.shape)}")
        x = input if batched else input.unsqueeze(0)
        out = F.instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training or not self.track_running_stats,
                              0.0 if self.momentum is None else self.momentum, self.eps)
        return out if batched else out.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel of each sample.

    weight and bias are there with `affine`; with `track_running_stats`, running averages of mean and var are kept, and count in
    evaluation.

    Shapes: x (N, C, L) or (C, L), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html, https://arxiv.org/abs/1607.08022

    >>> nn.InstanceNorm1d(1)(torch.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel of each sample.

    weight and bias are there with `affine`; with `track_running_stats`, running averages of mean and var are kept, and count in
    evaluation.

    Shapes: x (N, C, H, W) or (C, H, W), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html, https://arxiv.org/abs/1607.08022

    >>> nn.InstanceNorm2d(1)(torch.tensor([[[[1.0, 3.0]]]]))
    tensor([[[[-1.0000,  1.0000]]]])
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel of each sample.

    weight and bias are there with `affine`; with `track_running_stats`, running averages of mean and var are kept, and count in
    evaluation.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm3d.html, https://arxiv.org/abs/1607.08022

    >>> nn.InstanceNorm3d(1)(torch.tensor([[[[[1.0, 3.0]]]]]))
    tensor([[[[[-1.0000,  1.0000]]]]])
    """

    ranks = (4, 5)
