"""torch.nn.functional: the operators that users find there, by name.  rushlight/nn/functional.py hands them on."""
from ..tensors.dispatch import asks
from . import (
    activation,
    attention,
    contractions,
    convolution,
    ctc,
    dropout,
    elementwise,
    embedding,
    fractional_pooling,
    losses,
    margin_losses,
    normalization,
    padding,
    pooling,
    products,
    sorting,
    vision,
)

OFFERED = {
    activation: "celu elu gelu glu gumbel_softmax hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish prelu relu relu6 "
                "rrelu rrelu_ selu silu softmin softplus softshrink softsign tanhshrink threshold",
    attention: "multi_head_attention_forward scaled_dot_product_attention",
    contractions: "pdist",
    convolution: "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d",
    ctc: "ctc_loss",
    dropout: "alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout",
    elementwise: "sigmoid tanh",
    embedding: "embedding embedding_bag",
    fractional_pooling: "fractional_max_pool2d fractional_max_pool2d_with_indices fractional_max_pool3d fractional_max_pool3d_with_indices",
    losses: "binary_cross_entropy binary_cross_entropy_with_logits cross_entropy gaussian_nll_loss huber_loss kl_div l1_loss "
            "linear_cross_entropy mse_loss nll_loss poisson_nll_loss smooth_l1_loss",
    margin_losses: "cosine_embedding_loss cosine_similarity hinge_embedding_loss margin_ranking_loss multi_margin_loss multilabel_margin_loss "
                   "multilabel_soft_margin_loss normalize pairwise_distance soft_margin_loss triplet_margin_loss "
                   "triplet_margin_with_distance_loss",
    normalization: "batch_norm group_norm instance_norm layer_norm local_response_norm rms_norm",
    padding: "pad",
    pooling: "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool1d_with_indices "
             "adaptive_max_pool2d adaptive_max_pool2d_with_indices adaptive_max_pool3d adaptive_max_pool3d_with_indices avg_pool1d "
             "avg_pool2d avg_pool3d lp_pool1d lp_pool2d lp_pool3d max_pool1d max_pool1d_with_indices max_pool2d "
             "max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool1d max_unpool2d max_unpool3d",
    products: "bilinear linear",
    sorting: "one_hot",
    vision: "affine_grid channel_shuffle fold grid_sample interpolate pixel_shuffle pixel_unshuffle unfold upsample "
            "upsample_bilinear upsample_nearest",
}
WITH_INPLACE = "relu relu6 hardtanh hardsigmoid hardswish threshold leaky_relu elu selu celu silu mish"

NAMESPACE = {name: getattr(module, name) for module, names in OFFERED.items() for name in names.split()}
NAMESPACE.update((name, activation.with_inplace(NAMESPACE[name])) for name in WITH_INPLACE.split())
NAMESPACE.update(softmax=activation.functional_softmax, log_softmax=activation.functional_log_softmax)
NAMESPACE.update((name + "_", NAMESPACE[name].in_place) for name in "relu hardtanh threshold leaky_relu elu selu celu".split())

globals().update(NAMESPACE)
__all__ = list(NAMESPACE)
for _function in NAMESPACE.values():
    asks(_function)
