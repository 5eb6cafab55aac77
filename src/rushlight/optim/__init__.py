"""torch.optim: what changes parameters from their gradients.

    optimizer.py           Optimizer: groups, state, hooks; what the update rules share            start here
    sgd.py, adam.py, ...   the update rules, one a file
    lbfgs.py               the one that looks at the loss several times a step
    lr_scheduler.py        learning rates that change as training goes on;  lr_base.py, lr_cycles.py, lr_combining.py
    swa_utils.py           averages of a model over its training
    functional.py          the rules as functions of lists: adam.adam(params, grads, ...)
    stateless.py           a step on other parameters than the optimizer's own
"""
from .._paths import open_below
from . import lr_scheduler, swa_utils
from .adadelta import Adadelta
from .adafactor import Adafactor
from .adagrad import Adagrad
from .adam import Adam
from .adamax import Adamax
from .adamw import AdamW
from .asgd import ASGD
from .lbfgs import LBFGS
from .muon import Muon
from .nadam import NAdam
from .optimizer import Optimizer
from .radam import RAdam
from .rmsprop import RMSprop
from .rprop import Rprop
from .sgd import SGD
from .sparse_adam import SparseAdam
from .stateless import swap_in_optimizer_params_and_state

__all__ = ["ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "Optimizer", "RAdam",
           "RMSprop", "Rprop", "SparseAdam", "lr_scheduler", "swa_utils", "swap_in_optimizer_params_and_state"]

__getattr__ = open_below(__name__)
