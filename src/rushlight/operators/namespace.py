"""What the namespace holds beside operators' own names: in-place functions, and the forms that torch.nn.functional's functions call.

    torch.clamp_(x, 0)               the Tensor method, as a function
    torch.kl_div(x, y, 2)            F.kl_div(x, y, reduction="sum"): 0, 1 and 2 are "none", "mean" and "sum"
    torch.dropout(x, 0.5, True)      F.dropout, all arguments given

Older programs, and PyTorch's own Python code, call these.  Start with the table of losses.
"""
from ..tensors.tensor import Tensor
from .definition import EXPORTED, attach, exported
from .functional import NAMESPACE as F
from .matrices import NAMESPACE as linalg

IN_PLACE = "addmv_ clamp_ clamp_max_ clamp_min_ clip_ gcd_ index_put_ lcm_ ldexp_ logit_ nan_to_num_ round_ xlogy_"
EXPORTED.update((name, getattr(Tensor, name)) for name in IN_PLACE.split())
EXPORTED.update((name, F[name]) for name in "bilinear celu_ rrelu_ selu_ threshold_".split())

# Losses --------------------------------------------------------------------------------------------------------------

REDUCTIONS = ("none", "mean", "sum")


def _loss(name, positions, keywords=()):
    """A loss of torch.nn.functional whose arguments come in the order of `positions`, its reduction as a number."""
    def function(*args, **named):
        if len(args) > len(positions):
            raise TypeError(f"{name}() takes {len(positions)} positional arguments but {len(args)} were given")
        given = dict(zip(positions, args))
        for word, value in named.items():
            if word in given or word not in positions and word not in keywords:
                raise TypeError(f"{name}() got an unexpected keyword argument '{word}'")
            given[word] = value
        given["reduction"] = REDUCTIONS[given.get("reduction", 0)]  # PyTorch's default here: each element's loss
        tensors = [given.pop(p) for p in positions if p in given and p in ORDERED]
        return F[name](*tensors, **given)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"torch.nn.functional.{name}, whose reduction is a number here: 0 none, 1 mean, 2 sum."
    return exported(function)


ORDERED = "input target input1 input2 anchor positive negative".split()  # that come without their names, whatever they are called

for _name, _positions, _keywords in (
        ("binary_cross_entropy_with_logits", "input target weight pos_weight reduction", ""),
        ("cosine_embedding_loss", "input1 input2 target margin reduction", ""),
        ("hinge_embedding_loss", "input target margin reduction", ""),
        ("kl_div", "input target reduction", "log_target"),
        ("margin_ranking_loss", "input1 input2 target margin reduction", ""),
        ("poisson_nll_loss", "input target log_input full eps reduction", ""),
        ("triplet_margin_loss", "anchor positive negative margin p eps swap reduction", "")):
    _loss(_name, _positions.split(), _keywords.split())


# Normalization, dropout, embedding, norms ----------------------------------------------------------------------------

@exported
def batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled):
    """torch.nn.functional.batch_norm, its arguments in another order."""
    return F["batch_norm"](input, running_mean, running_var, weight, bias, training, momentum, eps)


@exported
def instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled):
    """torch.nn.functional.instance_norm, its arguments in another order."""
    return F["instance_norm"](input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def _two_forms(name, functional):
    """torch.dropout(input, p, train) and torch.dropout_."""
    def fresh(input, p, train):
        return F[functional](input, p, train)

    def in_place(input, p, train):
        return F[functional](input, p, train, inplace=True)

    for function, ending in ((fresh, ""), (in_place, "_")):
        function.__name__ = function.__qualname__ = name + ending
        function.__doc__ = f"torch.nn.functional.{functional}{', in place' if ending else ''}."
        exported(function)


for _name in ("dropout", "alpha_dropout", "feature_alpha_dropout"):
    _two_forms(_name, _name)
_two_forms("feature_dropout", "dropout2d")


@exported
def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """The rows of `weight` at the indices; -1 stands for no padding."""
    return F["embedding"](indices, weight, None if padding_idx == -1 else padding_idx, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)


@exported
def frobenius_norm(input, dim=(), keepdim=False, *, out=None):
    """The root of the sum of squares along `dim`."""
    return linalg["vector_norm"](input, 2, (dim,) if isinstance(dim, int) else tuple(dim) or None, keepdim, out=out)


@exported
def nuclear_norm(input, dim=(-2, -1), keepdim=False, *, out=None):
    """The sum of the singular values of the matrices in two dimensions."""
    return linalg["matrix_norm"](input, "nuc", tuple(dim), keepdim, out=out)


@exported
def norm_except_dim(v, pow=2, dim=0):
    """The norm over all dimensions but one, which keep their places."""
    others = tuple(d for d in range(v.ndim) if dim == -1 or d != dim % v.ndim)
    return linalg["vector_norm"](v, pow, others, dim != -1) if others else v.abs()


# Layouts and exchange ------------------------------------------------------------------------------------------------

def to_dense(self, dtype=None, *, masked_grad=True):
    """The tensor itself (in another dtype): every tensor is dense here."""
    return self if dtype is None else self.to(dtype)


attach("to_dense", to_dense)


@exported
def to_dlpack(ext_tensor):
    """A DLPack capsule over the tensor's memory."""
    return ext_tensor.__dlpack__()
