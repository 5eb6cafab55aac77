"""Object code kept on disk, so that a second process compiles nothing.

    $RUSHLIGHT_CACHE_DIR or the user's cache folder / rushlight /
        3f9a...e1.o     header | object code         one file for each compiled text
        .3f9a...e1.71   being written                renamed when complete

    header:  magic | sha256 of what follows | key | object code

The name is the hash of everything the code depends on, so an entry is never out of date.  An entry that is damaged or not ours
is as good as none and is written again.  No failure of the disk is ever an error here: the cache then holds nothing.  An empty
RUSHLIGHT_CACHE_DIR turns it off.  Start with `load` and `store`.
"""
import contextlib
import hashlib
import os
import sys
import threading
import time

import llvmlite

LIMIT_BYTES = 256 << 20
_FORMAT = 1  # raise it when the same text must be compiled otherwise than before
_MAGIC = b"rushlight object\n"
_PRUNINGS_PER_LIMIT = 32
_DAY = 86400.0


def key(text, target, passes=False, quick=False):
    """The name of what compiling `text` gives."""
    rest = (_FORMAT, llvmlite.__version__, target.triple, target.cpu, target.features, passes, quick)
    return hashlib.sha256(f"{rest}\n{text}".encode()).hexdigest()


def folder():
    """Where entries are, or None when the cache is off."""
    chosen = os.environ.get("RUSHLIGHT_CACHE_DIR")
    if chosen is not None:
        return chosen or None
    home = os.path.expanduser("~")
    if home == "~":  # nobody's: a service without a home keeps nothing
        return None
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches", "rushlight")
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"), "rushlight")


def load(name):
    """The object code stored under a key, or None."""
    directory = folder()
    if directory is None:
        return None
    path = os.path.join(directory, name + ".o")
    try:
        with open(path, "rb", buffering=0) as file:
            entry = file.read()
            age = time.time() - os.fstat(file.fileno()).st_mtime
    except (OSError, ValueError):
        return None
    content = entry[len(_MAGIC) + 32:]
    if entry[:len(_MAGIC) + 32] != _MAGIC + hashlib.sha256(content).digest() or content[:64] != name.encode():
        return None
    if age > _DAY:  # the time of writing serves as the time of last use, good to a day
        with contextlib.suppress(OSError):
            os.utime(path)
    return content[64:]


def store(name, image):
    """Keep object code under a key.  Written aside and renamed: readers see all of it or nothing."""
    directory = folder()
    if directory is None:
        return
    content = name.encode() + image
    aside = os.path.join(directory, f".{name}.{os.getpid()}.{threading.get_ident()}")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        try:
            with open(aside, "xb", buffering=0) as file:
                entry = _MAGIC + hashlib.sha256(content).digest() + content
                if file.write(entry) != len(entry):
                    raise OSError("the disk is full")
            os.replace(aside, os.path.join(directory, name + ".o"))
        except OSError:
            os.unlink(aside)
            return
    except (OSError, ValueError):
        return
    # Processes share no counter: one entry in so many prunes, the larger the likelier, drawn by its own hash.
    if int(name[:8], 16) * LIMIT_BYTES < len(image) * _PRUNINGS_PER_LIMIT << 32:
        prune(directory)


def prune(directory, limit=None):
    """Delete what was used longest ago until three quarters of the limit are left, and what broken writers left behind."""
    limit = LIMIT_BYTES if limit is None else limit
    entries, now = [], time.time()
    with contextlib.suppress(OSError), os.scandir(directory) as listing:
        for item in listing:
            with contextlib.suppress(OSError):
                status = item.stat()
                if item.name.endswith(".o"):
                    entries.append((status.st_mtime, status.st_size, item.path))
                elif item.name.startswith(".") and now - status.st_mtime > _DAY:
                    os.unlink(item.path)
    total = sum(size for _, size, _ in entries)
    if total <= limit:
        return
    for _, size, path in sorted(entries):
        if total <= limit * 3 // 4:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size
