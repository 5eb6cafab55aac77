"""Files that are whole or not there: written aside, brought to the disk, and only then given their name.

    model.pt                     what was saved before
    .model.pt-4711-9f3a2c        being written ... on the disk ... renamed to model.pt

A full disk, an error or a kill while saving leaves the file that was there before.  Start with `whole_file`.
"""
import contextlib
import os
import secrets
import stat
from pathlib import Path


@contextlib.contextmanager
def whole_file(path):
    """A binary file to write to; `path` holds all of it once the block has ended, and what it held before if the block raises.

    What `path` names is replaced where a symbolic link leads, and keeps its permissions.  Pipes and devices are simply written to.
    """
    path = Path(os.path.realpath(path))
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        with open(path, "wb") as file:
            yield file
        return
    aside = path.with_name(f".{path.name[:200]}-{os.getpid()}-{secrets.token_hex(3)}")
    try:
        with open(aside, "xb") as file:
            yield file
            file.flush()
            if mode is not None:
                os.chmod(aside, stat.S_IMODE(mode))
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        if isinstance(error, OSError) and error.errno is not None:
            error.filename, error.filename2 = str(path), None  # the name that the user knows
        raise
    _bring_to_disk(path.parent)


def _bring_to_disk(folder):
    """The renaming itself, where the system lets a folder be synchronized."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_path(file):
    """Whether a file is given by its name."""
    return isinstance(file, (str, os.PathLike))


def name_of(file):
    """How messages call a file: its path, or what else is known of it."""
    if is_path(file):
        return os.fspath(file)
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else f"<{type(file).__name__}>"
