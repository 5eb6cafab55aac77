"""One model on several devices, or in several processes.  There is one of each, so what is here only keeps its place.

    model = DataParallel(net)      model(x) == net(x), and model.module is net
"""
from contextlib import contextmanager

from .._paths import open_below
from .module import Module


class _Around(Module):
    """A module around another, which it calls."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)


class DataParallel(_Around):
    """y = module(x): with one device there is nothing to split; names in the state_dict begin with "module.", as they do with several.

    Shapes: those of `module`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.DataParallel.html

    >>> list(nn.DataParallel(nn.Linear(2, 1)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__(module)
        self.device_ids, self.dim = [], dim


class DistributedDataParallel(_Around):
    """y = module(x), in a group of one process: its gradients are the mean over all processes as they are.

    Shapes: those of `module`.  Raises: ValueError without a process group (torch.distributed.init_process_group), RuntimeError where no
    parameter needs a gradient.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0, broadcast_buffers=True, init_sync=True, process_group=None,
                 **settings):
        from ..distributed import _get_default_group
        super().__init__(module)
        self.process_group = process_group or _get_default_group()
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any parameter that requires a gradient.")
        self.device_ids, self.dim, self.broadcast_buffers = device_ids, dim, broadcast_buffers
        self.find_unused_parameters = settings.get("find_unused_parameters", False)
        self.require_backward_grad_sync = True

    @contextmanager
    def no_sync(self):
        """A block after whose backward gradients are not averaged: with one process nothing changes."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def join(self, divide_by_initial_world_size=True, enable=True, throw_on_early_termination=False):
        """A block for processes that have different numbers of batches."""
        return self.no_sync()


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """module(*inputs, **module_kwargs)."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


def _one(devices):
    if len(devices) > 1:
        raise RuntimeError(f"torch.nn.parallel: asked for {len(devices)} devices, and there is one")


def replicate(network, devices, detach=False):
    """The module once for each device: [network]."""
    _one(devices)
    return [network] * len(devices)


def scatter(inputs, target_gpus, dim=0):
    """The inputs split over the devices: [inputs]."""
    _one(target_gpus)
    return [inputs] * len(target_gpus)


def scatter_kwargs(inputs, kwargs, target_gpus, dim=0):
    """Positional and keyword inputs split over the devices."""
    return scatter(inputs, target_gpus), scatter(kwargs or {}, target_gpus)


def parallel_apply(modules, inputs, kwargs_tup=None, devices=None):
    """Each module on its inputs."""
    kwargs_tup = kwargs_tup or [{}] * len(modules)
    return [module(*(i if isinstance(i, (tuple, list)) else (i,)), **kwargs) for module, i, kwargs in zip(modules, inputs, kwargs_tup)]


def gather(outputs, target_device, dim=0):
    """The outputs of all devices as one: outputs[0]."""
    _one(outputs)
    return outputs[0]


__getattr__ = open_below(__name__)
