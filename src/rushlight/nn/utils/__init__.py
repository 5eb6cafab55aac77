"""What training loops do to all parameters at once.

    clip_grad_norm_(model.parameters(), 1.0)      between loss.backward() and optimizer.step()
    vector = parameters_to_vector(model.parameters())

Sequences of different lengths are in rnn.py.
"""
import rushlight as torch

from . import rnn


def _gradients(parameters):
    parameters = [parameters] if isinstance(parameters, torch.Tensor) else parameters
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all the tensors' elements together."""
    tensors = [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)
    if not tensors:
        return torch.tensor(0.0)
    norms = [torch.linalg.vector_norm(tensor, float(norm_type)) for tensor in tensors]
    total = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]), float(norm_type))
    if error_if_nonfinite and not total.isfinite():
        raise RuntimeError(f"The total norm of order {float(norm_type)} for gradients from `parameters` is non-finite, so it cannot be "
                           "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
                           "`error_if_nonfinite=False`")
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scale the gradients by max_norm / total_norm where that makes them smaller."""
    share = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)  # no look at the number: nothing has to be computed yet
    with torch.no_grad():
        for gradient in _gradients(parameters):
            gradient.mul_(share.to(gradient.device))


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale all gradients by one factor, so that their norm together is at most `max_norm`; returns the norm they had."""
    parameters = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
    with torch.no_grad():
        total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(parameters, clip_value, foreach=None):
    """Bring every element of the gradients between -clip_value and clip_value."""
    with torch.no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(min=-float(clip_value), max=float(clip_value))


def parameters_to_vector(parameters):
    """All parameters in one vector, one behind the other."""
    return torch.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec, parameters):
    """The opposite of `parameters_to_vector`: each parameter becomes a view of its part of `vec`."""
    if not isinstance(vec, torch.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec)}")
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = vec[start:end].view_as(parameter).data
        start = end
