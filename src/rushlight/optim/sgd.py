"""Stochastic gradient descent, with momentum.

    buffer = momentum buffer + (1 - dampening) grad          parameter -= lr buffer
"""
from .optimizer import UpdateRule, number


class SGD(UpdateRule):
    """parameter -= lr * gradient, or a running sum of gradients with `momentum`.

    `weight_decay` adds that much of the parameter to the gradient; `nesterov` looks one step ahead along the sum; `maximize`
    goes up instead of down.  `foreach` and `fused` are PyTorch's ways to run the same update and change nothing here.
    """

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, foreach=None,
                 differentiable=False, fused=None):
        if number(lr) < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        if fused and differentiable:
            raise RuntimeError("`fused` does not support `differentiable`")
        if fused and foreach:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, "foreach": foreach, "differentiable": differentiable, "fused": fused,
        })

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:  # what older saved states lack
            for name, default in (("nesterov", False), ("maximize", False), ("foreach", None), ("differentiable", False), ("fused", None)):
                group.setdefault(name, default)

    def update(self, group, parameters):
        momentum, dampening, weight_decay, nesterov = group["momentum"], group["dampening"], group["weight_decay"], group["nesterov"]
        step_size = -number(group["lr"])
        for parameter in parameters:
            gradient = -parameter.grad if group["maximize"] else parameter.grad
            if weight_decay != 0:
                gradient = gradient.add(parameter, alpha=weight_decay)
            if momentum != 0:
                state = self.state[parameter]
                buffer = state.get("momentum_buffer")
                if buffer is None:
                    buffer = state["momentum_buffer"] = gradient.detach().clone()
                else:
                    buffer.mul_(momentum).add_(gradient, alpha=1 - dampening)
                gradient = gradient.add(buffer, alpha=momentum) if nesterov else buffer
            parameter.add_(gradient, alpha=step_size)
