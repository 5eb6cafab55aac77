"""Tensors taken apart and put together again: pickle, `copy.copy` and `copy.deepcopy`.

    x, x[1:]  ->  rebuild_tensor(TypedStorage(s, float32), 0, (3,), (1,), ...), rebuild_tensor(TypedStorage(s, float32), 1, (2,), (1,), ...)

A tensor is its storage and how it lies in it; the storage is pickled once, so tensors that shared memory still do afterwards.  The
form is that of PyTorch's pickles: `save` writes the same functions under PyTorch's names (serialization/names.py).  Hooks, gradients and
the history stay behind, except that `deepcopy` takes gradients along.  Start with `__reduce_ex__`; `rebuild_tensor` trusts no number.
"""
import copy
import pickle
import sys
import types
import weakref
from collections import OrderedDict

import numpy as np

from ..ir import dtypes
from ..runtime.memory import Block
from ..runtime.storage import Place, Storage
from .storages import TypedStorage
from .tape import tape_of
from .tensor import Tensor, plain


def storage_of(data, dtype):
    """A storage that holds `data`: a copy of bytes, and the memory itself of anything that can be written to."""
    array = np.frombuffer(data, np.uint8)
    if array.flags.writeable and array.nbytes:
        return Storage(Block.around(array), array.nbytes, dtype)
    storage = Storage(Block(array.nbytes), array.nbytes, dtype)
    storage.block.bytes[:] = array
    return storage


def _reduce_storage(self, protocol):
    """From protocol 5 on the bytes can travel beside the pickle, uncopied."""
    content = self.block.bytes[:self.size]
    return storage_of, (pickle.PickleBuffer(content) if protocol >= 5 and self.size else content.tobytes(), self.dtype)


def rebuild_tensor(storage, storage_offset, size, stride, requires_grad=False, backward_hooks=None, metadata=None):
    """The tensor of this size, stride and offset (in elements) in a TypedStorage.

    RuntimeError where it would reach past the storage's end.  `metadata` may say that PyTorch had noted a conjugation ("conj") or a
    change of sign ("neg") without carrying it out; `backward_hooks` is there for PyTorch's form and not used.
    """
    size, stride = tuple(size), tuple(stride)
    numbers = (*size, *stride, storage_offset)
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
        raise RuntimeError(f"a tensor cannot have the size {size}, the stride {stride} and the offset {storage_offset}")
    place = Place(storage.storage, size, stride, storage_offset, storage.dtype)
    last = storage_offset + place.span()
    if 0 not in size and last > storage.numel():
        raise RuntimeError(f"a tensor of size {size}, stride {stride} and offset {storage_offset} needs a storage of {last} elements, "
                           f"but this one has {storage.numel()}")
    made = plain(place)
    if storage.storage.members:
        storage.storage.join(made)
    else:  # the first one; it has the storage to itself until there is another
        storage.storage.members[id(made)] = weakref.ref(made)
    if metadata and metadata.get("conj"):
        made = made.conj()
    if metadata and metadata.get("neg"):
        made = made.neg()
    if requires_grad:
        made.requires_grad_()
    return made


def rebuild_tensor_of_dtype(storage, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None):
    """A tensor in a storage of which PyTorch's files have only the bytes: of a dtype that came after its typed storages."""
    untyped = storage.storage if isinstance(storage, TypedStorage) else storage._storage
    return rebuild_tensor(TypedStorage(untyped, dtype), storage_offset, size, stride, requires_grad, backward_hooks, metadata)


def rebuild_from_type(function, cls, arguments, state):
    """What `function(*arguments)` makes, as a tensor of class `cls` with the attributes `state`."""
    made = function(*arguments)
    if type(made) is not cls:
        made = made.as_subclass(cls)
    made.__dict__.update(state)
    return made


def attributes_of(tensor):
    """What users have hung on a tensor."""
    return {name: value for name, value in tensor.__dict__.items() if name not in ("_plain", "failure")}


def __reduce_ex__(self, protocol):
    place = self._stored()
    arguments = (TypedStorage(place.storage, place.dtype), place.offset, tuple(place.shape), tuple(place.strides), self.requires_grad,
                 OrderedDict())
    state, rebuild = attributes_of(self), rebuild_tensor
    if place.dtype in dtypes.WIDE_UNSIGNED:
        rebuild, arguments = rebuild_tensor_of_dtype, (*arguments, place.dtype)
    if type(self) is Tensor and not state:
        return rebuild, arguments
    return rebuild_from_type, (rebuild, type(self), arguments, state)


def __copy__(self):
    """Another tensor over the same memory, as what it is pickled as would be if its storage were not."""
    function, arguments = self.__reduce_ex__(4)
    own = self._plain if self._dispatches else self
    if own._place is not None:
        own._place.storage.join(own)
    return function(*arguments)


def __deepcopy__(self, memo):
    if not self.is_leaf:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If "
                           "you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
                           "https://github.com/pytorch/pytorch/pull/103001")
    if id(self) in memo:
        return memo[id(self)]
    place = self._stored()
    storage = memo.get(id(place.storage))
    if storage is None:
        old = place.storage
        storage = memo[id(old)] = Storage(Block(old.size), old.size, old.dtype)
        storage.block.bytes[:] = old.block.bytes[:old.size]
        memo.setdefault(id(memo), []).append(old)  # alive until the copy is whole, so that its id is not taken again
    arguments = TypedStorage(storage, place.dtype), place.offset, tuple(place.shape), tuple(place.strides)
    made = memo[id(self)] = rebuild_from_type(rebuild_tensor, type(self), arguments, {})
    made.__dict__.update(copy.deepcopy(attributes_of(self), memo))
    if self.requires_grad:
        tape_of(made if not made._dispatches else made._plain).requires_grad = True
    if self.grad is not None:
        made.grad = copy.deepcopy(self.grad, memo)
    return made


Storage.__reduce_ex__ = _reduce_storage
Tensor.__reduce_ex__ = __reduce_ex__
Tensor.__copy__ = __copy__
Tensor.__deepcopy__ = __deepcopy__


def answer_by_name(module, namespace):
    """Let pickle, which writes a function as its module and its name, find those of a namespace again: what was made by wrapping another
    one, or inside a function, is named after the place where users find it."""
    for name, function in namespace.items():
        if isinstance(function, types.FunctionType):
            home = sys.modules.get(function.__module__)
            if getattr(home, function.__qualname__, None) is not function:
                function.__module__, function.__qualname__ = module, name
