"""MNIST and FashionMNIST: 60,000 pictures to learn from and 10,000 to test, 28 x 28 grey pixels.

    root/MNIST/raw/train-images-idx3-ubyte.gz     the file as it comes, or unpacked, as torchvision leaves it

An IDX file is a magic number (type of the elements, number of dimensions), the extents, and the elements, big-endian.
"""
import gzip
import zlib

import numpy as np

import rushlight as torch

from .download import fetched
from .vision import VisionDataset

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class MNIST(VisionDataset):
    """Handwritten digits (Y. LeCun, C. Cortes, C. J. C. Burges): `data` (N, 28, 28) bytes, `targets` (N,), as tensors.

    `root/MNIST/raw` holds the files.  RuntimeError where they are missing or damaged
    (https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.MNIST.html).
    """

    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = ["0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"]

    @property
    def raw_folder(self):
        """Where the files are."""
        return self.root / type(self).__name__ / "raw"

    def download(self):
        for name, md5 in self.resources:
            if not (self.raw_folder / name.removesuffix(".gz")).is_file():
                fetched([mirror + name for mirror in self.mirrors], self.raw_folder / name, md5=md5)

    def read(self):
        part = "train" if self.train else "t10k"
        pictures, labels = (self._read(f"{part}-{what}") for what in ("images-idx3-ubyte", "labels-idx1-ubyte"))
        if pictures.ndim != 3 or labels.shape != pictures.shape[:1]:
            raise RuntimeError(f"{type(self).__name__}: the files in {self.raw_folder} do not belong together: "
                               f"pictures of shape {pictures.shape}, labels of shape {labels.shape}")
        return torch.from_numpy(pictures), torch.from_numpy(labels.astype(np.int64))

    def _read(self, name):
        unpacked, packed = self.raw_folder / name, self.raw_folder / (name + ".gz")
        if unpacked.is_file():
            return read_idx(unpacked)
        if packed.is_file():
            return read_idx(packed)
        raise self.missing(packed)

    def sample(self, index):
        return self._memory_of("data")[index], int(self._memory_of("targets")[index])

    def _memory_of(self, name):
        """The memory of a tensor as an array: a sample is read from it without a call to be recorded.  The tensor may have been
        replaced.
        """
        tensor = getattr(self, name)
        known = self.__dict__.setdefault("_memory", {}).get(name)
        if known is None or known[0] is not tensor:
            self._memory[name] = known = tensor, tensor.numpy()
        return known[1]


class FashionMNIST(MNIST):
    """Pictures of clothes (H. Xiao, K. Rasul, R. Vollgraf, 2017), in the form of MNIST
    (https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.FashionMNIST.html)."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def read_idx(path):
    """The array in an IDX file, packed by gzip or not; RuntimeError where it is none."""
    try:
        with open(path, "rb") as file:
            content = file.read()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise RuntimeError(f"{path} could not be read: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise RuntimeError(f"{path} is no IDX file: it does not begin like one")
    dtype, dims = np.dtype(_TYPES[content[2]]), content[3]
    shape = tuple(np.frombuffer(content, ">u4", min(dims, (len(content) - 4) // 4), 4).tolist())
    expected = 4 + 4 * dims + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if len(shape) < dims or len(content) != expected:
        raise RuntimeError(f"{path} is damaged: it announces {expected:,} bytes for an array of shape {shape} and has {len(content):,}")
    return np.frombuffer(content, dtype, offset=4 + 4 * dims).reshape(shape).astype(dtype.newbyteorder("="))
