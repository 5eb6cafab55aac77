"""Adam and AdamW: every parameter has a step size of its own, from running averages of its gradient and its square.

    average += (1 - beta1) (grad - average)          square = beta2 square + (1 - beta2) grad^2
    parameter -= lr / (1 - beta1^t) * average / (sqrt(square) / sqrt(1 - beta2^t) + eps)

The step count t is a Python number in `state`, so that the two corrections are numbers too; state_dict holds it as a tensor,
as PyTorch does, and either form is loaded.
"""
import rushlight as torch

from .optimizer import UpdateRule, number


class Adam(UpdateRule):
    """Kingma and Ba (2014).  `amsgrad` divides by the largest running square so far instead of the present one.

    `weight_decay` adds that much of the parameter to the gradient, or with `decoupled_weight_decay` shrinks the parameter
    itself (AdamW).  `foreach`, `fused` and `capturable` are PyTorch's ways to run the same update and change nothing here.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *, foreach=None, maximize=False,
                 capturable=False, differentiable=False, fused=None, decoupled_weight_decay=False):
        if isinstance(lr, torch.Tensor):
            if foreach and not capturable:
                raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
            if lr.numel() != 1:
                raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= number(lr):
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for i, beta in enumerate(betas):
            if not 0.0 <= number(beta) < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if fused and differentiable:
            raise RuntimeError("`fused` does not support `differentiable`")
        if fused and foreach:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        super().__init__(params, {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused, "decoupled_weight_decay": decoupled_weight_decay,
        })

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:  # what older saved states lack
            for name, default in (("amsgrad", False), ("maximize", False), ("foreach", None), ("capturable", False),
                                  ("differentiable", False), ("fused", None), ("decoupled_weight_decay", False)):
                group.setdefault(name, default)
        for parameter_state in self.state.values():
            if "step" in parameter_state:
                parameter_state["step"] = float(parameter_state["step"])

    def _saved(self, parameter_state):
        step = {"step": torch.tensor(parameter_state["step"], dtype=torch.float32)} if "step" in parameter_state else {}
        return {**parameter_state, **step}

    def update(self, group, parameters):
        lr, weight_decay, eps = number(group["lr"]), group["weight_decay"], group["eps"]
        beta1, beta2 = (number(beta) for beta in group["betas"])
        for parameter in parameters:
            gradient = -parameter.grad if group["maximize"] else parameter.grad
            state = self.state[parameter]
            if not state:
                state["step"] = 0.0
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
                if group["amsgrad"]:
                    state["max_exp_avg_sq"] = torch.zeros_like(parameter)
            state["step"] = step = state["step"] + 1.0
            average, square = state["exp_avg"], state["exp_avg_sq"]

            if weight_decay != 0:
                if group["decoupled_weight_decay"]:
                    parameter.mul_(1 - lr * weight_decay)
                else:
                    gradient = gradient.add(parameter, alpha=weight_decay)
            if parameter.is_complex():
                parameter, gradient, average, square = map(torch.view_as_real, (parameter, gradient, average, square))
            average.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            if group["amsgrad"]:
                largest = state["max_exp_avg_sq"]
                largest = torch.view_as_real(largest) if largest.is_complex() else largest
                square = largest.copy_(torch.maximum(largest, square))
            denominator = (square.sqrt() / (1 - beta2**step) ** 0.5).add_(eps)
            parameter.addcdiv_(average, denominator, value=-(lr / (1 - beta1**step)))


class AdamW(Adam):
    """Adam with decoupled weight decay, Loshchilov and Hutter (2017): parameters shrink by lr * weight_decay at each step."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False, foreach=None,
                 capturable=False, differentiable=False, fused=None):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
                         differentiable=differentiable, fused=fused, decoupled_weight_decay=True)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
