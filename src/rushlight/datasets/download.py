"""Files from the network: with progress, a check, and going on where an earlier attempt stopped.

    train-images.gz.part    what has come so far; the next attempt asks for the rest of it
    train-images.gz         the whole file, its hash found right

Start with `fetched`.
"""
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

PIECE = 1 << 16  # bytes
PATIENCE = 30  # seconds without a byte


class DownloadError(RuntimeError):
    """No address gave the file, or not the right one."""


def fetched(urls, path, md5=None, sha256=None, progress=True):
    """Bring a file to `path` from the first of `urls` that gives it, unless it is there already; returns the path.

    What `md5` or `sha256` (in hexadecimal) is given must be the file's; a file that is there and has another one is fetched anew.
    DownloadError says what went wrong at each address.
    """
    path = Path(path)
    if path.is_file() and is_right(path, md5, sha256):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    troubles = []
    for url in urls:
        try:
            _fetch(url, part, progress)
        except (OSError, http.client.HTTPException, ValueError) as error:  # URLError and timeouts are OSErrors
            troubles.append(f"{url}: {getattr(error, 'reason', None) or error or type(error).__name__}")
            continue
        if is_right(part, md5, sha256):
            os.replace(part, path)
            return path
        part.unlink()
        troubles.append(f"{url}: what came is not the file that was expected, by its {'MD5' if md5 else 'SHA-256'} hash")
    raise DownloadError(f"{path.name} could not be downloaded\n" + "\n".join(f"    {trouble}" for trouble in troubles))


def is_right(path, md5=None, sha256=None):
    """Whether a file has the hashes that are given."""
    for wanted, kind in ((md5, hashlib.md5(usedforsecurity=False)), (sha256, hashlib.sha256())):
        if wanted is not None:
            with open(path, "rb") as file:
                while piece := file.read(1 << 20):
                    kind.update(piece)
            if kind.hexdigest() != wanted.lower():
                return False
    return True


def _fetch(url, part, progress):
    """Everything at `url` into the file `part`, which may have its beginning already."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "rushlight", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # there is no more: the file is whole, or it is another one, which its hash will tell
            error.close()
            return
        raise
    with answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if goes_on else 0  # a server that knows no ranges sends everything
        length = answer.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        with open(part, "ab" if goes_on else "wb") as file, _bar(url, total, have, progress) as advance:
            while piece := answer.read(PIECE):
                file.write(piece)
                have += len(piece)
                advance(len(piece))
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes; what came is kept, and the next attempt goes on "
                              "from there")


class _bar:
    """A progress bar, where there is a terminal and somebody wants it; entered, it gives a function to call with each piece's size."""

    def __init__(self, url, total, have, wanted):
        self.progress = None
        if wanted:
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
            self.progress = Progress(TextColumn("{task.description}"), BarColumn(bar_width=32), DownloadColumn(), TransferSpeedColumn(),
                                     TimeRemainingColumn(), transient=True)
            self.task = self.progress.add_task(url.rpartition("/")[2], total=total, completed=have)

    def __enter__(self):
        if self.progress is None:
            return lambda size: None
        self.progress.start()
        return lambda size: self.progress.advance(self.task, size)

    def __exit__(self, *_):
        if self.progress is not None:
            self.progress.stop()
