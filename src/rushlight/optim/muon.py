"""Muon: momentum for matrices, with all singular values of a step made nearly one."""
import math

import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, number, rate_of


class Muon(UpdateRule):
    """Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024), https://kellerjordan.github.io/posts/muon/.

        buffer += (1 - momentum) (gradient - buffer)          update = orthogonal(buffer)     nesterov: of gradient and buffer mixed
        parameter -= lr weight_decay parameter + ratio lr update

    `orthogonal` is a few steps of Newton-Schulz in bfloat16.  For an m x n matrix the ratio is sqrt(max(1, m / n)), or with
    adjust_lr_fn="match_rms_adamw" 0.2 sqrt(max(m, n)): Liu et al., Muon is Scalable for LLM Training (2025), arxiv.org/abs/2502.16982.
    """

    nonnegative = ()
    saved_numbers = ()
    complex_as_real = False

    def __init__(self, params, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True, ns_coefficients=(3.4445, -4.7750, 2.0315), eps=1e-7,
                 ns_steps=5, adjust_lr_fn=None):
        if not 0.0 <= rate_of(lr):
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(params, {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "ns_coefficients": ns_coefficients,
            "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        })
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"Muon only supports 2D parameters whereas we found a parameter with size: {parameter.size()}")

    def initial_state(self, group, parameter):
        if parameter.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        return {"momentum_buffer": torch.zeros_like(parameter.grad)}

    def update_of(self, group):
        lr, momentum, nesterov = number(group["lr"]), group["momentum"], group["nesterov"]
        coefficients, steps, eps = group["ns_coefficients"], group["ns_steps"], group["eps"]

        def update(parameter, gradient, state):
            buffer = state["momentum_buffer"]
            buffer.lerp_(gradient, 1 - momentum)
            step = orthogonal(gradient.lerp(buffer, momentum) if nesterov else buffer, coefficients, steps, eps)
            rows, columns = parameter.shape
            if group["adjust_lr_fn"] == "match_rms_adamw":
                ratio = 0.2 * math.sqrt(max(rows, columns))
            else:
                ratio = math.sqrt(max(1, rows / columns))
            parameter.mul_(1 - lr * group["weight_decay"])
            parameter.add_(step, alpha=-lr * ratio)
        return update


def orthogonal(matrix, coefficients, steps, eps):
    """The matrix with its singular values brought near one, in bfloat16: x = a x + (b g + c g g) x with g = x x^T, several times."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    x = matrix.bfloat16()
    is_tall = matrix.size(0) > matrix.size(1)
    x = x.T if is_tall else x
    x = x / x.norm().clamp(min=eps)  # no singular value is above one
    for _ in range(steps):
        g = x @ x.T
        x = torch.addmm(x, torch.addmm(g, g, g, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x


muon = functional_form(Muon, "muon", "grads muon_momentum_bufs=momentum_buffer",
                       "lr weight_decay momentum nesterov ns_coefficients ns_steps eps adjust_lr_fn")
