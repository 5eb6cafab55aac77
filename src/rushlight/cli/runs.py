"""Run folders: what a training run leaves behind.

    runs/digits-1/   settings.toml       what it was asked to do
                     model.safetensors   the weights, and beside them what is needed to use them
                     checkpoint.pt       all that going on needs: weights, optimizer, random numbers, place in the data, history
                     metrics.csv         one line an epoch
                     report.html         see report.py

Each file is whole or what it was before (serialization/files.py), also on a full disk or where the process is killed.
"""
import csv
import io
import json
import pickle
from pathlib import Path

import rushlight as torch

from ..serialization import safetensors
from ..serialization.files import whole_file
from . import settings as settings_files
from .errors import CommandError, reason

SETTINGS, MODEL, CHECKPOINT, METRICS, REPORT = "settings.toml", "model.safetensors", "checkpoint.pt", "metrics.csv", "report.html"
FORMAT = 1  # of checkpoints


def write_whole(path, content):
    """Write `content`, text or bytes, so that `path` holds either all of it or what it held before."""
    try:
        with whole_file(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        kept = "; the one saved before is still there" if Path(path).exists() else ""
        raise CommandError(f"{path} could not be written: {reason(error)}{kept}") from error


def new_run(out, task):
    """The folder of a new run: `out`, or the first free runs/TASK-N."""
    if out is None:
        numbers = (int(name) for entry in Path("runs").glob(f"{task}-*") if (name := entry.name[len(task) + 1:]).isdigit())
        out = Path("runs") / f"{task}-{max(numbers, default=0) + 1}"
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CommandError(f"{folder} exists already and is not empty; choose another folder with --out, or go on with --resume")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{folder} could not be made: {reason(error)}") from error
    return folder


def file_of(folder, name):
    """The path of a run's file; CommandError where there is none."""
    folder = Path(folder)
    if not folder.exists():
        raise CommandError(f"{folder} is no run folder: there is no such folder")
    if not folder.is_dir():
        raise CommandError(f"{folder} is no run folder but a file")
    if not (folder / name).is_file():
        raise CommandError(f"{folder} is no run folder: {name} is missing")
    return folder / name


def damaged(path, error):
    """What to say of a file that cannot be what it should."""
    return CommandError(f"{path} is damaged or was not written by rushlight train: {reason(error)}")


# The files ----------------------------------------------------------------------------------------------------------

def save_settings(folder, settings):
    write_whole(folder / SETTINGS, settings_files.written(settings))


def load_settings(folder):
    """What a run was asked to do."""
    settings, _ = settings_files.settings_of({"config": file_of(folder, SETTINGS)})
    return settings


def save_model(folder, model, about):
    """The weights of `model` as safetensors; `about` is a dictionary of what else is needed to use it."""
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_whole(folder / MODEL, safetensors.save(state, {"rushlight": json.dumps(about)}))  # one entry: several have no fixed order


def load_model(folder, task, make_model):
    """The trained model of a run, and what was saved about it; `make_model(about)` makes an untrained one."""
    path = file_of(folder, MODEL)
    try:
        about = json.loads(safetensors.metadata_of(path)["rushlight"])
        if about["task"] != task:
            raise CommandError(f"{folder} learned {about['task']}, not {task}: it is for rushlight "
                               f"{'generate' if about['task'] == 'text' else 'predict'}")
        model = make_model(about)
        model.load_state_dict(safetensors.load_file(path))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise damaged(path, error) from error
    return model.eval(), about


def save_checkpoint(folder, state):
    """All that going on needs."""
    content = io.BytesIO()
    torch.save({"format": FORMAT, **state}, content)
    write_whole(folder / CHECKPOINT, content.getvalue())


def load_checkpoint(folder):
    """What `save_checkpoint` saved."""
    if not (Path(folder) / CHECKPOINT).exists():
        again = f"rushlight train --config {Path(folder) / SETTINGS}"
        raise CommandError(f"the run in {folder} stopped before its first checkpoint; {again} begins anew")
    path = file_of(folder, CHECKPOINT)
    try:
        state = torch.load(path)
        if state["format"] != FORMAT:
            raise CommandError(f"{path} is of format {state['format']}; this version of Rushlight goes on with format {FORMAT}")
    except (OSError, EOFError, LookupError, ValueError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        raise damaged(path, error) from error
    return state


def save_metrics(folder, epochs):
    """One line for each epoch; `epochs` is a list of dictionaries with the same keys."""
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(epochs[0]) if epochs else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in epoch.items()} for epoch in epochs)
    write_whole(folder / METRICS, table.getvalue())
