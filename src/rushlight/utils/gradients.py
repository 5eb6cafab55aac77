"""Forgetting gradients, which modules and optimizers both do."""


def forget_gradients(parameters, set_to_none=True):
    """Drop every parameter's gradient, or keep the tensor and fill it with zeros."""
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        if set_to_none:
            parameter.grad = None
            continue
        if gradient.grad_fn is not None:  # of a backward with create_graph
            gradient.detach_()
        else:
            gradient.requires_grad_(False)
        gradient.zero_()
