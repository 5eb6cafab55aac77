"""Adam for tables of which each step touches a few rows."""
import rushlight as torch

from .optimizer import UpdateRule, number, rate_of


class SparseAdam(UpdateRule):
    """Adam in which a row (along the first dimension) whose gradient is zero throughout stays as it is, and its averages too.

        average += (1 - beta1) (gradient - average)          square += (1 - beta2) (gradient^2 - square)        of the other rows
        parameter -= lr sqrt(1 - beta2^t) / (1 - beta1^t) average / (sqrt(square) + eps)                        step t

    It makes the steps that PyTorch's makes for nn.Embedding(sparse=True).  Gradients are dense here, so it takes those, which
    PyTorch's refuses: https://docs.pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html.
    """

    nonnegative = ()
    saved_numbers = ()  # the step is a Python int

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
        if not 0.0 < rate_of(lr):
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        complex_parameters = [[i, j] for i, group in enumerate(self.param_groups) for j, parameter in enumerate(group["params"])
                              if parameter.is_complex()]
        if complex_parameters:
            raise ValueError(f"Complex params at indices {complex_parameters}: SparseAdam does not support complex parameters")

    def initial_state(self, group, parameter):
        return {"step": 0, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}

    def update_of(self, group):
        lr, (beta1, beta2), eps = number(group["lr"]), group["betas"], group["eps"]

        def update(parameter, gradient, state):
            average, square = state["exp_avg"], state["exp_avg_sq"]
            state["step"] = t = state["step"] + 1
            touched = gradient != 0
            for dim in range(1, gradient.dim()):
                touched = touched.any(dim, keepdim=True)
            average.add_(torch.where(touched, (gradient - average) * (1 - beta1), 0.0))
            square.add_(torch.where(touched, (gradient * gradient - square) * (1 - beta2), 0.0))
            step_size = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
            parameter.sub_(torch.where(touched, step_size * (average / (square.sqrt() + eps)), 0.0))
        return update
