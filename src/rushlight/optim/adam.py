"""Adam: every parameter has a step size of its own, from running averages of its gradient and of its square."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, add_quotient, counted, decay_of, number, number_tensor


class Adam(UpdateRule):
    """Kingma and Ba, Adam: A Method for Stochastic Optimization (2014), https://arxiv.org/abs/1412.6980.

        average += (1 - beta1) (gradient - average)          square = beta2 square + (1 - beta2) gradient^2
        parameter -= lr / (1 - beta1^t) average / (sqrt(square) / sqrt(1 - beta2^t) + eps)             step t

    `amsgrad` divides by the largest square so far instead of the present one: Reddi et al., On the Convergence of Adam and Beyond
    (2018).  `weight_decay` adds that much of the parameter to the gradient, or with `decoupled_weight_decay` shrinks the parameter
    itself (AdamW).  `foreach` and `fused` are PyTorch's ways to run the same update and change nothing here.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *, foreach=None, maximize=False,
                 capturable=False, differentiable=False, fused=None, decoupled_weight_decay=False):
        for name, value in (("lr", lr), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
            if isinstance(value, torch.Tensor):
                if foreach and not capturable:
                    raise ValueError(f"{name} as a Tensor is not supported for capturable=False and foreach=True")
                if value.numel() != 1:
                    raise ValueError(f"Tensor {name} must be 1-element")
        if not (all(isinstance(beta, float) for beta in betas) or all(isinstance(beta, torch.Tensor) for beta in betas)):
            raise ValueError("betas must be either both floats or both Tensors")
        super().__init__(params, {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        })

    def initial_state(self, group, parameter):
        state = {"step": number_tensor(0), "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = torch.zeros_like(parameter)
        return state

    def update_of(self, group):
        lr, (beta1, beta2), eps = number(group["lr"]), map(number, group["betas"]), group["eps"]
        amsgrad, decay = group["amsgrad"], decay_of(group)

        def update(parameter, gradient, state):
            average, square = state["exp_avg"], state["exp_avg_sq"]
            t = counted(state)
            gradient = decay(parameter, gradient) if decay else gradient
            average.lerp_(gradient, 1 - beta1)
            if isinstance(beta2, torch.Tensor):
                square.lerp_(gradient * gradient, 1 - beta2)
            else:
                square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            if amsgrad:
                largest = state["max_exp_avg_sq"]
                square = largest.copy_(torch.maximum(largest.clone(), square))  # a clone: a differentiable step goes back through both
            denominator = square.sqrt() / (1 - beta2**t) ** 0.5 + eps
            add_quotient(parameter, average, denominator, -(lr / (1 - beta1**t)))
        return update


adam = functional_form(Adam, "adam", "grads exp_avgs=exp_avg exp_avg_sqs=exp_avg_sq max_exp_avg_sqs=max_exp_avg_sq state_steps=step",
                       "amsgrad beta1 beta2 lr weight_decay eps maximize", optional=("decoupled_weight_decay",))
