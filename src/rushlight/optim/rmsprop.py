"""RMSprop: gradients divided by the root of their mean square."""
import rushlight as torch

from .functional import functional_form
from .optimizer import UpdateRule, add_quotient, add_scaled, counted, decay_of, number, number_tensor


class RMSprop(UpdateRule):
    """Hinton, Neural Networks for Machine Learning, lecture 6 (2012), www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf.

        square = alpha square + (1 - alpha) gradient^2          root = sqrt(square) + eps
        parameter -= lr gradient / root                         buffer = momentum buffer + gradient / root,  parameter -= lr buffer

    `centered` takes the square of the mean gradient from the mean square: Graves, Generating Sequences With Recurrent Neural
    Networks (2013).
    """

    nonnegative = ("lr", "eps", "momentum", "weight_decay", "alpha")

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, capturable=False, foreach=None,
                 maximize=False, differentiable=False):
        super().__init__(params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered, "weight_decay": weight_decay,
            "capturable": capturable, "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
        })

    def initial_state(self, group, parameter):
        state = {"step": number_tensor(0), "square_avg": torch.zeros_like(parameter)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        if group["centered"]:
            state["grad_avg"] = torch.zeros_like(parameter)
        return state

    def update_of(self, group):
        lr, alpha, eps, momentum, decay = number(group["lr"]), group["alpha"], group["eps"], group["momentum"], decay_of(group)
        centered = group["centered"]

        def update(parameter, gradient, state):
            variance = state["square_avg"]
            counted(state)
            gradient = decay(parameter, gradient) if decay else gradient
            variance.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
            if centered:
                mean = state["grad_avg"].lerp_(gradient, 1 - alpha)
                variance = variance.addcmul(mean, mean, value=-1)
            root = variance.sqrt() + eps
            if momentum > 0:
                buffer = state["momentum_buffer"].mul_(momentum).addcdiv_(gradient, root)
                add_scaled(parameter, buffer, -lr)
            else:
                add_quotient(parameter, gradient, root, -lr)
        return update


rmsprop = functional_form(RMSprop, "rmsprop", "grads square_avgs=square_avg grad_avgs=grad_avg momentum_buffer_list=momentum_buffer state_steps=step",
                          "lr alpha eps weight_decay momentum centered", optional=("maximize",))
