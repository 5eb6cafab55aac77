"""Objects between the loader and its workers: a pickle through a socket, and large arrays beside it in shared memory.

    worker                                              loader
      pickle --> sizes | bytes        -- socket -->       recv
      arrays --> a nameless file in memory --- fd --->    mapped: the tensors lie in it

The file has no name, so nothing is left behind whoever dies when.  A channel is a pair of sockets of one worker alone: when a worker
dies, even in the middle of a message, no other is disturbed, and the loader reads the end of the file.  Start with `Channel`.
"""
import mmap
import os
import pickle
import socket
import struct
import tempfile
import weakref

from ...tensors.tensor import Tensor

LARGE = 1 << 16   # bytes from which an array goes through shared memory
_ALIGNMENT = 64
_MAPPING = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
_loaders_ends = weakref.WeakSet()  # of the channels of this process; in the child of a fork they are to be closed


class _Pickler(pickle.Pickler):
    """Takes along of a tensor only what it covers of its storage, not the whole data set that it may be a row of."""

    def reducer_override(self, obj):
        if type(obj) is Tensor and obj.is_leaf:
            place = obj._stored()
            if place.span() * place.dtype.itemsize < place.storage.size:
                return obj.detach().clone().requires_grad_(obj.requires_grad).__reduce_ex__(5)
        return NotImplemented


def packed(obj):
    """(bytes, large arrays) of an object; raises what pickling it raises."""
    arrays = []

    def apart(buffer):
        raw = buffer.raw()
        if raw.nbytes < LARGE:
            return True  # in the pickle itself
        arrays.append(raw)
        return False
    content = _Content()
    _Pickler(content, 5, buffer_callback=apart).dump(obj)
    sizes = [array.nbytes for array in arrays]
    return b"".join([struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes), *content.parts]), arrays


class _Content:
    """A file that keeps what is written to it in parts."""

    def __init__(self):
        self.parts = []

    def write(self, part):
        self.parts.append(bytes(part))


class Channel:
    """One end of the way between a loader and a worker.  `connection` is that end of a `multiprocessing.Pipe`."""

    def __init__(self, connection):
        self.connection = connection

    @classmethod
    def pair(cls, context):
        """The loader's end, and the connection for a worker to make its own end of."""
        ours, theirs = context.Pipe(duplex=True)
        made = cls(ours)
        _loaders_ends.add(made)
        return made, theirs

    def send(self, obj):
        """Send an object."""
        self.send_packed(packed(obj))

    def send_packed(self, message):
        """Send what `packed` made."""
        content, arrays = message
        self.connection.send_bytes(content)
        if arrays:
            descriptor = _shared_file()
            try:
                for array in arrays:
                    _write(descriptor, array)
                with socket.socket(fileno=os.dup(self.connection.fileno())) as way:
                    socket.send_fds(way, [b"\0"], [descriptor])
            finally:
                os.close(descriptor)

    def receive(self):
        """The next object; EOFError or OSError when the other side is gone."""
        content = memoryview(self.connection.recv_bytes())
        count, = struct.unpack_from("<I", content)
        sizes = struct.unpack_from(f"<{count}Q", content, 4)
        return pickle.loads(content[4 + 8 * count:], buffers=self._shared(sizes) if count else ())

    def _shared(self, sizes):
        """The large arrays of a message, in the shared memory whose descriptor follows it."""
        with socket.socket(fileno=os.dup(self.connection.fileno())) as way:
            _, descriptors, _, _ = socket.recv_fds(way, 1, 1)
        if not descriptors:
            raise EOFError
        starts, end = [], 0
        for size in sizes:
            starts.append(end)
            end += size + -size % _ALIGNMENT
        try:
            memory = memoryview(mmap.mmap(descriptors[0], end, _MAPPING))
        finally:
            os.close(descriptors[0])
        return [memory[start:start + size] for start, size in zip(starts, sizes)]

    def close(self):
        if not self.connection.closed:
            self.connection.close()


def close_loaders_ends():
    """Close what a forked worker has inherited of its loader's ends, so that the loader is the only one who holds them."""
    for channel in list(_loaders_ends):
        channel.close()


def _shared_file():
    """The descriptor of a new file without a name, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("rushlight-batch", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(descriptor, array):
    """An array, and zeros up to where the next may begin."""
    left = memoryview(array)
    while len(left):
        left = left[os.write(descriptor, left):]
    os.write(descriptor, bytes(-array.nbytes % _ALIGNMENT))
