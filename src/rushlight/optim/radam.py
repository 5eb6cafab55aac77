"""Adam that waits with its own step sizes until the mean square can be relied on."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, counted, decay_of, number, number_tensor


class RAdam(UpdateRule):
    """Liu et al., On the Variance of the Adaptive Learning Rate and Beyond (2019), https://arxiv.org/abs/1908.03265.

        average and square as Adam's          rho_t = rho - 2 t beta2^t / (1 - beta2^t),  rho = 2 / (1 - beta2) - 1
        parameter -= lr / (1 - beta1^t) average r_t sqrt(1 - beta2^t) / (sqrt(square) + eps)        where rho_t > 5
        parameter -= lr / (1 - beta1^t) average                                                     before
        r_t^2 = (rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t)                           step t
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False, *, foreach=None,
                 maximize=False, capturable=False, differentiable=False):
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay, "differentiable": differentiable,
        })

    def initial_state(self, group, parameter):
        return {"step": number_tensor(0), "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}

    def update_of(self, group):
        lr, (beta1, beta2), eps, decay = number(group["lr"]), group["betas"], group["eps"], decay_of(group)
        rho = 2 / (1 - beta2) - 1

        def update(parameter, gradient, state):
            average, square = state["exp_avg"], state["exp_avg_sq"]
            t = counted(state)
            gradient = decay(parameter, gradient) if decay else gradient
            average.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            correction = 1 - beta2**t
            rho_t = rho - 2 * t * beta2**t / correction
            step = average / (1 - beta1**t) * lr
            if rho_t > 5.0:
                rectification = ((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t)) ** 0.5
                step = step * (correction**0.5 / (square.sqrt() + eps)) * rectification
            parameter.sub_(step)
        return update


radam = functional_form(RAdam, "radam", "grads exp_avgs=exp_avg exp_avg_sqs=exp_avg_sq state_steps=step",
                        "beta1 beta2 lr weight_decay eps", optional=("decoupled_weight_decay", "maximize"))
