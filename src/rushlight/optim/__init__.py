"""torch.optim: what changes parameters from their gradients.

    optimizer.py     Optimizer: groups, state, hooks            start here
    sgd.py, adam.py  the update rules
    lr_scheduler.py  learning rates that change as training goes on
"""
from . import lr_scheduler
from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD
