"""Adam whose weight decay is no part of the gradient."""
from .adam import Adam
from .functional import functional_form


class AdamW(Adam):
    """Adam with decoupled weight decay: at each step a parameter also shrinks by lr * weight_decay of itself.

    Loshchilov and Hutter, Decoupled Weight Decay Regularization (2017), https://arxiv.org/abs/1711.05101.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False, foreach=None,
                 capturable=False, differentiable=False, fused=None):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
                         differentiable=differentiable, fused=fused, decoupled_weight_decay=True)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


adamw = functional_form(AdamW, "adamw", "grads exp_avgs=exp_avg exp_avg_sqs=exp_avg_sq max_exp_avg_sqs=max_exp_avg_sq state_steps=step",
                        "amsgrad beta1 beta2 lr weight_decay eps maximize", decoupled_weight_decay=True)
