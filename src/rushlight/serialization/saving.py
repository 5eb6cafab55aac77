"""`save`: any object to a file that PyTorch loads too.

    save({"w": w, "lr": 0.1}, "model.pt")     pickle -> model/data.pkl      bytes of w's storage -> model/data/0

The pickler is Python's own, written in Python, for two reasons: it writes names of PyTorch's that need not be importable here, and a
storage where it finds one as a reference to a record.  Start with `save`.
"""
import io
import pickle
import sys
import types
from pathlib import Path

from ..ir.dtypes import DType
from ..runtime.storage import Storage
from ..tensors.pickling import TypedStorage
from ..tensors.storages import UntypedStorage
from . import names
from .archive import ArchiveWriter
from .files import is_path, whole_file


def save(obj, f, pickle_module=pickle, pickle_protocol=2, _use_new_zipfile_serialization=True, _disable_byteorder_record=False):
    """Save an object to a file (https://docs.pytorch.org/docs/stable/generated/torch.save.html).

    `f` is a path or a binary file to write to.  Tensors, Parameters, state dictionaries and plain containers come out as PyTorch's own,
    and PyTorch loads them with `weights_only=True`; whole modules are pickled as Rushlight's classes.  Tensors that share a storage share
    it again when loaded.  A file given by its path is written aside and renamed: it holds all of the object, or what it held before.

    Raises RuntimeError where two tensors see one storage as different dtypes, or where the folder is not there.

    >>> save({"weight": torch.ones(2)}, "model.pt")
    """
    if not _use_new_zipfile_serialization:
        raise NotImplementedError("save: files of the format before PyTorch 1.6 are read but not written")
    if not is_path(f):
        if not hasattr(f, "write"):
            raise AttributeError(f"save: expected a path or a file with a method write, but got {type(f).__name__}")
        file = f if hasattr(f, "flush") else io.BytesIO()
        _write(obj, file, "archive", pickle_module, pickle_protocol, _disable_byteorder_record)
        if file is not f:
            f.write(file.getvalue())
        return
    path = Path(f)
    if not path.parent.is_dir():
        raise RuntimeError(f"save: the folder {path.parent} of {path.name} does not exist")
    with whole_file(path) as file:
        _write(obj, file, path.stem if path.stem.isprintable() else "archive", pickle_module, pickle_protocol, _disable_byteorder_record)


def _write(obj, file, root, pickle_module, protocol, without_byteorder):
    content = io.BytesIO()
    pickler = _pickler_class(pickle_module)(content, protocol)
    pickler.storages = {}
    pickler.dump(obj)
    with ArchiveWriter(file, root) as archive:
        archive.add("data.pkl", content.getbuffer())
        archive.add(".format_version", b"1")
        archive.add(".storage_alignment", b"64")
        if not without_byteorder:
            archive.add("byteorder", sys.byteorder.encode())
        for storage, _, key in pickler.storages.values():
            archive.add(f"data/{key}", storage.block.bytes[:storage.size])
        archive.add("version", b"3\n")


def _pickler_class(module):
    """The pickler of a pickle module, with PyTorch's names and with storages kept apart."""
    base = getattr(module, "_Pickler", module.Pickler)
    if not issubclass(base, pickle._Pickler):
        raise TypeError(f"save: the Pickler of {module.__name__} is not written in Python and cannot write PyTorch's names")

    class Pickler(base):
        storages: dict  # by identity: (Storage, the dtype that it is seen as, its record's key)
        dispatch = base.dispatch.copy()

        def persistent_id(self, obj):
            if isinstance(obj, TypedStorage):
                kind = names.storage_type_of(obj.dtype)
                return self.refer(obj.storage, kind.dtype, kind, obj.storage.size if kind is names.UNTYPED else obj.numel())
            if isinstance(obj, UntypedStorage):
                return self.refer(obj._storage, None, names.UNTYPED, obj.nbytes())
            if isinstance(obj, Storage):
                raise RuntimeError("save: a storage can only be saved with its tensor")
            return None

        def refer(self, storage, dtype, kind, numel):
            """The reference to a storage's record."""
            _, seen, key = self.storages.setdefault(id(storage), (storage, dtype, str(len(self.storages))))
            if seen is not dtype:
                raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types: "
                                   f"{seen} and {dtype}; clone one of them first")
            return "storage", kind, key, "cpu", numel

        def save_global(self, obj, name=None):
            named = names.WRITTEN.get(id(obj))
            if named is None:
                super().save_global(obj, name)
                return
            if self.proto >= 4:
                self.save(named[0])
                self.save(named[1])
                self.write(pickle.STACK_GLOBAL)
            else:
                self.write(pickle.GLOBAL + f"{named[0]}\n{named[1]}\n".encode())
            self.memoize(obj)

        def save_layout(self, obj):
            self.save_reduce(names.get_layout, (repr(obj),), obj=obj)

        dispatch.update(dict.fromkeys((names.StorageType, DType, types.FunctionType), save_global))
        dispatch[type(names.strided)] = save_layout

    return Pickler
