"""Making one batch of many samples.

    [(x0, 3), (x1, 5)]  ->  [stack of x0 and x1, tensor([3, 5])]

`default_collate` goes down into tuples, lists and dictionaries, and stacks the tensors, arrays and numbers it meets.
`default_convert` turns arrays into tensors where no batches are made.
"""
import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence

import numpy as np

import rushlight as torch

from ...ir.dtypes import of_numpy
from ...runtime.storage import fresh
from ...tensors.tensor import plain


def default_collate(batch):
    """The samples of a batch, stacked leaf by leaf."""
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch, *, collate_fn_map=None):
    """`default_collate` with another table of what to do with which type: type -> function(batch, *, collate_fn_map)."""
    first = batch[0]
    table = collate_fn_map or {}
    if type(first) in table:
        return table[type(first)](batch, collate_fn_map=table)
    for kind, function in table.items():
        if isinstance(first, kind):
            return function(batch, collate_fn_map=table)
    if isinstance(first, Mapping):
        return _like_mapping(first, {key: collate([sample[key] for sample in batch], collate_fn_map=table) for key in first})
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=table) for column in zip(*batch)]
        return _like_sequence(first, columns)
    raise TypeError(f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first)}")


def default_convert(data):
    """`data` with its arrays and NumPy numbers as tensors."""
    if isinstance(data, torch.Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "SUO" else torch.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def _like_mapping(original, values):
    """`values` in a mapping of the original's type, with whatever else that one carries."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(values)
            return clone
        return type(original)(values)
    except TypeError:  # a type that can be neither copied nor made from a dictionary
        return values


def _like_sequence(original, values):
    """`values` in a sequence of the original's type; a plain tuple becomes a list, as in PyTorch."""
    if isinstance(original, tuple):
        return type(original)(*values) if hasattr(original, "_fields") else values
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return type(original)(values)
    except TypeError:  # such as a range
        return values


def _stack(batch, *, collate_fn_map=None):
    batch = list(batch)
    if all(type(sample) is torch.Tensor and sample._state is None and not sample.requires_grad for sample in batch):
        made = _stack_in_memory([sample._array() for sample in batch], batch[0].dtype)
        if made is not None:
            return made
    return torch.stack(batch, 0)


def _stack_arrays(batch, *, collate_fn_map=None):
    if batch[0].dtype.kind in "SUO":
        raise TypeError(f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {batch[0].dtype}")
    made = None
    if all(type(array) is np.ndarray for array in batch):
        made = _stack_in_memory(batch, of_numpy(batch[0].dtype))
    return _stack([torch.as_tensor(array) for array in batch]) if made is None else made


def _stack_in_memory(arrays, dtype):
    """The rows of a batch, which are all in memory already, copied into it; None where they are not of one shape and dtype."""
    first = arrays[0]
    if any(array.shape != first.shape or array.dtype != dtype.numpy for array in arrays):
        return None
    place = fresh((len(arrays), *first.shape), dtype)
    np.stack(arrays, out=place.array())
    return plain(place)


def _numpy_numbers(batch, *, collate_fn_map=None):
    return torch.as_tensor(np.asarray(batch))


def _floats(batch, *, collate_fn_map=None):
    return torch.tensor(batch, dtype=torch.float64)


def _integers(batch, *, collate_fn_map=None):
    return torch.tensor(batch)


def _as_is(batch, *, collate_fn_map=None):
    return batch


default_collate_fn_map = {
    torch.Tensor: _stack, np.ndarray: _stack_arrays, (np.bool_, np.number): _numpy_numbers,
    float: _floats, int: _integers, str: _as_is, bytes: _as_is,
}
