"""The base of all learning-rate schedules, and what they share: settings by group, rates that may be tensors."""
import types
import warnings
from functools import wraps
from weakref import ref

import rushlight as torch

from .optimizer import Optimizer, number

EPOCH_DEPRECATION_WARNING = ("The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please "
                             "use `scheduler.step()` to step the scheduler: with an epoch, the closed form is used where there is one.")


class LRScheduler:
    """The base of all schedules.  A subclass of your own defines `get_lr`, a list with each group's next rate.

    `last_epoch` is the number of the epoch that `step` has last begun; -1 starts from the optimizer's present rates, any other goes on
    from the "initial_lr" that the groups keep.  A rate that is a tensor is written into that tensor.
    """

    _get_lr_called_within_step = False
    _is_initial = False  # while the constructor takes the rates of epoch last_epoch + 1

    def __init__(self, optimizer, last_epoch=-1):
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with last_epoch >= 0: "
                               "load the optimizer's state first, or start with last_epoch=-1")
        self.base_lrs = values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _note_steps(optimizer)
        self._initial_step()

    def _initial_step(self):
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def step(self, epoch=None):
        """Begin the next epoch, or (as old programs do) the one named."""
        if self._step_count == 1:
            if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
                warnings.warn("Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. Please, "
                              "make sure to call `optimizer.step()` before `lr_scheduler.step()`.", UserWarning, stacklevel=2)
            elif not getattr(self.optimizer, "_opt_called", False):
                warnings.warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`. You should call them in the opposite "
                              "order: `optimizer.step()` before `lr_scheduler.step()`. Failure to do this will result in skipping the "
                              "first value of the learning rate schedule.", UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch=None):
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._get_lr_called_within_step = True
        try:
            closed = epoch is not None and hasattr(self, "_get_closed_form_lr")
            rates = self._get_closed_form_lr() if closed else self.get_lr()
        finally:
            self._get_lr_called_within_step = False
        for group, rate in zip(self.optimizer.param_groups, rates):
            set_value(group, "lr", rate)
        self._last_lr = values(self.optimizer, "lr")

    def get_last_lr(self):
        """The rates that the last step set."""
        return self._last_lr

    def get_lr(self):
        """Each group's next rate; only `step` calls this."""
        raise NotImplementedError

    def _warn_outside_step(self):
        if not self._get_lr_called_within_step:
            warnings.warn("To get the last learning rate computed by the scheduler, please use `get_last_lr()`.", UserWarning, stacklevel=3)

    def state_dict(self):
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict):
        """Take back what `state_dict` gave."""
        self.__dict__.update(state_dict)


_LRScheduler = LRScheduler  # its name in older programs


def check_optimizer(optimizer):
    """TypeError where it is none."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def _note_steps(optimizer):
    """Let the optimizer note that it has made a step; a step that is put in this one's place later is known by not doing so."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    function, this = optimizer.step.__func__, ref(optimizer)

    @wraps(function)
    def step(*args, **kwargs):
        optimizer = this()
        optimizer._opt_called = True
        return function.__get__(optimizer, type(optimizer))(*args, **kwargs)
    step._wrapped_by_lr_sched = True
    optimizer.step = step


def copied(value):
    """A setting that keeps its value when the tensor it may be is written to."""
    return value.clone() if isinstance(value, torch.Tensor) else value


def values(optimizer, name):
    """A setting of each group."""
    return [copied(group[name]) for group in optimizer.param_groups]


def set_value(group, name, new):
    """Write a setting into a group; a tensor that others may hold gets the value and stays the object it is."""
    if isinstance(group[name], torch.Tensor):
        group[name].fill_(number(new))
    else:
        group[name] = new


def for_each_group(name, optimizer, value):
    """A setting given once for all groups or once for each."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        value = [value] * groups
    if len(value) != groups:
        raise ValueError(f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
                         f"param_groups has {groups}.")
    return [copied(v) for v in value]


def saved_function(function):
    """What of a function can be saved: the attributes of an object that is called as one, nothing of a plain function."""
    return None if function is None or isinstance(function, types.FunctionType) else function.__dict__.copy()
