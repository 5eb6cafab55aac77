"""torch.hub: models and weights from elsewhere, kept in a directory of this machine.

    state = torch.hub.load_state_dict_from_url("https://.../resnet18-f37072fd.pth")       downloaded once
    model = torch.hub.load("path/to/repository", "entry", source="local", pretrained=True)

A file is whole or not there: it is downloaded beside its place and moved there when its hash is right.
https://docs.pytorch.org/docs/stable/hub.html
"""
import errno
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import Request, urlopen

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_CHUNK = 1 << 17
_chosen = []


class tqdm:
    """PyTorch's name for a bar of progress, which other libraries take from here: it counts, and shows nothing."""

    def __init__(self, iterable=None, total=None, **_):
        self.iterable, self.total, self.n = iterable, total, 0

    def __iter__(self):
        for item in self.iterable:
            yield item
            self.n += 1

    def update(self, n=1):
        """So much more is done."""
        self.n += n

    def close(self):
        """Nothing has to be closed."""

    set_description = set_postfix = set_postfix_str = lambda self, *_, **__: None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _get_torch_home():
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir():
    """Where models and weights are kept: what `set_dir` was given, else $TORCH_HOME/hub, else $XDG_CACHE_HOME/torch/hub."""
    return _chosen[-1] if _chosen else os.path.join(_get_torch_home(), "hub")


def set_dir(d):
    """Keep models and weights in this directory from now on."""
    _chosen[:] = [os.path.expanduser(d)]


def download_url_to_file(url, dst, hash_prefix=None, progress=True):
    """Write what is at `url` (http:, https: or file:) to the file `dst`.

    RuntimeError where the SHA-256 of the content does not begin with `hash_prefix`; then no file is there.
    """
    from rich.progress import DownloadColumn, Progress
    target = os.path.expanduser(dst)
    digest = hashlib.sha256()
    with urlopen(Request(url, headers={"User-Agent": "torch.hub"})) as source:
        length = source.headers.get("Content-Length")
        with tempfile.NamedTemporaryFile(delete=False, dir=os.path.dirname(os.path.abspath(target)), suffix=".partial") as file:
            try:
                with Progress(*Progress.get_default_columns(), DownloadColumn(), disable=not progress) as bar:
                    task = bar.add_task(os.path.basename(target), total=int(length) if length else None)
                    while chunk := source.read(_CHUNK):
                        file.write(chunk)
                        digest.update(chunk)
                        bar.advance(task, len(chunk))
                if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
                    raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
                file.close()
                shutil.move(file.name, target)
            finally:
                if os.path.exists(file.name):
                    os.remove(file.name)


def load_state_dict_from_url(url, model_dir=None, map_location=None, progress=True, check_hash=False, file_name=None, weights_only=False):
    """What is saved at `url`, which is downloaded unless `model_dir` (by default `get_dir()`/checkpoints) has the file already.

    With `check_hash` the file's name holds the beginning of its SHA-256: "name-0123abcd.pth".  A zip archive that holds one file is unpacked.
    """
    from .serialization import load
    directory = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(directory, exist_ok=True)
    cached = os.path.join(directory, file_name or os.path.basename(urlparse(url).path))
    if not os.path.exists(cached):
        if progress:
            print(f'Downloading: "{url}" to {cached}\n', file=sys.stderr)
        found = HASH_REGEX.search(os.path.basename(cached)) if check_hash else None
        download_url_to_file(url, cached, found.group(1) if found else None, progress)
    if _is_archive_around_one_file(cached):
        with zipfile.ZipFile(cached) as archive:
            [member] = archive.infolist()
            archive.extractall(directory)
        cached = os.path.join(directory, member.filename)
    return load(cached, map_location=map_location, weights_only=weights_only)


def _is_archive_around_one_file(path):
    """Whether a file is a zip archive that holds one file, and so not one that `torch.save` wrote."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return len(archive.infolist()) == 1


def _repository(repo_or_dir, source):
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    if source == "local":
        return Path(repo_or_dir)
    owner_and_name, _, ref = repo_or_dir.partition(":")
    owner, name = owner_and_name.split("/")
    for branch in (ref,) if ref else ("main", "master"):
        place = Path(get_dir()) / "_".join((owner, name, branch.replace("/", "_")))
        if place.exists():
            return place
    raise FileNotFoundError(errno.ENOENT, f"torch.hub downloads no repositories; put {repo_or_dir} there yourself, or use source='local'",
                            str(place))


def _entries(directory):
    """The module hubconf.py of a repository, whose functions are what can be loaded."""
    path = Path(directory) / "hubconf.py"
    sys.path.insert(0, str(directory))
    try:
        spec = importlib.util.spec_from_file_location("hubconf", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(directory))
    missing = [name for name in getattr(module, "dependencies", []) if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    return module


def _entry(directory, model):
    found = getattr(_entries(directory), model, None)
    if not callable(found):
        raise RuntimeError(f"Cannot find callable {model} in hubconf")
    return found


def list(github, force_reload=False, skip_validation=False, trust_repo=None, verbose=True):
    """The names that can be loaded from a repository (or a directory)."""
    module = _entries(_repository(github, "local" if os.path.isdir(github) else "github"))
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]


def help(github, model, force_reload=False, skip_validation=False, trust_repo=None):
    """The docstring of a name in a repository (or a directory)."""
    return _entry(_repository(github, "local" if os.path.isdir(github) else "github"), model).__doc__


def load(repo_or_dir, model, *args, source="github", trust_repo=None, force_reload=False, verbose=True, skip_validation=False, **kwargs):
    """What the function `model` of a repository's hubconf.py makes of the arguments.

    Repositories are looked for in `get_dir()` (or, with source="local", are a directory): their code is run, so none is downloaded.
    """
    if force_reload:
        warnings.warn("torch.hub.load: repositories are never downloaded, so force_reload changes nothing", stacklevel=2)
    return _entry(_repository(repo_or_dir, source), model)(*args, **kwargs)
