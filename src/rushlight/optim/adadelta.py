"""Adadelta: steps in the units of the parameter, from the mean squares of gradients and of the steps so far."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, add_scaled, counted, decay_of, number, number_tensor


class Adadelta(UpdateRule):
    """Zeiler, ADADELTA: An Adaptive Learning Rate Method (2012), https://arxiv.org/abs/1212.5701.

        square = rho square + (1 - rho) gradient^2          delta = sqrt(steps + eps) / sqrt(square + eps) gradient
        steps = rho steps + (1 - rho) delta^2               parameter -= lr delta
    """

    nonnegative = ("lr", "rho", "eps", "weight_decay")

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, foreach=None, *, capturable=False, maximize=False,
                 differentiable=False):
        if rho > 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        super().__init__(params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "capturable": capturable,
            "foreach": foreach, "differentiable": differentiable,
        })

    def initial_state(self, group, parameter):
        return {"step": number_tensor(0), "square_avg": torch.zeros_like(parameter), "acc_delta": torch.zeros_like(parameter)}

    def update_of(self, group):
        lr, rho, eps, decay = number(group["lr"]), group["rho"], group["eps"], decay_of(group)

        def update(parameter, gradient, state):
            square, steps = state["square_avg"], state["acc_delta"]
            counted(state)
            gradient = decay(parameter, gradient) if decay else gradient
            square.mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
            delta = (steps + eps).sqrt() / (square + eps).sqrt() * gradient
            steps.mul_(rho).addcmul_(delta, delta, value=1 - rho)
            add_scaled(parameter, delta, -lr)
        return update


adadelta = functional_form(Adadelta, "adadelta", "grads square_avgs=square_avg acc_deltas=acc_delta state_steps=step",
                           "lr rho eps weight_decay maximize")
