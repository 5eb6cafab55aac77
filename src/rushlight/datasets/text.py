"""Texts as data: which character follows.

    "to be"   ->   numbers of a vocabulary   ->   windows   x = 3 2 0 1   y = 2 0 1 0   (each character's successor)

`Characters` cuts any text, `TextFile` reads or downloads one, `python_text` is one that every Python has with it.
"""
import os
from pathlib import Path

import numpy as np

import rushlight as torch

from ..utils.data import TensorDataset
from .download import fetched


class Characters(TensorDataset):
    """Windows of a text: sample i is (x, y), each `length` numbers, y being x moved on by one character.

    The last part of the text, a share of `held_out`, is kept for testing: `train=False` gives its windows.  `vocabulary` is a string of all
    characters in the text, in the order of their code points; a character's number is its place in it.

    >>> x, y = Characters("to be or not to be, that is the question", length=8)[0]
    >>> x.shape, bool((x[1:] == y[:-1]).all())
    (torch.Size([8]), True)
    """

    def __init__(self, text, train=True, length=64, held_out=0.1):
        characters, numbers = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
        self.vocabulary = "".join(map(chr, characters.tolist()))
        boundary = len(text) - int(len(text) * held_out)
        part = slice(0, boundary) if train else slice(boundary, None)
        self.text, self.length = text[part], length
        numbers = np.ascontiguousarray(numbers[part], dtype=np.int64)
        windows = (len(numbers) - 1) // length
        if windows < 1:
            raise ValueError(f"a text of {len(text):,} characters is too short: its {'first' if train else 'last'} {len(numbers):,} "
                             f"are no window of {length} and the character after it")
        self.codes = torch.from_numpy(numbers)
        x, y = (torch.from_numpy(numbers[start:start + windows * length].reshape(windows, length).copy()) for start in (0, 1))
        super().__init__(x, y)


class TextFile(Characters):
    """The windows of a text file in UTF-8; see `Characters` for `train`, `length` and `held_out`.

    `root` is the file, or with a `url` the folder in which it lies; `download=True` fetches it there if it is not yet (`sha256`: its hash).

    Raises FileNotFoundError, and ValueError where the file is no text or too short.
    """

    def __init__(self, root, train=True, download=False, *, url=None, sha256=None, length=64, held_out=0.1):
        self.path = Path(root) if url is None else Path(root) / url.rpartition("/")[2]
        if url is not None and download:
            fetched([url], self.path, sha256=sha256)
        super().__init__(read_text(self.path), train, length, held_out)


def read_text(path):
    """The text of a file in UTF-8, its lines ended by "\\n"; ValueError where it is none."""
    with open(path, "rb") as file:
        content = file.read()
    if b"\0" in content:
        raise ValueError(f"{path} is no text: it has zero bytes, as programs and pictures do")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: byte {error.start:,} is {content[error.start]:#04x}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def python_text():
    """The licence and the language reference that come with Python: about 480,000 characters, always the same for one version of Python.

    Some systems keep the licence elsewhere; then it is left out.
    """
    from pydoc_data.topics import topics
    library = Path(os.__file__).parent
    licences = [library / name for name in ("LICENSE.txt", "LICENSE") if (library / name).is_file()]
    parts = [read_text(path) for path in licences[:1]]
    return "\n\n".join([*parts, *(topics[name] for name in sorted(topics))])
