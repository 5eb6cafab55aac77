"""Adagrad: steps become smaller where gradients have been large."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, add_quotient, counted, decay_of, number, number_tensor


class Adagrad(UpdateRule):
    """Duchi, Hazan and Singer, Adaptive Subgradient Methods (2011), https://jmlr.org/papers/v12/duchi11a.html.

        sum += gradient^2          parameter -= lr / (1 + (t - 1) lr_decay) gradient / (sqrt(sum) + eps)          step t

    The sum starts at `initial_accumulator_value`; every parameter has its state from the beginning.
    """

    nonnegative = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, foreach=None, *, maximize=False,
                 differentiable=False, fused=None):
        super().__init__(params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "fused": fused,
        })
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter].update(self.initial_state(group, parameter))

    def initial_state(self, group, parameter):
        start = self.defaults["initial_accumulator_value"]
        return {"step": number_tensor(0), "sum": torch.full_like(parameter, complex(start, start) if parameter.is_complex() else start)}

    def update_of(self, group):
        lr, lr_decay, eps, decay = number(group["lr"]), group["lr_decay"], group["eps"], decay_of(group)

        def update(parameter, gradient, state):
            total = state["sum"]
            t = counted(state)
            gradient = decay(parameter, gradient) if decay else gradient
            total.addcmul_(gradient, gradient, value=1)
            add_quotient(parameter, gradient, total.sqrt() + eps, -(lr / (1 + (t - 1) * lr_decay)))
        return update


adagrad = functional_form(Adagrad, "adagrad", "grads state_sums=sum state_steps=step", "lr weight_decay lr_decay eps maximize")
