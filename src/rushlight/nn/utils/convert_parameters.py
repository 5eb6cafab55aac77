"""All parameters as one vector, and back: for optimizers and measures that see a model as a point.

    vector = parameters_to_vector(model.parameters())      vector_to_parameters(vector, model.parameters())
"""
import rushlight as torch


def parameters_to_vector(parameters):
    """All parameters in one vector, one behind the other.

    >>> nn.utils.parameters_to_vector([torch.ones(2), torch.zeros(1, 2)])
    tensor([1., 1., 0., 0.])
    """
    return torch.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec, parameters):
    """The opposite of `parameters_to_vector`: each parameter becomes a view of its part of `vec`."""
    if not isinstance(vec, torch.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {torch.typename(vec)}")
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = vec[start:end].view_as(parameter).data
        start = end
