"""One model on several devices.  There is one device, so what is here only keeps its place.

    model = DataParallel(net)      model(x) == net(x), and model.module is net
"""
from .module import Module


class DataParallel(Module):
    """y = module(x): with one device there is nothing to split; names in the state_dict begin with "module.", as they do with several.

    Shapes: those of `module`.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.DataParallel.html

    >>> list(nn.DataParallel(nn.Linear(2, 1)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        self.module, self.device_ids, self.dim = module, [], dim

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)
