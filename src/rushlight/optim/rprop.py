"""Rprop: only the gradient's sign counts, and how often it has changed."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, counted, number, number_tensor


class Rprop(UpdateRule):
    """Riedmiller and Braun, A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm (1993).

        gradient previous > 0    the element's step grows by etas[1], up to step_sizes[1]
        gradient previous < 0    it shrinks by etas[0], down to step_sizes[0], and the gradient counts as zero, this once
        parameter -= step sign(gradient)
    """

    nonnegative = ("lr",)

    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), *, capturable=False, foreach=None, maximize=False,
                 differentiable=False):
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        })

    def initial_state(self, group, parameter):
        lr = number(group["lr"])
        return {"step": number_tensor(0), "prev": torch.zeros_like(parameter),
                "step_size": torch.full_like(parameter, complex(lr, lr) if parameter.is_complex() else lr)}

    def update_of(self, group):
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]

        def update(parameter, gradient, state):
            previous, step_size = state["prev"], state["step_size"]
            counted(state)
            agreement = gradient * previous
            factor = torch.ones_like(agreement).masked_fill(agreement > 0, grow).masked_fill(agreement < 0, shrink)
            step_size.copy_((step_size * factor).clamp(smallest, largest))
            gradient = torch.where(agreement < 0, 0.0, gradient)
            parameter.addcmul_(gradient.sign(), step_size, value=-1)
            previous.copy_(gradient)
        return update


rprop = functional_form(Rprop, "rprop", "grads prevs=prev step_sizes=step_size state_steps=step",
                        "step_size_min step_size_max etaminus etaplus", optional=("maximize",))
