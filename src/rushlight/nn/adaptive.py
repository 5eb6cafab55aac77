"""A softmax over very many classes, most of them rare.

    head      the frequent classes, and one number for each cluster of rare ones
    tail[i]   the classes of cluster i, seen through fewer features the rarer they are

A class's log probability is that of its cluster plus its own within the cluster; clusters that no target is in are not computed.
"""
from collections import namedtuple

import rushlight as torch

from . import functional as F
from .containers import ModuleList, Sequential
from .linear import Linear
from .module import Module

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """A softmax over very many classes: log p(c) = log p(cluster of c) + log p(c in its cluster), the rarer the fewer features.

    The classes up to the first of `cutoffs` stand in the `head`, with one number for each cluster of rarer ones, which lie between the
    further cutoffs. Cluster i sees x through in_features / div_value^(i + 1) features.  A call gives the targets' log-probabilities and
    minus their mean, the loss.

    Shapes: x (N, in_features), t (N,), output (N,), loss ().
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveLogSoftmaxWithLoss.html, https://arxiv.org/abs/1609.04309

    >>> layer = nn.AdaptiveLogSoftmaxWithLoss(8, 10, cutoffs=[4, 7])
    >>> layer(torch.randn(3, 8), torch.tensor([0, 5, 9])).output.shape
    torch.Size([3])
    >>> layer.log_prob(torch.randn(3, 8)).shape
    torch.Size([3, 10])
    """

    def __init__(self, in_features, n_classes, cutoffs, div_value=4.0, head_bias=False, device=None, dtype=None):
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if cutoffs != sorted(set(cutoffs)) or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1 or any(int(c) != c for c in cutoffs):
            raise ValueError("cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is "
                             "between 1 and n_classes-1")
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*cutoffs, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = cutoffs[0], len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            width = int(in_features // div_value ** (i + 1))
            self.tail.append(Sequential(Linear(in_features, width, bias=False, device=device, dtype=dtype),
                                        Linear(width, high - low, bias=False, device=device, dtype=dtype)))

    def reset_parameters(self):
        for layer in (self.head, *(layer for cluster in self.tail for layer in cluster)):
            layer.reset_parameters()

    def forward(self, input, target):
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if input.dim() != target.dim() + 1 or target.dim() and input.shape[0] != target.shape[0]:
            raise RuntimeError(f"input {tuple(input.shape)} and target {tuple(target.shape)} should have the same batch dimension")
        x, wanted = (input, target) if target.dim() else (input.unsqueeze(0), target.unsqueeze(0))
        if len(wanted) and not (0 <= int(wanted.min()) and int(wanted.max()) < self.n_classes):
            raise RuntimeError(f"Target values should be in [0, {self.n_classes - 1}], but values in range [{int(wanted.min())}, "
                               f"{int(wanted.max())}] were found. ")
        place, inside = wanted.clone(), x.new_zeros(len(wanted))
        for i, (low, high) in enumerate(zip(self.cutoffs, self.cutoffs[1:])):
            rows = ((wanted >= low) & (wanted < high)).nonzero().squeeze(1)
            if len(rows):
                place[rows] = self.shortlist_size + i
                logs = F.log_softmax(self.tail[i](x.index_select(0, rows)), dim=1)
                inside = inside.index_add(0, rows, logs.gather(1, (wanted[rows] - low).unsqueeze(1)).squeeze(1))
        output = inside + F.log_softmax(self.head(x), dim=1).gather(1, place.unsqueeze(1)).squeeze(1)
        return _ASMoutput(output if target.dim() else output.squeeze(0), (-output).mean())

    def log_prob(self, input):
        """The log probabilities of all classes: (N, n_classes)."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, :self.shortlist_size]]
        parts += [F.log_softmax(cluster(input), dim=1) + head[:, self.shortlist_size + i].unsqueeze(1)
                  for i, cluster in enumerate(self.tail)]
        return torch.cat(parts, 1)

    def predict(self, input):
        """The most likely class of each row."""
        return self.log_prob(input).argmax(1)
