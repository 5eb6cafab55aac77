"""The zip archives that PyTorch's .pt and .pth files are: an object's pickle, and each storage's bytes as a record of its own.

    model/data.pkl     the pickle; where a storage is meant it says ("storage", type, "0", "cpu", elements)
    model/data/0       the bytes of storage "0", uncompressed, at a multiple of 64 in the file, so that it can be mapped into memory
    model/byteorder    "little"
    model/version      "3"

Nothing is ever unpacked to the disk: records are read by name.  An archive's table of contents is not believed: records are uncompressed,
lie inside the file, and have the checksum that they claim.  Layout: https://docs.pytorch.org/docs/stable/notes/serialization.html
"""
import mmap
import os
import struct
import zipfile
import zlib

import numpy as np

from .files import name_of

ALIGNMENT = 64
NEWEST_VERSION = 10  # of the files that are read; those that are written are of version 3
_CHUNK = 1 << 22


class ArchiveWriter:
    """Writes an archive to a binary file, whose records are called `root`/..."""

    def __init__(self, file, root):
        self.root, self.zip = root, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.zip.close()
        else:
            self.zip.fp = None  # what is there is no archive, and shall not get the end of one

    def add(self, name, content):
        """A record, its bytes aligned by a field of padding in its header."""
        record = zipfile.ZipInfo(f"{self.root}/{name}", (1980, 1, 1, 0, 0, 0))  # the same content is the same file
        content = memoryview(content)
        large = 20 if content.nbytes * 1.05 > zipfile.ZIP64_LIMIT else 0  # where zipfile adds a field of its own
        start = self.zip.start_dir + 30 + len(record.filename.encode()) + large + 4
        padding = -start % ALIGNMENT
        record.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        record.file_size = content.nbytes
        with self.zip.open(record, "w") as target:
            for i in range(0, content.nbytes, _CHUNK):
                target.write(content[i:i + _CHUNK])


class Archive:
    """An archive in a binary file that can be read from and sought in.  RuntimeError, naming the file, where it is damaged."""

    def __init__(self, file):
        self.file, self.name = file, name_of(file)
        try:
            self.zip = zipfile.ZipFile(file)
            records = self.zip.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, UnicodeError, EOFError) as error:
            raise self.damaged(f"it begins like a zip archive, but its table of contents cannot be read ({error})") from error
        size = file.seek(0, os.SEEK_END)
        if len({record.filename for record in records}) < len(records):
            raise self.damaged("it has two records of one name")
        if sum(record.compress_size for record in records) > size:
            raise self.damaged(f"its records claim to be larger than the whole file of {size} bytes")
        if any(record.header_offset < 0 for record in records):
            raise self.damaged("a record claims to lie before the beginning of the file")
        if any(record.filename.endswith("/constants.pkl") for record in records):
            raise RuntimeError(f"load: {self.name} is a TorchScript archive; Rushlight reads what torch.save wrote")
        roots = [record.filename[:-len("data.pkl")] for record in records if record.filename.count("/") == 1
                 and record.filename.endswith("/data.pkl")]
        if len(roots) != 1:
            raise self.damaged("it is a zip archive without a data.pkl in its one folder, so torch.save did not write it")
        self.root = roots[0]
        version = self.read("version") if self.has("version") else b"3"
        if not version.strip().isdigit() or int(version) > NEWEST_VERSION:
            raise RuntimeError(f"load: {self.name} has format version {version.strip()[:20]!r}; "
                               f"{NEWEST_VERSION} is the newest that is known")
        self.swapped = self.has("byteorder") and self.read("byteorder") == b"big"

    def damaged(self, why):
        return RuntimeError(f"load: {self.name} is damaged: {why}")

    def has(self, name):
        return self.root + name in self.zip.NameToInfo

    def _record(self, name):
        """(where its bytes begin, how many there are, their checksum)"""
        record = self.zip.NameToInfo.get(self.root + name)
        if record is None:
            raise self.damaged(f"the record {name} is missing")
        if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1 or record.compress_size != record.file_size:
            raise self.damaged(f"the record {name} is compressed or encrypted, which torch.save never does")
        self.file.seek(record.header_offset)
        header = self.file.read(30)
        if len(header) != 30 or header[:4] != b"PK\x03\x04":
            raise self.damaged(f"the record {name} is not where the table of contents says")
        length, extra = struct.unpack("<HH", header[26:30])
        if self.file.read(length) != record.orig_filename.encode():
            raise self.damaged(f"the record {name} has another name in its own header")
        return record.header_offset + 30 + length + extra, record.file_size, record.CRC

    def size(self, name):
        """How many bytes a record has."""
        return self._record(name)[1]

    def read(self, name):
        """A record's bytes."""
        content = bytearray(self.size(name))
        self.read_into(name, memoryview(content))
        return bytes(content)

    def read_into(self, name, target):
        """Fill a memoryview of the record's size."""
        start, _, checksum = self._record(name)
        self.file.seek(start)
        found = 0
        for i in range(0, len(target), _CHUNK):
            part = target[i:i + _CHUNK]
            if _fill(self.file, part) < len(part):
                raise self.damaged(f"it ends in the middle of the record {name}")
            found = zlib.crc32(part, found)
        if checksum not in (0, found):  # 0: written without (torch.serialization.set_crc32_options)
            raise self.damaged(f"the record {name} has the checksum {found:08x} and not {checksum:08x}")

    def mapped(self, name, memory):
        """A record's bytes in `memory`, the whole file mapped."""
        start, size, _ = self._record(name)
        if start + size > len(memory):
            raise self.damaged(f"it ends in the middle of the record {name}")
        return np.frombuffer(memory, np.uint8, size, start)

    def map(self):
        """The whole file mapped into memory; what is written there stays in this process."""
        return mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_COPY)


def _fill(file, target):
    """Read until `target` is full; the number of bytes that there were."""
    filled = 0
    while filled < len(target):
        if hasattr(file, "readinto"):
            count = file.readinto(target[filled:])
        else:
            content = file.read(len(target) - filled)
            count = len(content)
            target[filled:filled + count] = content
        if not count:
            break
        filled += count
    return filled
