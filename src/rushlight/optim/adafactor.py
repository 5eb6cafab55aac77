"""Adafactor: instead of a mean square for each element, one for each row and one for each column."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, counted, number, number_tensor, rate_of


class Adafactor(UpdateRule):
    """Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost (2018), https://arxiv.org/abs/1804.04235.

        rows, columns += t^beta2_decay (mean gradient^2 along them - rows, columns)
        square = rows columns / max(mean rows, eps1)                    of tensors with fewer than two dimensions: as Adam's
        update = gradient / sqrt(max(square, eps1^2))
        parameter -= max(eps2, rms(parameter)) min(lr, 1 / sqrt(t)) update / max(1, rms(update) / d)              step t

    As in PyTorch, lr bounds the relative step and scales the (decoupled) weight decay, and eps1, by default the dtype's epsilon,
    is applied to the estimate: https://docs.pytorch.org/docs/stable/generated/torch.optim.Adafactor.html.
    """

    nonnegative = ()
    complex_as_real = False

    def __init__(self, params, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0, *, foreach=None, maximize=False):
        if not 0.0 <= rate_of(lr):
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(params, {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        })

    def initial_state(self, group, parameter):
        if parameter.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        step, gradient = number_tensor(0), parameter.grad
        if gradient.dim() < 2:
            return {"step": step, "variance": torch.zeros_like(gradient)}
        *outer, rows, columns = gradient.shape
        return {"step": step, "row_var": gradient.new_zeros((*outer, rows, 1)), "col_var": gradient.new_zeros((*outer, 1, columns))}

    def update_of(self, group):
        lr, beta2_decay, (eps1, eps2), d = number(group["lr"]), group["beta2_decay"], group["eps"], group["d"]
        remainder = 1 - lr * group["weight_decay"]

        def update(parameter, gradient, state):
            smallest = torch.finfo(parameter.dtype).eps if eps1 is None else eps1
            t = counted(state)
            share = t**beta2_decay
            step_size = root_mean_square(parameter).clamp(min=eps2) * min(lr, 1 / t**0.5)
            if group["weight_decay"] != 0:
                parameter.mul_(remainder)
            if gradient.dim() < 2:
                square = state["variance"].lerp_(gradient * gradient, share)
            else:
                rows, columns = state["row_var"], state["col_var"]
                rows.lerp_(torch.norm(gradient, dim=-1, keepdim=True).square_().div_(gradient.size(-1)), share)
                columns.lerp_(torch.norm(gradient, dim=-2, keepdim=True).square_().div_(gradient.size(-2)), share)
                square = (rows * columns).div_(rows.mean(dim=-2, keepdim=True).clamp_(min=smallest))
            step = square.clamp(min=smallest * smallest).rsqrt_().mul_(gradient)
            parameter.sub_(step * (step_size / (root_mean_square(step) / d).clamp(min=1.0)))
        return update


def root_mean_square(tensor):
    """Of all elements, as one float64 number that is not looked at."""
    return tensor.norm(2).to(torch.float64) / tensor.numel() ** 0.5


adafactor = functional_form(Adafactor, "adafactor", "grads row_vars=row_var col_vars=col_var variances=variance state_steps=step",
                            "d lr beta2_decay weight_decay eps1 eps2 maximize")
