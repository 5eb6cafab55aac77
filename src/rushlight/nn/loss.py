"""Losses as modules: each is its function in nn.functional, with the settings kept.

    CrossEntropyLoss()(logits, classes)  ->  F.cross_entropy(logits, classes)

`reduction` is "mean", "sum" or "none".  `size_average` and `reduce` are its predecessors in PyTorch and still accepted.
"""
import dataclasses
import math
import re
import warnings

import rushlight as torch

from ..ir.dtypes import DType
from . import functional as F
from .distance import PairwiseDistance
from .linear import Linear
from .module import Module


class _Loss(Module):
    """A loss with a `reduction`."""

    def __init__(self, size_average=None, reduce=None, reduction="mean"):
        super().__init__()
        if size_average is not None or reduce is not None:
            averaged = "sum" if size_average is False else "mean"
            reduction = "none" if reduce is False else averaged
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss that weighs classes or elements; the weights move with the module."""

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """y = |x - t|, averaged, or summed.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html

    >>> nn.L1Loss()(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor(1.)
    """

    def forward(self, input, target):
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """y = (x - t)^2, averaged, or summed.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html

    >>> nn.MSELoss()(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
    tensor(1.)
    """

    def forward(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """y = d^2 / (2 beta) where d = |x - t| < beta, else d - beta / 2; averaged, or summed.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html, https://arxiv.org/abs/1504.08083

    >>> nn.SmoothL1Loss()(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 1.0]))
    tensor(1.)
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", beta=1.0):
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """y = d^2 / 2 where d = |x - t| < delta, else delta (d - delta / 2); averaged, or summed.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html, https://doi.org/10.1214/aoms/1177703732

    >>> nn.HuberLoss()(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 1.0]))
    tensor(1.)
    """

    def __init__(self, reduction="mean", delta=1.0):
        if not isinstance(delta, (float, int)):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input, target):
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_WeightedLoss):
    """y = -weight[t] log(softmax(x)[t]), averaged by weight, or summed; or y = -sum of t log(softmax(x)) for probabilities t.

    Targets equal to `ignore_index` count for nothing.  With `label_smoothing` e, t becomes (1 - e) t + e / C.

    Shapes: x (N, C, *) or (C,), t (N, *) or () of class numbers, or (N, C, *) of probabilities, y a scalar; (N, *) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html

    >>> nn.CrossEntropyLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
    tensor(0.6931)
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
                               label_smoothing=self.label_smoothing)


class NLLLoss(_WeightedLoss):
    """y = -weight[t] x[t], for log-probabilities x, averaged by weight, or summed; targets equal to `ignore_index` count for nothing.

    Shapes: x (N, C, *) or (C,), t (N, *) or () of class numbers, y a scalar; (N, *) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html

    >>> nn.NLLLoss()(torch.tensor([[-1.0, -2.0]]), torch.tensor([1]))
    tensor(2.)
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class NLLLoss2d(NLLLoss):
    """NLLLoss, y = -weight[t] x[t], under the name that its form for images had.

    Shapes: x (N, C, H, W), t (N, H, W) of class numbers, y a scalar; (N, H, W) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html

    >>> nn.NLLLoss2d()(torch.full((1, 2, 1, 1), -2.0), torch.tensor([[[1]]]))
    tensor(2.)
    """

    def __init__(self, *args, **kwargs):
        warnings.warn("NLLLoss2d has been deprecated. Please use NLLLoss instead as a drop-in replacement and see "
                      "https://pytorch.org/docs/main/nn.html#torch.nn.NLLLoss for more details.", FutureWarning, stacklevel=2)
        super().__init__(*args, **kwargs)


class KLDivLoss(_Loss):
    """y = t (log t - x), for log-probabilities x, or exp(t) (t - x) with `log_target`; reduction "batchmean" sums and divides by N.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html

    >>> nn.KLDivLoss(reduction="batchmean")(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]))
    tensor(0.1308)
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", log_target=False):
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input, target):
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class BCELoss(_WeightedLoss):
    """y = -weight (t log x + (1 - t) log(1 - x)), for probabilities x, averaged, or summed; logarithms are at least -100.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html

    >>> nn.BCELoss()(torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]))
    tensor(0.6931)
    """

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """y = -weight (pos_weight t log s + (1 - t) log(1 - s)), with s = sigmoid(x), without overflow; averaged, or summed.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html

    >>> nn.BCEWithLogitsLoss()(torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0]))
    tensor(0.6931)
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """y = exp(x) - t x, or x - t log(x + eps) without `log_input`; with `full`, also Stirling's t log t - t + log(2 pi t) / 2 where t > 1;
    averaged, or summed.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html

    >>> nn.PoissonNLLLoss()(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    tensor(0.8591)
    """

    def __init__(self, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input, target):
        return F.poisson_nll_loss(log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """y = (log v + (x - t)^2 / v) / 2 for a variance v of at least `eps`; with `full`, also log(2 pi) / 2; averaged, or summed.

    Shapes: x, t (N, *) or (*), v the same or with last extent 1, y a scalar; (N, *) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html, https://doi.org/10.1109/ICNN.1994.374138

    >>> nn.GaussianNLLLoss()(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0, 2.0]]))
    tensor(0.4716)
    """

    def __init__(self, *, full=False, eps=1e-6, reduction="mean"):
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input, target, var):
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """y = x where t = 1, max(0, margin - x) where t = -1; averaged, or summed.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html

    >>> nn.HingeEmbeddingLoss()(torch.tensor([0.5, 0.25]), torch.tensor([1.0, -1.0]))
    tensor(0.6250)
    """

    def __init__(self, margin=1.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input, target):
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """y = log(1 + exp(-t x)), t 1 or -1; averaged, or summed.

    Shapes: x, t (*), y a scalar; (*) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html

    >>> nn.SoftMarginLoss()(torch.tensor([0.0, 0.0]), torch.tensor([1.0, -1.0]))
    tensor(0.6931)
    """

    def forward(self, input, target):
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """y = max(0, -t (x1 - x2) + margin): where t is 1, x1 should rank above x2, where -1, below; averaged, or summed.

    Shapes: x1, x2, t (N,), y a scalar; (N,) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html

    >>> nn.MarginRankingLoss()(torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(2.)
    """

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(MarginRankingLoss):
    """y = 1 - cos(x1, x2) where t = 1, max(0, cos(x1, x2) - margin) where t = -1; averaged, or summed.

    Shapes: x1, x2 (N, D) or (D,), t (N,) or (), y a scalar; (N,) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html

    >>> nn.CosineEmbeddingLoss()(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([1.0]))
    tensor(1.)
    """

    def forward(self, input1, input2, target):
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """y = max(0, |a - p| - |a - n| + margin), with the `p`-norm of differences, eps added; averaged, or summed.

    With `swap`, |p - n| counts in place of |a - n| where it is less.

    Shapes: a, p, n (N, D) or (D,), y a scalar; (N,) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html,
        https://bmva-archive.org.uk/bmvc/2016/papers/paper119/index.html

    >>> nn.TripletMarginLoss()(torch.tensor([[0.0]]), torch.tensor([[3.0]]), torch.tensor([[1.0]]))
    tensor(3.)
    """

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"):
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_loss(anchor, positive, negative, margin=self.margin, p=self.p, eps=self.eps, swap=self.swap,
                                     reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """y = -mean over classes of weight (t log s + (1 - t) log(1 - s)), with s = sigmoid(x); averaged, or summed.

    Shapes: x, t (N, C), y a scalar; (N,) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html

    >>> nn.MultiLabelSoftMarginLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    tensor(0.6931)
    """

    def forward(self, input, target):
        return F.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """y = sum of max(0, 1 - (x[j] - x[i])) / C over the labels j of a sample and all i that are none; averaged, or summed.

    t holds the labels of a sample; what stands behind the first -1 does not count.

    Shapes: x (N, C) or (C,), t the same, y a scalar; (N,) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html

    >>> nn.MultiLabelMarginLoss()(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)
    """

    def forward(self, input, target):
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """y = sum of weight[t] max(0, margin - x[t] + x[i])^p / C over all classes i but t; averaged, or summed.

    Shapes: x (N, C) or (C,), t (N,) or (), y a scalar; (N,) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html

    >>> nn.MultiMarginLoss()(torch.tensor([[0.1, 0.2, 0.4, 0.8]]), torch.tensor([3]))
    tensor(0.3250)
    """

    def __init__(self, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.dim() != 1:
            raise ValueError(f"MultiMarginLoss: expected weight to be None or 1D tensor, got {weight.dim()}D instead")
        self.p, self.margin = p, margin

    def forward(self, input, target):
        return F.multi_margin_loss(input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """y = max(0, d(a, p) - d(a, n) + margin), for a `distance_function` d, by default PairwiseDistance; averaged, or summed.

    With `swap`, d(p, n) counts in place of d(a, n) where it is less.

    Shapes: a, p, n (N, *), y a scalar; (N,) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginWithDistanceLoss.html,
        https://bmva-archive.org.uk/bmvc/2016/papers/paper119/index.html

    >>> nn.TripletMarginWithDistanceLoss()(torch.tensor([[0.0]]), torch.tensor([[3.0]]), torch.tensor([[1.0]]))
    tensor(3.)
    """

    def __init__(self, *, distance_function=None, margin=1.0, swap=False, reduction="mean"):
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: expected margin to be greater than 0, got {margin} instead")
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_with_distance_loss(anchor, positive, negative, distance_function=self.distance_function, margin=self.margin,
                                                   swap=self.swap, reduction=self.reduction)


class CTCLoss(_Loss):
    """y = -log(sum of the likelihoods of all alignments of the target t with the frames of x).

    An alignment gives each frame a letter of t, repeated or not, or the `blank` (class 0).  "mean" divides each loss by the length of its
    target first; with `zero_infinity`, targets too long for their frames cost nothing.

    Shapes: x (T, N, C) or (T, C) of log-probabilities, t (N, S) or (all targets in a row,), lengths of frames and targets (N,), y a
        scalar; (N,) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html, https://www.cs.toronto.edu/~graves/icml_2006.pdf

    >>> nn.CTCLoss()(torch.zeros(3, 1, 2).log_softmax(2), torch.tensor([[1]]), torch.tensor([3]), torch.tensor([1]))
    tensor(0.2877)
    """

    def __init__(self, blank=0, reduction="mean", zero_infinity=False):
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs, targets, input_lengths, target_lengths):
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)


@dataclasses.dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch would cut the batch so that not all logits are in memory at once.  Checked and accepted; the loss is the same without.

    Shapes: none: settings.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LinearCrossEntropyOptions.html

    >>> nn.LinearCrossEntropyOptions(batch_chunk_size=4).batch_chunk_size
    4
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: DType | None = None

    def __post_init__(self):
        if self.acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if not re.fullmatch(r"auto|aspect_ratio(:0*[1-9]\d*)?", self.chunking_method or "auto"):
            raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        if not (self.batch_chunk_size is None or isinstance(self.batch_chunk_size, int) and self.batch_chunk_size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {self.batch_chunk_size!r}")
        if self.acc_dtype not in (None, torch.float16, torch.bfloat16, torch.float32, torch.float64):
            raise ValueError(f"acc_dtype must be a floating-point dtype or None, got {self.acc_dtype!r}")


class LinearCrossEntropyLoss(_WeightedLoss):
    """y = CrossEntropyLoss of x W^T + b, with W and b of a Linear of its own (`linear`); `options` (LinearCrossEntropyOptions) change
    nothing in the result.

    Shapes: x (N, in_features) or (in_features,), t (N, *out_features) of class numbers, or (N, num_classes, *out_features) of
        probabilities, y a scalar; (N, *out_features) with reduction "none".
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LinearCrossEntropyLoss.html

    >>> nn.LinearCrossEntropyLoss(4, 3)(torch.randn(2, 4), torch.tensor([0, 2])).shape
    torch.Size([])
    """

    def __init__(self, in_features, num_classes, *, out_features=(), bias=False, device=None, dtype=None, reduction="mean", weight=None,
                 ignore_index=None, label_smoothing=0.0, options=None):
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        super().__init__(weight, reduction=reduction)
        self.num_classes, self.out_features = num_classes, out_features
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.linear = Linear(in_features, math.prod(out_features, start=num_classes), bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input, target):
        shape = (self.num_classes, *self.out_features)
        bias = None if self.linear.bias is None else self.linear.bias.reshape(shape)
        return F.linear_cross_entropy(input, self.linear.weight.reshape((*shape, self.linear.in_features)), target, linear_bias=bias,
                                      weight=self.weight, reduction=self.reduction, ignore_index=self.ignore_index,
                                      label_smoothing=self.label_smoothing, options=self.options)

    def extra_repr(self):
        return (f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
                f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
                f"label_smoothing={self.label_smoothing}, options={self.options}")
