"""Adam with Nesterov's momentum: it looks one step ahead along the average."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, add_quotient, counted, decay_of, number, number_tensor, rewritten


class NAdam(UpdateRule):
    """Dozat, Incorporating Nesterov Momentum into Adam (2016), https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

        average and square as Adam's          mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)          product_t = mu_1 ... mu_t
        parameter -= lr ((1 - mu_t) / (1 - product_t) gradient + mu_t+1 / (1 - product_t+1) average)
                     / (sqrt(square / (1 - beta2^t)) + eps)                                                step t
    """

    nonnegative = ("lr", "eps", "weight_decay", "momentum_decay")
    saved_numbers = ("step", "mu_product")

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3, decoupled_weight_decay=False,
                 *, foreach=None, maximize=False, capturable=False, differentiable=False):
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable,
        })

    def initial_state(self, group, parameter):
        return {"step": number_tensor(0), "mu_product": number_tensor(1), "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter)}

    def update_of(self, group):
        lr, (beta1, beta2), eps, decay = number(group["lr"]), group["betas"], group["eps"], decay_of(group)

        def mu(t):
            return beta1 * (1.0 - 0.5 * 0.96 ** (t * group["momentum_decay"]))

        def update(parameter, gradient, state):
            average, square = state["exp_avg"], state["exp_avg_sq"]
            t = counted(state)
            product = rewritten(state["mu_product"], state["mu_product"].item() * mu(t))
            gradient = decay(parameter, gradient) if decay else gradient
            average.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            denominator = (square / (1 - beta2**t)).sqrt() + eps
            add_quotient(parameter, gradient, denominator, -lr * (1.0 - mu(t)) / (1.0 - product))
            add_quotient(parameter, average, denominator, -lr * mu(t + 1) / (1.0 - product * mu(t + 1)))
        return update


nadam = functional_form(NAdam, "nadam", "grads exp_avgs=exp_avg exp_avg_sqs=exp_avg_sq mu_products=mu_product state_steps=step",
                        "beta1 beta2 lr weight_decay momentum_decay eps", optional=("decoupled_weight_decay", "maximize"))
