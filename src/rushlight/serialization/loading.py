"""`load`: what `save` wrote, here or in PyTorch.

    zip archive   Archive.read("data.pkl") -> unpickler -> ("storage", ..., "0", ...) -> Archive.read_into("data/0", ...)
    legacy file   magic number, version, system, pickle, keys, then each storage's bytes (PyTorch before 1.6)

By default only weights are loaded: `unpickler.RestrictedUnpickler` runs nothing that a file says.  With `weights_only=False` it is
Python's own unpickler, and a file can run anything; names of PyTorch's lead to their counterparts here.  Start with `load`.
"""
import io
import pickle
import sys

import numpy as np

from ..runtime.memory import Block
from ..runtime.storage import Storage
from ..tensors.device import CPU, device, usable
from ..tensors.pickling import TypedStorage, storage_of
from ..tensors.storages import UntypedStorage
from . import names, trust
from .archive import Archive
from .files import is_path, name_of
from .unpickler import RestrictedUnpickler

_MAGIC = 0x1950a86a20f9469cfc6c  # of legacy files
_LEGACY_PROTOCOL = 1001


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Load an object that `save` (here or PyTorch's) wrote (https://docs.pytorch.org/docs/stable/generated/torch.load.html).

    `f` is a path or a binary file that can be sought in.  By default, and with `weights_only=True`, only tensors, plain containers and what
    `add_safe_globals` admits are made, and nothing in the file is run; `weights_only=False` runs whatever the file says, so only for files
    that you trust.  `map_location` (a device, its name, a dictionary of such, or a function of a storage and its location) says where
    tensors go that lay elsewhere.  With `mmap` tensors lie in the file itself until they are written to.

    Raises FileNotFoundError, pickle.UnpicklingError where the file wants what it may not or its pickle is damaged, and RuntimeError where
    it is damaged otherwise; the message names the file.

    >>> load("model.pt")["weight"]
    tensor([1., 1.])
    """
    if weights_only and pickle_module is not None:
        raise RuntimeError("load: weights_only=True uses an unpickler of its own; it does not go with pickle_module")
    weights_only = pickle_module is None if weights_only is None else weights_only
    if mmap and not is_path(f):
        raise ValueError("load: mmap=True needs the file's path")
    how = _How(map_location, None if weights_only else pickle_module or pickle, mmap, pickle_load_args)
    if is_path(f):
        with open(f, "rb") as file:
            return how.load(file, name_of(f))
    if isinstance(f, io.TextIOBase):
        raise TypeError(f"load: {name_of(f)} is open for text; open it with mode 'rb'")
    if not all(hasattr(f, method) for method in ("read", "seek", "tell")):
        raise AttributeError(f"load: expected a path or a file with the methods read, seek and tell, but got {type(f).__name__}; "
                             "put what it gives into io.BytesIO first")
    return how.load(f, name_of(f))


class _How:
    """One call of `load`: its arguments, and the storages that were met, by key."""

    def __init__(self, map_location, pickle_module, mmap, arguments):
        self.restore = _restorer(map_location)
        self.pickle_module, self.mmap, self.arguments = pickle_module, mmap, arguments
        self.storages = {}

    def load(self, file, name):
        start = file.tell()
        magic = file.read(4)
        file.seek(start)
        if not magic:
            raise EOFError(f"load: {name} is empty")
        try:
            return self.load_archive(file) if magic == b"PK\x03\x04" else self.load_legacy(file, name)
        except (pickle.UnpicklingError, EOFError) as error:
            raise pickle.UnpicklingError(f"load: {name} was not loaded: {error}") from None
        except (RuntimeError, NotImplementedError) as error:
            if name in str(error):
                raise
            raise type(error)(f"load: {name} was not loaded: {error}") from error

    def load_archive(self, file):
        archive = Archive(file)
        memory = archive.map() if self.mmap else None

        def persistent_load(saved):
            kind, key, location, count = _storage_named(saved, 5)
            record = f"data/{key}"
            if key in self.storages:
                return self.seen(key, kind, count, archive.size(record))
            size = archive.size(record)
            if size // kind.itemsize != count:
                raise archive.damaged(_wrong_count(key, kind, count, size))
            if memory is None:
                storage = Storage(Block(size), size, kind.dtype)
                archive.read_into(record, storage.block.bytes.data)
            else:
                content = archive.mapped(record, memory)
                aligned = content.ctypes.data % kind.itemsize == 0
                storage = storage_of(content if aligned else content.tobytes(), kind.dtype)
            if archive.swapped != (sys.byteorder == "big"):
                _swap(storage, kind)
            return self.put(key, storage, kind, location)

        return self.unpickler(archive.read("data.pkl"), persistent_load).load()

    def load_legacy(self, file, name):
        if self.mmap:
            raise RuntimeError("mmap=True needs a zip archive")
        content = file.read()
        waiting = {}  # storages whose bytes follow after the pickles

        def persistent_load(saved):
            if isinstance(saved, tuple) and saved and saved[0] in ("module", b"module"):
                return saved[1]
            kind, key, location, count, part = _storage_named(saved, 6)
            if part is not None:
                raise pickle.UnpicklingError("it has storages that are parts of others, as PyTorch wrote them before 0.4")
            if key in self.storages:
                return self.seen(key, kind, count, self.storages[key].size)
            if count * kind.itemsize > len(content):
                raise pickle.UnpicklingError(f"storage {key} is said to have {count} elements, which is more than the file has bytes for")
            waiting[key] = kind
            return self.put(key, Storage(Block(count * kind.itemsize), count * kind.itemsize, kind.dtype), kind, location)

        reader = RestrictedUnpickler(content)
        try:
            recognised = reader.load() == _MAGIC
        except pickle.UnpicklingError:
            recognised = False
        if not recognised:
            raise pickle.UnpicklingError("it is neither a zip archive nor a file of PyTorch's older format, so save did not write it")
        if reader.load() != _LEGACY_PROTOCOL:
            raise pickle.UnpicklingError("it has another protocol version than 1001")
        reader.load()  # the system that wrote it
        stream = self.unpickler(content, persistent_load, reader.position)
        made = stream.load()
        reader.position = stream.position
        keys = reader.load()
        if not isinstance(keys, list) or set(keys) != set(waiting):
            raise pickle.UnpicklingError("its list of storages is not that of its tensors")
        for key in keys:
            storage, kind = self.storages[key], waiting[key]
            count = int.from_bytes(reader.take(8), "little")
            if count * kind.itemsize != storage.size:
                raise pickle.UnpicklingError(f"storage {key} has {count} elements, but {storage.size // kind.itemsize} were announced")
            storage.block.bytes[:] = np.frombuffer(reader.take(storage.size), np.uint8)
        return made

    def unpickler(self, content, persistent_load, position=0):
        if self.pickle_module is None:
            made = RestrictedUnpickler(content, persistent_load, trust.trusted(), **self.arguments)
            made.position = position
            return made
        stream = io.BytesIO(content)
        stream.seek(position)
        made = _trusting_class(self.pickle_module)(stream, **self.arguments)
        made.persistent_load, made.stream = persistent_load, stream
        return made

    def put(self, key, storage, kind, location):
        """Note a storage under its key, where `map_location` wants it; what a tensor is made in."""
        found = self.restore(UntypedStorage(storage), location)
        storage = self.storages[key] = found._storage if isinstance(found, UntypedStorage) else found.storage
        return _as_seen(storage, kind)

    def seen(self, key, kind, count, size):
        """A storage that was met before, which must be called the same again."""
        if size // kind.itemsize != count:
            raise pickle.UnpicklingError(_wrong_count(key, kind, count, size))
        return _as_seen(self.storages[key], kind)


def _wrong_count(key, kind, count, size):
    return f"storage {key} is said to have {count} elements of {kind.itemsize} bytes, but it has {size} bytes"


def _as_seen(storage, kind):
    return UntypedStorage(storage) if kind.dtype is None else TypedStorage(storage, kind.dtype)


def _storage_named(saved, length):
    """The parts of a persistent id, each of the type it should have."""
    if not isinstance(saved, tuple) or len(saved) != length or saved[0] not in ("storage", b"storage"):
        raise pickle.UnpicklingError("it refers to something that is no storage")
    _, kind, key, location, count, *rest = saved
    key, location = (x.decode("latin1") if isinstance(x, bytes) else x for x in (key, location))
    if isinstance(kind, names.StorageType) and isinstance(key, str) and isinstance(location, str) and type(count) is int and count >= 0:
        return kind, key, location, count, *rest
    raise pickle.UnpicklingError("it refers to a storage in a form that save does not use")


def _swap(storage, kind):
    """Bytes of a machine of the other order."""
    if kind.dtype is None:
        raise pickle.UnpicklingError("it has storages without a dtype in the byte order of another kind of machine")
    parts = kind.itemsize // (2 if kind.dtype.is_complex else 1)
    numbers = storage.block.bytes[:storage.size // parts * parts].reshape(-1, parts)
    numbers[:] = numbers[:, ::-1].copy()


def _trusting_class(module):
    """The unpickler of a pickle module, which finds PyTorch's names here."""

    class Unpickler(module.Unpickler):
        @property
        def position(self):
            return self.stream.tell()

        def find_class(self, module, name):
            if module.partition(".")[0] != "torch":
                return super().find_class(module, name)
            found = names.counterpart(module, name)
            if found is None:
                raise pickle.UnpicklingError(f"it names {module}.{name} of PyTorch, which Rushlight does not have")
            return found

    return Unpickler


def _restorer(map_location):
    """A function of a storage and the location it was saved from, which gives the storage where it is wanted."""
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, (str, bytes, device)):
        wanted = map_location.decode() if isinstance(map_location, bytes) else map_location
        usable(wanted, with_memory=True)
        return lambda storage, location: storage
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(storage, str(map_location.get(location, location)))
    if not callable(map_location):
        raise TypeError(f"load: map_location is a device, a dictionary or a function, not {type(map_location).__name__}")

    def restore(storage, location):
        found = map_location(storage, location)
        return default_restore_location(storage, location) if found is None else found
    return restore


def default_restore_location(storage, location):
    """The storage on the device it was saved from; RuntimeError where that is not to be had."""
    kind = location.partition(":")[0]
    if kind == CPU.type:
        return storage
    raise RuntimeError(f"Attempting to deserialize object on a {kind.upper()} device but torch.{kind}.is_available() is False. If you are "
                       "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages "
                       "to the CPU.")
