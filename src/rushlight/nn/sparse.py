"""Embedding: a table whose rows are looked up by number.

    Embedding(50257, 768):  (N, T) integers -> (N, T, 768)
"""
import rushlight as torch

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Embedding(Module):
    """y = weight[x]: row i of the table for every i in x.

    The rows start standard normal, the one at `padding_idx` zero, and that one gets no gradient.  With `max_norm`, rows that are longer
    are made that long when they are looked up; with `scale_grad_by_freq`, gradients are divided by how often a row was.

    Shapes: x (*) of integers, weight (num_embeddings, embedding_dim), y (*, embedding_dim).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html

    >>> embedding = nn.Embedding(10, 3, padding_idx=0)
    >>> embedding(torch.tensor([[0, 2, 4]])).shape, embedding.weight[0].tolist()
    (torch.Size([1, 3, 3]), [0.0, 0.0, 0.0])
    """

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False,
                 sparse=False, _weight=None, _freeze=False, device=None, dtype=None):
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError("Padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        self.padding_idx, self.max_norm, self.norm_type = padding_idx, max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = Parameter(torch.empty((num_embeddings, embedding_dim), device=device, dtype=dtype), not _freeze)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise AssertionError("Shape of weight does not match num_embeddings and embedding_dim")
            self.weight = Parameter(_weight, not _freeze)

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, **settings):
        """An Embedding over a given table, which is not learned any further unless `freeze` is False."""
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        return cls(*embeddings.shape, _weight=embeddings, _freeze=freeze, **settings)

    def reset_parameters(self):
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with torch.no_grad():
                self.weight[self.padding_idx].fill_(0)

    def forward(self, input):
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)

    def extra_repr(self):
        settings = [f"{self.num_embeddings}, {self.embedding_dim}"]
        settings += [f"padding_idx={self.padding_idx}"] if self.padding_idx is not None else []
        settings += [f"max_norm={self.max_norm}"] if self.max_norm is not None else []
        settings += [f"norm_type={self.norm_type}"] if self.norm_type != 2 else []
        settings += [f"scale_grad_by_freq={self.scale_grad_by_freq}"] if self.scale_grad_by_freq else []
        settings += ["sparse=True"] if self.sparse else []
        return ", ".join(settings)


class EmbeddingBag(Module):
    """y = the sum, mean or maximum (`mode`) of the rows weight[i] of each bag of numbers i, without the one at `padding_idx`; with mode
    "sum", each row can have a weight in `per_sample_weights`.

    Shapes: x (bags, L), or (L,) with `offsets` (bags,) at which the bags begin; y (bags, embedding_dim).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html

    >>> nn.EmbeddingBag(10, 3, mode="sum")(torch.tensor([1, 2, 4, 5, 4]), torch.tensor([0, 3])).shape
    torch.Size([2, 3])
    """

    def __init__(self, num_embeddings, embedding_dim, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, mode="mean", sparse=False,
                 _weight=None, include_last_offset=False, padding_idx=None, device=None, dtype=None):
        super().__init__()
        self.num_embeddings, self.embedding_dim, self.max_norm, self.norm_type = num_embeddings, embedding_dim, max_norm, norm_type
        self.scale_grad_by_freq, self.mode, self.sparse, self.include_last_offset = scale_grad_by_freq, mode, sparse, include_last_offset
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError("padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        if _weight is not None and tuple(_weight.shape) != (num_embeddings, embedding_dim):
            raise AssertionError("Shape of weight does not match num_embeddings and embedding_dim")
        self.weight = Parameter(torch.empty((num_embeddings, embedding_dim), device=device, dtype=dtype) if _weight is None else _weight)
        if _weight is None:
            self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, **settings):
        """An EmbeddingBag over a given table, which is not learned any further unless `freeze` is False."""
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        bag = cls(*embeddings.shape, _weight=embeddings, **settings)
        bag.weight.requires_grad = not freeze
        return bag

    def reset_parameters(self):
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with torch.no_grad():
                self.weight[self.padding_idx].fill_(0)

    def forward(self, input, offsets=None, per_sample_weights=None):
        return F.embedding_bag(input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse,
                               per_sample_weights, self.include_last_offset, self.padding_idx)

    def extra_repr(self):
        settings = [f"{self.num_embeddings}, {self.embedding_dim}"]
        settings += [f"max_norm={self.max_norm}"] if self.max_norm is not None else []
        settings += [f"norm_type={self.norm_type}"] if self.norm_type != 2 else []
        settings += [f"scale_grad_by_freq={self.scale_grad_by_freq}"] if self.scale_grad_by_freq else []
        settings += [f"mode={self.mode!r}"]
        settings += [f"padding_idx={self.padding_idx}"] if self.padding_idx is not None else []
        return ", ".join(settings)
