"""Averages of a model over its training: equal weights (SWA) or exponential ones (EMA), and a schedule to go with them.

    averaged = AveragedModel(model)                                         or multi_avg_fn=get_ema_multi_avg_fn(0.999)
    ... optimizer.step(); averaged.update_parameters(model); schedule.step()
    update_bn(loader, averaged)                                             statistics of the averaged weights

Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018), https://arxiv.org/abs/1803.05407.
"""
import itertools
import math
from copy import deepcopy

import rushlight as torch

from ..nn.batchnorm import _BatchNorm
from ..nn.module import Module
from .lr_base import LRScheduler, for_each_group

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn", "update_bn"]


def _check_decay(decay):
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_avg_fn(decay=0.999):
    """The function (average, present, number averaged) -> decay average + (1 - decay) present."""
    _check_decay(decay)

    @torch.no_grad()
    def ema_update(ema_param, current_param, num_averaged):
        return decay * ema_param + (1 - decay) * current_param
    return ema_update


def get_swa_avg_fn():
    """The function (average, present, number averaged) -> the average of one more, all weighing the same."""
    @torch.no_grad()
    def swa_update(averaged_param, current_param, num_averaged):
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)
    return swa_update


def get_ema_multi_avg_fn(decay=0.999):
    """`get_ema_avg_fn` for lists of tensors, which it writes to."""
    _check_decay(decay)

    @torch.no_grad()
    def ema_update(ema_param_list, current_param_list, _):
        for average, present in zip(ema_param_list, current_param_list, strict=True):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(present, 1 - decay)
            else:
                average.copy_(average * decay + present * (1 - decay))
    return ema_update


def get_swa_multi_avg_fn():
    """`get_swa_avg_fn` for lists of tensors, which it writes to."""
    @torch.no_grad()
    def swa_update(averaged_param_list, current_param_list, num_averaged):
        share = 1 / (num_averaged.item() + 1 if isinstance(num_averaged, torch.Tensor) else num_averaged + 1)
        for average, present in zip(averaged_param_list, current_param_list, strict=True):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(present, share)
            else:
                average.copy_(average + (present - average) * share)
    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are the average of those that the model has had at each `update_parameters`.

    The first call copies; every later one averages by `multi_avg_fn(averages, present ones, n_averaged)`, which writes to the averages,
    or by `avg_fn(average, present, n_averaged)`, which returns them; by default all weigh the same.  Buffers are averaged too with
    `use_buffers`, else copied.  `n_averaged` counts.
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", torch.tensor(0, dtype=torch.long, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def update_parameters(self, model):
        """Average once more, with what `model` has now."""
        def averaged_of(module):
            return itertools.chain(module.parameters(), module.buffers() if self.use_buffers else ())
        averages = [tensor.detach() for tensor in averaged_of(self.module)]
        present = [tensor.detach().to(average.device) for tensor, average in zip(averaged_of(model), averages)]
        if self.n_averaged == 0:
            for average, tensor in zip(averages, present):
                average.copy_(tensor)
        elif self.avg_fn is not None:
            for average, tensor in zip(averages, present):
                average.copy_(self.avg_fn(average, tensor, self.n_averaged))
        else:
            average_all = self.multi_avg_fn or get_swa_multi_avg_fn()
            for kind in dict.fromkeys((tensor.device, tensor.dtype) for tensor in averages):
                alike = [pair for pair in zip(averages, present) if (pair[0].device, pair[0].dtype) == kind]
                average_all(*map(list, zip(*alike)), self.n_averaged)
        if not self.use_buffers:
            for buffer, tensor in zip(self.module.buffers(), model.buffers(), strict=True):
                buffer.detach().copy_(tensor.detach().to(buffer.device))
        self.n_averaged += 1


@torch.no_grad()
def update_bn(loader, model, device=None):
    """Let the batch norms of a model measure their statistics anew, over one pass through `loader`.

    A batch is a tensor, or a list or tuple that begins with one.
    """
    norms = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not norms:
        return
    was_training = model.training
    model.train()
    for module in norms:
        module.reset_running_stats()
        module.momentum = None  # all batches weigh the same
    for batch in loader:
        batch = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(batch if device is None else batch.to(device))
    for module, momentum in norms.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """From the present rate to `swa_lr` (one, or one for each group) in `anneal_epochs`, along a cosine or a line; there it stays."""

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        for rate, group in zip(for_each_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t):
        """How much of the way is behind after a share t of the time."""
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self):
        self._warn_outside_step()
        step = self._step_count - 1 if self.anneal_epochs else max(1, self._step_count - 1)
        before, now = (self.anneal_func(max(0, min(1, s / max(1, self.anneal_epochs)))) for s in (step - 1, step))
        return [_further(group["lr"], group["swa_lr"], before, now) for group in self.optimizer.param_groups]


def _further(rate, swa_lr, before, now):
    """The rate at a share `now` of the way to swa_lr, from the one at the share `before`."""
    start = swa_lr if before == 1 else (rate - before * swa_lr) / (1 - before)
    return swa_lr * now + start * (1 - now)
