"""Learning-rate schedules: after every epoch (or step) a scheduler writes new learning rates into the optimizer's groups.

    scheduler = StepLR(optimizer, step_size=30, gamma=0.1)
    for epoch in range(90): train(); scheduler.step()

    lr_base.py          LRScheduler, the base: start here
    lr_scheduler.py     schedules that say how one group's rate follows from the rate it has (`next_rate`), so that several can act
                        on one optimizer; `closed_form_rate` is the same schedule told from the start
    lr_cycles.py        up and down again: CyclicLR, OneCycleLR, CosineAnnealingWarmRestarts
    lr_combining.py     after other schedulers or what was measured: SequentialLR, ChainedScheduler, ReduceLROnPlateau

The formulas are PyTorch's to the last bit (https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate).
"""
import math
from bisect import bisect_right
from collections import Counter

from .lr_base import LRScheduler, _LRScheduler, copied, saved_function, values
from .lr_combining import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from .lr_cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR

__all__ = ["ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "LRScheduler",
           "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR",
           "StepLR", "_LRScheduler"]


class _RateByRate(LRScheduler):
    """A schedule that gives one group's next rate from the rate it has and the one it began with."""

    def get_lr(self):
        self._warn_outside_step()
        return [self.next_rate(copied(group["lr"]), base) for group, base in zip(self.optimizer.param_groups, self.base_lrs)]

    def _get_closed_form_lr(self):
        return [self.closed_form_rate(base) for base in self.base_lrs]

    def next_rate(self, rate, base):
        """The rate of epoch `last_epoch`, from the rate before it and the one at the start."""
        raise NotImplementedError

    def closed_form_rate(self, base):
        """The rate of epoch `last_epoch`, from the one at the start."""
        raise NotImplementedError


class LambdaLR(LRScheduler):
    """The initial rate times `lr_lambda(epoch)`; one function, or one for each group."""

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        if isinstance(lr_lambda, (list, tuple)):
            if len(lr_lambda) != len(optimizer.param_groups):
                raise ValueError(f"Expected {len(optimizer.param_groups)} lr_lambdas, but got {len(lr_lambda)}")
            self.lr_lambdas = list(lr_lambda)
        else:
            self.lr_lambdas = [lr_lambda] * len(optimizer.param_groups)
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        self._warn_outside_step()
        return [base * factor(self.last_epoch) for factor, base in zip(self.lr_lambdas, self.base_lrs)]

    def state_dict(self):
        """Functions cannot be saved; objects that are called as functions can."""
        return {**super().state_dict(), "lr_lambdas": [saved_function(factor) for factor in self.lr_lambdas]}

    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "lr_lambdas": self.lr_lambdas})
        for factor, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"]):
            if saved is not None:
                factor.__dict__.update(saved)


class MultiplicativeLR(LambdaLR):
    """The present rate times `lr_lambda(epoch)`."""

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        for factor in lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda]:
            if not callable(factor):
                raise TypeError(f"lr_lambda should be a function, but got {type(factor).__name__}")
        super().__init__(optimizer, lr_lambda, last_epoch)

    def get_lr(self):
        self._warn_outside_step()
        rates = values(self.optimizer, "lr")
        return rates if self._is_initial else [rate * factor(self.last_epoch) for factor, rate in zip(self.lr_lambdas, rates)]


class StepLR(_RateByRate):
    """Times `gamma` every `step_size` epochs."""

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def next_rate(self, rate, base):
        return rate if self.last_epoch == 0 or self.last_epoch % self.step_size else rate * self.gamma

    def closed_form_rate(self, base):
        return base * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(_RateByRate):
    """Times `gamma` at each of the epochs `milestones`."""

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def next_rate(self, rate, base):
        return rate * self.gamma ** self.milestones[self.last_epoch] if self.last_epoch in self.milestones else rate

    def closed_form_rate(self, base):
        return base * self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


class ExponentialLR(_RateByRate):
    """Times `gamma` every epoch."""

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def next_rate(self, rate, base):
        return rate if self._is_initial else rate * self.gamma

    def closed_form_rate(self, base):
        return base * self.gamma**self.last_epoch


class ConstantLR(_RateByRate):
    """Times `factor` for the first `total_iters` epochs."""

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1):
        if factor > 1.0 or factor < 0:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next_rate(self, rate, base):
        if self.last_epoch == 0:
            return rate * self.factor
        return rate * (1.0 / self.factor) if self.last_epoch == self.total_iters else rate

    def closed_form_rate(self, base):
        return base * (self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor))


class LinearLR(_RateByRate):
    """From `start_factor` to `end_factor` times the rate, in `total_iters` equal steps: a warm-up."""

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        if start_factor > 1.0 or start_factor <= 0:
            raise ValueError("Starting multiplicative factor expected to be greater than 0 and less or equal to 1.")
        if end_factor > 1.0 or end_factor < 0:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next_rate(self, rate, base):
        if self.last_epoch == 0:
            return rate * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return rate
        difference = self.end_factor - self.start_factor
        return rate * (1.0 + difference / (self.total_iters * self.start_factor + (self.last_epoch - 1) * difference))

    def closed_form_rate(self, base):
        difference = self.end_factor - self.start_factor
        return base * (self.start_factor + difference * min(self.total_iters, self.last_epoch) / self.total_iters)


class PolynomialLR(_RateByRate):
    """Down to zero in `total_iters` epochs along a polynomial of degree `power`."""

    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def next_rate(self, rate, base):
        if self._is_initial or self.last_epoch > self.total_iters:
            return rate
        left, left_before = 1.0 - self.last_epoch / self.total_iters, 1.0 - (self.last_epoch - 1) / self.total_iters
        return rate * (left / left_before) ** self.power

    def closed_form_rate(self, base):
        return base * (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power


class CosineAnnealingLR(_RateByRate):
    """Down to `eta_min` in `T_max` epochs along half a cosine, and up again in as many: Loshchilov and Hutter, SGDR (2016)."""

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def next_rate(self, rate, base):
        epoch, half = self.last_epoch, self.T_max
        if self._is_initial:
            return rate
        if self._step_count == 1 and epoch > 0:
            return self.eta_min + (base - self.eta_min) * (1 + math.cos(epoch * math.pi / half)) / 2
        if (epoch - 1 - half) % (2 * half) == 0:  # the rate before is the lowest: the quotient below would be 0 / 0
            return rate + (base - self.eta_min) * (1 - math.cos(math.pi / half)) / 2
        here, before = 1 + math.cos(math.pi * epoch / half), 1 + math.cos(math.pi * (epoch - 1) / half)
        return here / before * (rate - self.eta_min) + self.eta_min

    def closed_form_rate(self, base):
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
