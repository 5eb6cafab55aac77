"""CIFAR-10 and CIFAR-100: 50,000 pictures to learn from and 10,000 to test, 32 x 32 pixels in colour.

    root/cifar-10-python.tar.gz        the file as it comes
    root/cifar-10-batches-py/...       what is in it, as torchvision unpacks it; read where it is there

The batches are pickles of Python 2.  They are read by an unpickler that makes arrays and plain containers and nothing else.
"""
import codecs
import io
import pickle
import tarfile
import zlib

import numpy as np

from .download import fetched
from .vision import VisionDataset

_array = np.zeros(0).__reduce__()[0]  # how NumPy's own pickles make arrays
_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _array, ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype, ("_codecs", "encode"): codecs.encode,
}


class CIFAR10(VisionDataset):
    """Pictures of ten kinds of things (A. Krizhevsky, 2009): `data` (N, 32, 32, 3) bytes, `targets` a list of numbers.

    RuntimeError where the files are missing or damaged
    (https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.CIFAR10.html).
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_files = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"]
    test_files = ["test_batch"]
    about, names, labels = "batches.meta", "label_names", "labels"

    @property
    def archive(self):
        """The path of the file as it comes."""
        return self.root / self.url.rpartition("/")[2]

    def download(self):
        if not all((self.root / self.base_folder / name).is_file() for name in (*self.train_files, *self.test_files, self.about)):
            fetched([self.url], self.archive, md5=self.tgz_md5)

    def read(self):
        files = self._files((*(self.train_files if self.train else self.test_files), self.about))
        self.classes = self._entry(files, self.about, self.names, list)
        pictures, targets = [], []
        for name in self.train_files if self.train else self.test_files:
            rows, labels = self._entry(files, name, "data", np.ndarray), self._entry(files, name, self.labels, list)
            if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape != (len(labels), 3 * 32 * 32):
                raise RuntimeError(f"{type(self).__name__}: {name} is damaged: {len(labels)} labels and pixels of shape {rows.shape}")
            pictures.append(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            targets += labels
        return np.ascontiguousarray(np.concatenate(pictures)), targets

    def _files(self, names):
        """The contents of files by name: from the folder where they all are, else out of the archive."""
        folder = self.root / self.base_folder
        if all((folder / name).is_file() for name in names):
            return {name: (folder / name).read_bytes() for name in names}
        if not self.archive.is_file():
            raise self.missing(self.archive)
        wanted = {f"{self.base_folder}/{name}": name for name in names}
        try:
            with tarfile.open(self.archive, "r:gz") as archive:
                members = [member for member in archive if member.name in wanted and member.isfile()]
                found = {wanted[member.name]: archive.extractfile(member).read() for member in members}
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise RuntimeError(f"{type(self).__name__}: {self.archive} is damaged: {error}") from error
        if lacking := [name for name in names if name not in found]:
            raise RuntimeError(f"{type(self).__name__}: {self.archive} is damaged: {', '.join(lacking)} is not in it")
        return found

    def _entry(self, files, name, key, kind):
        """One entry of a pickled dictionary."""
        try:
            entry = _Unpickler(io.BytesIO(files[name]), encoding="latin1").load()[key]
        except Exception as error:  # a damaged pickle may raise anything
            raise RuntimeError(f"{type(self).__name__}: {name} is damaged: {error or type(error).__name__}") from error
        if not isinstance(entry, kind):
            raise RuntimeError(f"{type(self).__name__}: {name} is damaged: its {key} is a {type(entry).__name__}")
        return entry


class CIFAR100(CIFAR10):
    """The same with a hundred kinds (https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.CIFAR100.html)."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_files, test_files = ["train"], ["test"]
    about, names, labels = "meta", "fine_label_names", "fine_labels"


class _Unpickler(pickle.Unpickler):
    """Makes arrays, numbers, texts and plain containers."""

    def find_class(self, module, name):
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which data do not need")
        return _ADMITTED[module, name]
