"""rushlight train digits: the training of train_digits.py with progress, checkpoints and a report.

    for every step:   show         after every epoch:   test, save model and metrics         at the end:   save, report

Ctrl-C asks: the step under way is finished, then model, metrics and report are written and the exit code is 130.  A second
Ctrl-C does not wait.
"""
import math
import signal
import time
from dataclasses import dataclass, field

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import rushlight as torch

from . import report
from .runs import METRICS, MODEL, REPORT, new_run, save_metrics, save_model, write_whole
from .train_digits import evaluate, make_data, make_model, train

SIZES = (64, 256, 128, 10)
SHOW_EVERY = 0.05  # seconds; a step can be much shorter


@dataclass
class History:
    """What a run has measured: each step's loss, and a dictionary for each finished epoch."""

    losses: list = field(default_factory=list)
    epochs: list = field(default_factory=list)


class Interrupts:
    """While it is entered, the first Ctrl-C (or polite kill) only sets `signal`; the second one raises as usual."""

    def __init__(self):
        self.signal = None

    def __enter__(self):
        self.previous = {kind: signal.signal(kind, self._note) for kind in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, kind, _frame):
        self.signal = kind
        for each, handler in self.previous.items():
            signal.signal(each, handler)

    def __exit__(self, *_):
        for kind, handler in self.previous.items():
            signal.signal(kind, handler)


def train_digits(options, console):
    """Train, save and report; returns the exit code."""
    folder = new_run(options.out, "digits")
    settings = {"epochs": options.epochs, "lr": options.lr, "seed": options.seed, "batch_size": options.batch_size,
                "threads": options.threads or torch.get_num_threads()}
    if options.threads:
        torch.set_num_threads(options.threads)
    learn, held_out = make_data()
    torch.manual_seed(options.seed)
    model = make_model(SIZES)
    history = History()
    console.print(f"[bold]{len(learn)}[/] digits to learn from, [bold]{len(held_out)}[/] held out; "
                  f"a network of {' - '.join(map(str, SIZES))}\n", highlight=False)

    with Interrupts() as interrupts, _progress(console) as progress:
        for _ in _epochs(model, learn, held_out, options, history, progress, interrupts):
            save_model(folder, model, SIZES, settings)
            save_metrics(folder, history.epochs)
        if interrupts.signal:
            save_model(folder, model, SIZES, settings)
            save_metrics(folder, history.epochs)

    loss, probabilities, classes = evaluate(model, held_out)
    images = held_out[:][0].numpy().reshape(-1, 8, 8)
    page = report.page(model, history, settings, images, probabilities, classes, loss, stopped=interrupts.signal is not None)
    write_whole(folder / REPORT, page)
    accuracy = (probabilities.argmax(axis=1) == classes).mean()
    console.print(f"\n[bold]{100 * accuracy:.2f} %[/] of the held-out digits are right"
                  + (" (stopped early)" if interrupts.signal else ""), highlight=False)
    if not math.isfinite(loss):
        console.print("[yellow]The loss is not a number any more: the learning rate is too high. Try a smaller --lr.[/]")
    for name in (MODEL, METRICS, REPORT):
        console.print(f"  [dim]{folder}/[/]{name}", highlight=False, soft_wrap=True)
    return 0 if interrupts.signal is None else 128 + interrupts.signal


def _progress(console):
    return Progress(TextColumn("{task.description}"), BarColumn(bar_width=32), TextColumn("{task.fields[state]}"), TimeRemainingColumn(),
                    console=console, transient=True)


def _epochs(model, learn, held_out, options, history, progress, interrupts):
    """Train; yields after each epoch, when it is entered in `history`."""
    steps_an_epoch = -(-len(learn) // options.batch_size)
    bar = progress.add_task("", total=options.epochs * steps_an_epoch, state="")
    losses, right, seen, spent = [], 0, 0, 0.0
    shown = begun = time.perf_counter()
    for loss, correct, samples in train(model, learn, options.epochs, options.lr, options.batch_size):
        now = time.perf_counter()
        spent += now - begun
        losses.append(loss)
        history.losses.append(loss)
        right, seen = right + correct, seen + samples
        epoch = len(history.epochs) + 1
        if now - shown > SHOW_EVERY:
            shown = now
            progress.update(bar, completed=len(history.losses), description=f"epoch {epoch}/{options.epochs}",
                            state=f"loss {loss:.4f}  accuracy {100 * right / seen:.1f} %  {seen / spent:,.0f} samples/s")
        if len(losses) == steps_an_epoch:
            held_out_loss, probabilities, classes = evaluate(model, held_out)
            history.epochs.append({
                "epoch": epoch, "steps": len(history.losses), "loss": sum(losses) / len(losses), "accuracy": right / seen,
                "held_out_loss": held_out_loss, "held_out_accuracy": float((probabilities.argmax(axis=1) == classes).mean()),
                "samples_per_second": round(seen / spent),
            })
            progress.console.print(_line(history.epochs[-1]), highlight=False)
            yield epoch
            losses, right, seen, spent = [], 0, 0, 0.0
        if interrupts.signal:
            return
        begun = time.perf_counter()


def _line(epoch):
    return (f"epoch {epoch['epoch']:3d}   loss {epoch['loss']:.4f}   accuracy {100 * epoch['accuracy']:5.1f} %   "
            f"held out {100 * epoch['held_out_accuracy']:5.1f} %   [dim]{epoch['samples_per_second']:,} samples/s[/]")
