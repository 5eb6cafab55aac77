"""Run folders: what a training run leaves behind, and files that are whole or not there.

    runs/digits-1/   model.safetensors   the weights, with layer sizes and settings beside them
                     metrics.csv         one line an epoch
                     report.html         see report.py

Every file is written beside its place, brought to the disk and only then given its name: a full disk or a kill while saving
leaves the file that was there before.
"""
import contextlib
import csv
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

import rushlight as torch

from .train_digits import make_model

MODEL, METRICS, REPORT = "model.safetensors", "metrics.csv", "report.html"


class CommandError(Exception):
    """Something the user has to know, in one sentence; the command ends with exit code 1."""


def write_whole(path, content):
    """Write `content`, text or bytes, so that `path` holds either all of it or what it held before."""
    content = content.encode() if isinstance(content, str) else content
    path = Path(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            temporary = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # a temporary file is private; this one is like any other
        os.replace(temporary, path)
        temporary = None
        _bring_to_disk(path.parent)
    except OSError as error:
        kept = "; the one saved before is still there" if path.exists() else ""
        raise CommandError(f"{path} could not be written: {error.strerror or error}{kept}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _bring_to_disk(folder):
    """The renaming itself, where the system lets a folder be synchronized."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def new_run(out, task):
    """The folder of a new run: `out`, or the first free runs/TASK-N."""
    if out is None:
        numbers = (int(name) for entry in Path("runs").glob(f"{task}-*") if (name := entry.name[len(task) + 1:]).isdigit())
        out = Path("runs") / f"{task}-{max(numbers, default=0) + 1}"
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"{folder} exists already and is not empty; choose another folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{folder} could not be made: {error.strerror or error}") from error
    return folder


def save_model(folder, model, sizes, settings):
    """The weights of `model` as safetensors."""
    arrays = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in model.state_dict().items()}
    about = json.dumps({"task": "digits", "sizes": list(sizes), "settings": settings})  # one entry: several have no fixed order
    write_whole(folder / MODEL, safetensors.numpy.save(arrays, {"rushlight": about}))


def load_model(folder):
    """The trained model of a run folder."""
    folder = Path(folder)
    path = folder / MODEL
    if not folder.exists():
        raise CommandError(f"{folder} is no run folder: there is no such folder")
    if not folder.is_dir():
        raise CommandError(f"{folder} is no run folder but a file")
    if not path.is_file():
        raise CommandError(f"{folder} is no run folder: {MODEL} is missing")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {})["rushlight"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        model = make_model(about["sizes"])
        model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise CommandError(f"{path} is damaged or was not written by rushlight train: {_first_line(error)}") from error
    return model.eval()


def _first_line(error):
    return (str(error) or type(error).__name__).splitlines()[0]


def save_metrics(folder, epochs):
    """One line for each epoch; `epochs` is a list of dictionaries with the same keys."""
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(epochs[0]) if epochs else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in epoch.items()} for epoch in epochs)
    write_whole(folder / METRICS, table.getvalue())
