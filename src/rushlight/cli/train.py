"""rushlight train: a task's training with progress, checkpoints and a report.

    for every step:   show         after every epoch:   test, save         at the end:   save, report

Ctrl-C asks: the step under way is finished, then everything is saved, the report is written and the exit code is 130; --resume goes on from
there.  A second Ctrl-C does not wait.
"""
import math
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import rushlight as torch

from . import report, runs
from .digits import Digits
from .errors import CommandError
from .settings import resumed, settings_of
from .text import Text
from .training import Training

TASKS = {"digits": Digits, "text": Text}
SHOW_EVERY = 0.05  # seconds; a step can be much shorter


@dataclass
class History:
    """What a run has measured: each step's loss, a dictionary for each finished epoch, and sums over the epoch under way."""

    unit: str  # what is counted
    losses: list = field(default_factory=list)
    epochs: list = field(default_factory=list)
    right: int = 0
    seen: int = 0
    seconds: float = 0.0

    def add_step(self, loss, right, seen, seconds):
        self.losses.append(loss)
        self.right, self.seen, self.seconds = self.right + right, self.seen + seen, self.seconds + seconds

    def end_epoch(self, held_out_loss, held_out_accuracy):
        """Enter the epoch under way among the finished ones."""
        losses = self.losses[self.epochs[-1]["steps"] if self.epochs else 0:]
        self.epochs.append({
            "epoch": len(self.epochs) + 1, "steps": len(self.losses), "loss": sum(losses) / len(losses), "accuracy": self.right / self.seen,
            "held_out_loss": held_out_loss, "held_out_accuracy": held_out_accuracy, f"{self.unit}_per_second": self.speed(),
        })
        self.right, self.seen, self.seconds = 0, 0, 0.0

    def speed(self):
        return round(self.seen / self.seconds) if self.seconds else 0


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


class Run:
    """A training run and its folder: begun with settings, or opened again to go on."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        torch.set_num_threads(settings.threads or torch.get_num_threads())
        self.task = TASKS[settings.task](settings)
        torch.manual_seed(settings.seed)
        self.model = self.task.make_model()
        self.training = Training(self.model, self.task.learn, settings, self.task.logits)
        self.history = History(self.task.unit)

    @classmethod
    def begun(cls, given):
        """A new run, by what the command line gave."""
        settings, out = settings_of(given)
        run = cls(settings, None)  # errors in the data come before there is a folder
        run.folder = runs.new_run(out, settings.task)
        runs.save_settings(run.folder, settings)
        return run

    @classmethod
    def reopened(cls, folder, given):
        """The run in `folder`, where it stopped."""
        folder = Path(folder)
        settings = resumed(runs.load_settings(folder), given)
        state = runs.load_checkpoint(folder)
        run = cls(settings, folder)
        try:
            if state["fingerprint"] != run.task.fingerprint:
                text = settings.file or "the text that comes with Python"
                raise CommandError(f"{text} is not what it was when the run in {folder} began")
            done = state["training"]["epoch"]
            if done >= settings.epochs:
                raise CommandError(f"the run in {folder} has ended after epoch {done}; --epochs with a larger number goes on")
            run.history = History(**state["history"])
            run.training.restore(state["training"])
        except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise runs.damaged(folder / runs.CHECKPOINT, error) from error
        runs.save_settings(folder, settings)
        return run

    def save(self):
        """Everything but the report."""
        runs.save_checkpoint(self.folder, {"training": self.training.state(), "history": asdict(self.history),
                                           "fingerprint": self.task.fingerprint})
        runs.save_model(self.folder, self.model, self.task.about)
        runs.save_metrics(self.folder, self.history.epochs)

    def epochs(self, progress, interrupts):
        """Train on; yields after each epoch, when it is entered in the history."""
        steps, total = self.training.steps_an_epoch, self.settings.epochs * self.training.steps_an_epoch
        bar = progress.add_task("", total=total, completed=len(self.history.losses), state="")
        shown = begun = time.perf_counter()
        for loss, right, seen in self.training.steps():
            now = time.perf_counter()
            self.history.add_step(loss, right, seen, now - begun)
            if now - shown > SHOW_EVERY:
                shown = now
                progress.update(bar, completed=len(self.history.losses), state=self._state(loss),
                                description=f"epoch {len(self.history.epochs) + 1}/{self.settings.epochs}")
            if len(self.history.losses) % steps == 0:
                findings = self.task.test(self.model)
                self.history.end_epoch(findings.loss, findings.accuracy)
                progress.console.print(_line(self.history.epochs[-1], self.task.unit), highlight=False)
                yield
            if interrupts.signal:
                return
            begun = time.perf_counter()

    def _state(self, loss):
        history = self.history
        return f"loss {loss:.4f}  accuracy {100 * history.right / history.seen:.1f} %  {history.speed():,} {self.task.unit}/s"

    def report(self, stopped):
        """Test, write the report, and return what was found."""
        findings = self.task.test(self.model)
        content = self.task.page(self.model, self.history, self.settings, findings)
        runs.write_whole(self.folder / runs.REPORT, report.page(content, self.model, self.history, self.settings, stopped))
        return findings


def train(options, console):
    """Train, save and report; returns the exit code."""
    given = vars(options)
    run = Run.begun(given) if options.resume is None else Run.reopened(options.resume, given)
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    console.print(f"{run.task.introduction}; {run.settings.model}, {parameters:,} parameters\n", highlight=False)
    with Interrupts() as interrupts, _progress(console) as progress:
        for _ in run.epochs(progress, interrupts):
            run.save()
        if interrupts.signal:
            run.save()
    findings = run.report(stopped=interrupts.signal is not None)
    console.print(f"\n{run.task.verdict(findings)}" + (" (stopped early)" if interrupts.signal else ""), highlight=False)
    if not math.isfinite(findings.loss):
        console.print("[yellow]The loss is not a number any more: the learning rate is too high. Try a smaller --lr.[/]")
    for name in (runs.MODEL, runs.METRICS, runs.REPORT):
        console.print(f"  [dim]{run.folder}/[/]{name}", highlight=False, soft_wrap=True)
    if interrupts.signal:
        console.print(f"  [dim]rushlight train --resume {run.folder} goes on[/]", highlight=False, soft_wrap=True)
    return 0 if interrupts.signal is None else 128 + interrupts.signal


def _progress(console):
    return Progress(TextColumn("{task.description}"), BarColumn(bar_width=32), TextColumn("{task.fields[state]}"), TimeRemainingColumn(),
                    console=console, transient=True)


def _line(epoch, unit):
    return (f"epoch {epoch['epoch']:3d}   loss {epoch['loss']:.4f} {100 * epoch['accuracy']:5.1f} %   held out "
            f"{epoch['held_out_loss']:.4f} {100 * epoch['held_out_accuracy']:5.1f} %   [dim]{epoch[f'{unit}_per_second']:,} {unit}/s[/]")
