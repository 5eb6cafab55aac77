"""torch.utils._foreach_utils: lists of tensors in groups of one device and dtype, which optimizers of users go through."""
import rushlight as torch


def _group_tensors_by_device_and_dtype(tensorlistlist, with_indices=False):
    """{(device, dtype): (lists, indices)} of lists that go together: the i-th entries of all, by the device and dtype of the first list's.

    `indices` says where the entries stood (with `with_indices`, else it is empty).  Entries of the other lists may be None.
    """
    groups = {}
    for i, entries in enumerate(zip(*(tensors if len(tensors) else [None] * len(tensorlistlist[0]) for tensors in tensorlistlist))):
        lists, indices = groups.setdefault((entries[0].device, entries[0].dtype), ([[] for _ in tensorlistlist], []))
        for kept, tensors, entry in zip(lists, tensorlistlist, entries):
            if len(tensors):
                kept.append(entry)
        if with_indices:
            indices.append(i)
    return groups


def _get_foreach_kernels_supported_devices():
    """Where PyTorch's optimizers use `torch._foreach_` functions without being asked: devices that are not here."""
    return ["cuda", "xpu", "mtia", torch._C._get_privateuse1_backend_name()]


def _get_fused_kernels_supported_devices():
    """Where an update may be asked for as one kernel."""
    return ["mps", "cuda", "xpu", "hpu", "cpu", "mtia", torch._C._get_privateuse1_backend_name()]


def _device_has_foreach_support(device):
    """Whether that device is one of those, or the CPU."""
    return device.type in [*_get_foreach_kernels_supported_devices(), "cpu"]


def _has_foreach_support(tensors, device):
    """Whether all of a list may go through `torch._foreach_` functions."""
    return _device_has_foreach_support(device) and all(t is None or type(t) is torch.Tensor for t in tensors)
