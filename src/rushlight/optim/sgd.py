"""Stochastic gradient descent, with momentum."""
from .functional import functional_form
from .optimizer import UpdateRule, add_scaled, decay_of, number


class SGD(UpdateRule):
    """Along the gradient downwards, or along a running sum of gradients.

        buffer = momentum buffer + (1 - dampening) gradient        the first time: gradient
        parameter -= lr buffer                                     nesterov: lr (gradient + momentum buffer)

    `weight_decay` adds that much of the parameter to the gradient; `maximize` goes up.  `foreach` and `fused` are PyTorch's ways
    to run the same update and change nothing here.  Nesterov's form: Sutskever et al., On the importance of initialization and
    momentum in deep learning (2013); https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html.
    """

    nonnegative = ("lr", "momentum", "weight_decay")
    saved_numbers = ()
    keeps_state = False  # only with momentum, and then from the first gradient on
    complex_as_real = False  # it only adds and scales, which is the same for complex numbers

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, foreach=None,
                 differentiable=False, fused=None):
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused,
        })

    def update_of(self, group):
        lr, momentum, nesterov, decay = number(group["lr"]), group["momentum"], group["nesterov"], decay_of(group)
        fresh = 1 - group["dampening"]

        def update(parameter, gradient, state):
            gradient = decay(parameter, gradient) if decay else gradient
            if momentum != 0:
                state = self.state[parameter]
                buffer = state.get("momentum_buffer")
                if buffer is None:
                    buffer = state["momentum_buffer"] = gradient.detach().clone()
                else:
                    buffer.mul_(momentum).add_(gradient, alpha=fresh)
                gradient = gradient.add(buffer, alpha=momentum) if nesterov else buffer
            add_scaled(parameter, gradient, -lr)
        return update


sgd = functional_form(SGD, "sgd", "d_p_list momentum_buffer_list=momentum_buffer", "weight_decay momentum lr dampening nesterov maximize")
