"""Tensors by name in safetensors files, which hold nothing else and so cannot run anything.

    save_file({"weight": w}, "model.safetensors", metadata={"epoch": "3"})        load_file("model.safetensors")["weight"]
    save_model(net, "model.safetensors")                                          load_model(net, "model.safetensors")

The functions are those of `safetensors.torch` (https://huggingface.co/docs/safetensors/api/torch), the files the same.  The format knows no
shared memory: `save_file` refuses it, `save_model` saves such a tensor under one of its names.
"""
import numpy as np
import safetensors
import safetensors.numpy

from ..ir import dtypes
from ..ir.graph import row_major
from ..tensors.device import usable
from ..tensors.pickling import TypedStorage, rebuild_tensor, storage_of
from ..tensors.tensor import Tensor
from .files import name_of, whole_file

_CODES = {"BOOL": dtypes.bool_, "U8": dtypes.uint8, "I8": dtypes.int8, "I16": dtypes.int16, "I32": dtypes.int32, "I64": dtypes.int64,
          "U16": dtypes.uint16, "U32": dtypes.uint32, "U64": dtypes.uint64,
          "F16": dtypes.float16, "BF16": dtypes.bfloat16, "F32": dtypes.float32, "F64": dtypes.float64, "C64": dtypes.complex64}


def save_file(tensors, filename, metadata=None):
    """Save a dictionary of tensors, and one of strings beside them; all of the file, or what was there before.

    ValueError for what is no contiguous tensor, RuntimeError where tensors share memory.
    """
    content = save(tensors, metadata)
    with whole_file(filename) as file:
        file.write(content)


def save(tensors, metadata=None):
    """The same as bytes."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor)}")
        if not tensor.is_contiguous():
            raise ValueError(f"save: the tensor `{name}` is not contiguous; save its .contiguous()")
        if tensor.dtype not in _CODES.values():
            raise ValueError(f"save: the tensor `{name}` is {tensor.dtype}, which safetensors files do not have")
    if shared := [names for names in names_by_memory(tensors) if len(names) > 1]:
        raise RuntimeError(f"save: tensors that share memory would come back without sharing it: {shared}; save_model saves each once")
    return safetensors.numpy.save({name: tensor._array() for name, tensor in tensors.items()}, metadata)


def load_file(filename, device="cpu"):
    """The tensors of a file, by name.  RuntimeError where it is damaged or no safetensors file."""
    usable(device, with_memory=True)
    try:
        with safetensors.safe_open(filename, framework="np") as file:
            return {name: _tensor_in(file.get_tensor(name)) for name in file.keys()}
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError) as error:
        raise RuntimeError(f"load_file: {name_of(filename)} is damaged or no safetensors file: {error}") from error


def load(data):
    """The tensors in the bytes that `save` made."""
    try:
        content = safetensors.deserialize(bytes(data))
    except safetensors.SafetensorError as error:
        raise RuntimeError(f"load: these {len(data)} bytes are damaged or not of a safetensors file: {error}") from error
    tensors = {}
    for name, view in content:
        dtype = _CODES.get(view["dtype"])
        if dtype is None:
            raise RuntimeError(f"load: the tensor `{name}` is {view['dtype']}, which Rushlight does not have")
        tensors[name] = _tensor_in(np.frombuffer(view["data"], np.uint8).view(dtype.numpy).reshape(view["shape"]))
    return tensors


def metadata_of(filename):
    """The dictionary of strings beside a file's tensors."""
    try:
        with safetensors.safe_open(filename, framework="np") as file:
            return file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise RuntimeError(f"metadata_of: {name_of(filename)} is damaged or no safetensors file: {error}") from error


def save_model(model, filename, metadata=None, force_contiguous=True):
    """Save a module's state, each shared tensor once; the metadata says which name stands for a name left out."""
    state, metadata = dict(model.state_dict()), dict(metadata or {})
    for kept, *others in names_by_memory(state):
        for name in others:
            metadata.setdefault(name, kept)
            del state[name]
    save_file({name: t.contiguous() for name, t in state.items()} if force_contiguous else state, filename, metadata or None)


def load_model(model, filename, strict=True, device="cpu"):
    """Load what `save_model` saved; returns the names (missing, unexpected), and with `strict` raises RuntimeError if there are any."""
    state = load_file(filename, device)
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = set(missing)
    for names in names_by_memory(model.state_dict()):
        if not missing.issuperset(names):
            missing.difference_update(names)
    if strict and (missing or unexpected):
        quoted = [", ".join(f'"{name}"' for name in sorted(names)) for names in (missing, unexpected)]
        raise RuntimeError(f"Error(s) in loading state_dict for {type(model).__name__}:"
                           + (f"\n    Missing key(s) in state_dict: {quoted[0]}" if missing else "")
                           + (f"\n    Unexpected key(s) in state_dict: {quoted[1]}" if unexpected else ""))
    return missing, unexpected


def names_by_memory(tensors):
    """The names of a dictionary of tensors in groups, in each those whose memory overlaps; the one that spans most comes first."""
    spans = []
    for name, tensor in tensors.items():
        place = tensor._stored()
        start = place.offset * place.dtype.itemsize
        spans.append((id(place.storage), start, start + place.span() * place.dtype.itemsize, name))
    groups, last, end = [], None, 0
    for storage, start, stop, name in sorted(spans):
        if storage != last or start >= end:
            groups.append([])
            last, end = storage, stop
        groups[-1].append((start - stop, name))
        end = max(end, stop)
    return [[name for _, name in sorted(group)] for group in groups]


def _tensor_in(array):
    """A tensor over the memory of a row-major array that nobody else has."""
    storage = storage_of(array.reshape(-1).view(np.uint8), dtypes.of_numpy(array.dtype))
    return rebuild_tensor(TypedStorage(storage, storage.dtype), 0, array.shape, row_major(array.shape))
