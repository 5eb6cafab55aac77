"""Dropout: in training, elements or whole channels become zero by chance and the others are scaled up.

    Dropout(0.5)      each element          Dropout1d, 2d, 3d      each channel          AlphaDropout      for SELU networks
"""
from . import functional as F
from .module import Module


class _DropoutNd(Module):
    """`p` is the probability of being dropped."""

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """y = m x / (1 - p), each m 0 with probability p, else 1; in evaluation y = x.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout.html, https://arxiv.org/abs/1207.0580

    >>> nn.Dropout(0.5).eval()(torch.ones(3))
    tensor([1., 1., 1.])
    >>> set(nn.Dropout(0.5)(torch.ones(100)).tolist()) == {0.0, 2.0}
    True
    """

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """y = m x / (1 - p), with one m for each channel: 0 with probability p, else 1; in evaluation y = x.

    Shapes: x (N, C, L) or (C, L), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout1d.html, https://arxiv.org/abs/1411.4280

    >>> nn.Dropout1d(0.5).eval()(torch.ones(1, 2, 3)).sum()
    tensor(6.)
    """

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """y = m x / (1 - p), with one m for each channel: 0 with probability p, else 1; in evaluation y = x.

    Shapes: x (N, C, H, W) or (C, H, W), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html, https://arxiv.org/abs/1411.4280

    >>> nn.Dropout2d(0.5).eval()(torch.ones(1, 2, 3, 1)).sum()
    tensor(6.)
    """

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """y = m x / (1 - p), with one m for each channel: 0 with probability p, else 1; in evaluation y = x.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y the same.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout3d.html, https://arxiv.org/abs/1411.4280

    >>> nn.Dropout3d(0.5).eval()(torch.ones(1, 2, 3, 1, 1)).sum()
    tensor(6.)
    """

    def forward(self, input):
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """y = a (x where m, else -1.7581) + b, each m 0 with probability p, else 1, with a and b such that mean 0 and variance 1 stay so; for
    nets of SELU.

    Shapes: x (*), y (*).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AlphaDropout.html, https://arxiv.org/abs/1706.02515

    >>> nn.AlphaDropout(0.5).eval()(torch.ones(3))
    tensor([1., 1., 1.])
    """

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout, y = a (x where m, else -1.7581) + b, with one m for each channel.

    Shapes: x (N, C, *), y (N, C, *).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.FeatureAlphaDropout.html, https://arxiv.org/abs/1706.02515

    >>> nn.FeatureAlphaDropout(0.5).eval()(torch.ones(1, 2, 2))
    tensor([[[1., 1.],
             [1., 1.]]])
    """

    def forward(self, input):
        return F.feature_alpha_dropout(input, self.p, self.training)
