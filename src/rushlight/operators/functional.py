"""torch.nn.functional: the operators that users find there, by name.  rushlight/nn/functional.py hands them on."""
from . import activation as _activation
from .activation import (  # noqa: F401
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    rrelu,
    selu,
    silu,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from .attention import scaled_dot_product_attention  # noqa: F401
from .dropout import alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout  # noqa: F401
from .elementwise import sigmoid, tanh  # noqa: F401
from .embedding import embedding  # noqa: F401
from .losses import (  # noqa: F401
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from .margin_losses import (  # noqa: F401
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    normalize,
    pairwise_distance,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm  # noqa: F401
from .padding import pad  # noqa: F401
from .products import bilinear, linear  # noqa: F401
from .sorting import one_hot  # noqa: F401

for _name in "relu relu6 hardtanh hardsigmoid hardswish threshold leaky_relu elu selu celu silu mish".split():
    globals()[_name] = _activation.with_inplace(globals()[_name])
