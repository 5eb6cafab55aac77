"""What a training run goes by, and where each setting comes from.

    command line   over   configuration file (TOML)   over   what suits the task and the model

A run folder keeps its settings as such a file: `rushlight train --config runs/digits-1/settings.toml` does the same again.
Start with `settings_of`.
"""
import difflib
import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from .errors import CommandError, reason

SUITABLE = {  # epochs, highest learning rate, batch size
    ("digits", "mlp"): (20, 4e-3, 32), ("digits", "cnn"): (12, 4e-3, 32), ("digits", "rnn"): (25, 6e-3, 32),
    ("digits", "vit"): (25, 3e-3, 32), ("text", "rnn"): (4, 2e-3, 32), ("text", "lstm"): (4, 6e-3, 32), ("text", "gru"): (4, 4e-3, 32),
    ("text", "gpt"): (4, 4e-3, 32),
}
FIRST_MODEL = {"digits": "mlp", "text": "lstm"}
TASKS = tuple(FIRST_MODEL)
MODELS = {task: [model for of, model in SUITABLE if of == task] for task in TASKS}
HEADER = "# Written by rushlight train, and read by rushlight train --config\n"


@dataclass(frozen=True)
class Settings:
    """One run's settings; `file` is the text to learn (None: the one that comes with Python), `threads` None means all cores."""

    task: str
    model: str
    file: str | None
    epochs: int
    lr: float
    batch_size: int
    seed: int
    threads: int | None


# What a setting may be ----------------------------------------------------------------------------------------------

def whole(value):
    """A positive whole number."""
    if isinstance(value, (bool, float)) or int(value) < 1:
        raise ValueError
    return int(value)


def rate(value):
    """A positive number."""
    if isinstance(value, bool) or not 0 < float(value) < float("inf"):
        raise ValueError
    return float(value)


def seed(value):
    """A whole number of at most 64 bits."""
    if isinstance(value, (bool, float)) or not -1 << 63 <= int(value) < 1 << 64:
        raise ValueError
    return int(value)


def words(value):
    """A text."""
    if not isinstance(value, str):
        raise ValueError
    return value


RULES = {"task": words, "file": words, "model": words, "epochs": whole, "lr": rate, "batch_size": whole, "seed": seed,
         "threads": whole, "out": words}


# From the command line and the file ---------------------------------------------------------------------------------

def settings_of(given):
    """(Settings, folder for the run or None) from what the command line gave: a dictionary with a None for what it did not give."""
    chosen = read_config(given["config"]) if given.get("config") else {}
    chosen |= {name: given[name] for name in RULES if given.get(name) is not None}
    task = chosen.get("task")
    if task is None:
        raise CommandError(f"what to train? Say {' or '.join(TASKS)}, or name it in a file with --config")
    if task not in TASKS:
        raise CommandError(f"there is no task {task!r}; there are {' and '.join(TASKS)}")
    model = chosen.get("model", FIRST_MODEL[task])
    if model not in MODELS[task]:
        raise CommandError(f"there is no model {model!r} for {task}; there are {', '.join(MODELS[task])}")
    file = chosen.get("file")
    if file is not None and task != "text":
        raise CommandError(f"{task} come with the package, so there is no use for the file {file}")
    epochs, lr, batch_size = SUITABLE[task, model]
    made = Settings(task, model, file and str(Path(file).absolute()), epochs, lr, batch_size, 0, None)
    names = {field.name for field in fields(Settings)} - {"task", "model", "file"}
    return replace(made, **{name: chosen[name] for name in names if name in chosen}), chosen.get("out")


def resumed(kept, given):
    """The settings `kept` by a run that is to go on, with what may change then: more epochs, and the number of threads."""
    for name in (*RULES, "config"):
        if given.get(name) is not None and name not in ("epochs", "threads"):
            option = "TASK" if name == "task" else name.upper() if name == "file" else "--" + name.replace("_", "-")
            raise CommandError(f"a run goes on with the settings it was begun with: {option} cannot be given with --resume")
    return replace(kept, **{name: given[name] for name in ("epochs", "threads") if given.get(name) is not None})


def read_config(path):
    """The settings in a TOML file, checked."""
    try:
        content = tomllib.loads(Path(path).read_bytes().decode())
    except OSError as error:
        raise CommandError(f"{path} could not be read: {reason(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} is no TOML: {error}") from error
    chosen = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in RULES:
            near = difflib.get_close_matches(name, RULES, 1)
            hint = f"; did you mean {near[0].replace('_', '-')}?" if near else f"; there are {', '.join(RULES).replace('_', '-')}"
            raise CommandError(f"{path}: there is no setting {key!r}{hint}")
        try:
            if isinstance(value, str) and RULES[name] is not words:
                raise ValueError
            chosen[name] = RULES[name](value)
        except (ValueError, TypeError):
            kind = RULES[name].__doc__.rstrip(".")
            raise CommandError(f"{path}: {key} should be {kind[0].lower()}{kind[1:]}, not {value!r}") from None
    if "file" in chosen:  # as seen from the file that names it
        chosen["file"] = str(Path(path).parent / chosen["file"])
    return chosen


def written(settings):
    """The settings as a TOML file."""
    kept = {name.replace("_", "-"): value for name, value in asdict(settings).items() if value is not None}
    return HEADER + "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in kept.items())
