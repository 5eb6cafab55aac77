"""What is done to modules and their parameters from outside.

    clip_grad.py            bounding gradients
    convert_parameters.py   all parameters as one vector
    parametrize.py          a parameter that is computed from others; parametrizations.py has the usual ones
    hooked_norms.py         weight_norm and spectral_norm in their older form
    prune.py                setting the least important entries to zero
    fusion.py               folding batch normalization into the layer before it
    stateless.py            a module as a function of its parameters
    rnn.py                  sequences of different lengths
    init.py, memory_format.py
"""
from . import parametrizations, parametrize, prune, rnn, stateless
from .clip_grad import clip_grad_norm, clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from .convert_parameters import parameters_to_vector, vector_to_parameters
from .fusion import fuse_conv_bn_eval, fuse_conv_bn_weights, fuse_linear_bn_eval, fuse_linear_bn_weights
from .hooked_norms import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from .init import skip_init
from .memory_format import convert_conv2d_weight_memory_format, convert_conv3d_weight_memory_format
