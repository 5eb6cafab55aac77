"""Averaged gradient descent: beside the parameters, their mean over the later steps."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, counted, decay_of, number, number_tensor, rewritten


class ASGD(UpdateRule):
    """Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (1992).

        parameter -= eta (gradient + lambd parameter)          ax += mu (parameter - ax)
        eta = lr / (1 + lambd lr t)^alpha                      mu = 1 / max(1, t - t0)          after step t

    The mean is in `state[parameter]["ax"]`; until step t0 it is the parameter itself.
    """

    nonnegative = ("lr", "weight_decay")
    saved_numbers = ("step", "eta", "mu")

    def __init__(self, params, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, foreach=None, maximize=False, differentiable=False,
                 capturable=False):
        super().__init__(params, {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        })

    def initial_state(self, group, parameter):
        return {"step": number_tensor(0), "eta": number_tensor(group["lr"]), "mu": number_tensor(1), "ax": torch.zeros_like(parameter)}

    def update_of(self, group):
        lr, lambd, alpha, t0, decay = number(group["lr"]), group["lambd"], group["alpha"], group["t0"], decay_of(group)

        def update(parameter, gradient, state):
            eta, mu, mean = state["eta"].item(), state["mu"].item(), state["ax"]
            t = counted(state)
            gradient = decay(parameter, gradient) if decay else gradient
            parameter.mul_(1 - lambd * eta).add_(gradient, alpha=-eta)
            if mu == 1:
                mean.copy_(parameter)
            else:
                mean.add_(parameter.sub(mean).mul_(mu))
            rewritten(state["eta"], lr / (1 + lambd * lr * t) ** alpha)
            rewritten(state["mu"], 1 / max(1, t - t0))
        return update


asgd = functional_form(ASGD, "asgd", "grads axs=ax mus=mu etas=eta state_steps=step",
                       "lambd lr t0 alpha weight_decay", optional=("maximize",))
