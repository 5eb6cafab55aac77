"""Adam by the largest gradient instead of the mean square."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, add_quotient, counted, decay_of, number, number_tensor


class Adamax(UpdateRule):
    """Kingma and Ba, Adam: A Method for Stochastic Optimization (2014), section 7.1, https://arxiv.org/abs/1412.6980.

        average += (1 - beta1) (gradient - average)          largest = max(beta2 largest, |gradient| + eps)
        parameter -= lr / (1 - beta1^t) average / largest                                              step t
    """

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, foreach=None, *, maximize=False,
                 differentiable=False, capturable=False):
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        })

    def initial_state(self, group, parameter):
        return {"step": number_tensor(0), "exp_avg": torch.zeros_like(parameter), "exp_inf": torch.zeros_like(parameter)}

    def update_of(self, group):
        lr, (beta1, beta2), eps, decay = number(group["lr"]), group["betas"], group["eps"], decay_of(group)

        def update(parameter, gradient, state):
            average, largest = state["exp_avg"], state["exp_inf"]
            t = counted(state)
            gradient = decay(parameter, gradient) if decay else gradient
            average.lerp_(gradient, 1 - beta1)
            largest.copy_(torch.maximum(largest * beta2, gradient.abs() + eps))
            add_quotient(parameter, average, largest, -(lr / (1 - beta1**t)))
        return update


adamax = functional_form(Adamax, "adamax", "grads exp_avgs=exp_avg exp_infs=exp_inf state_steps=step",
                         "eps beta1 beta2 lr weight_decay", optional=("maximize",))
