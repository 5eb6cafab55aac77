"""The report of a training run: one HTML page that needs nothing beside it.

    headline numbers - curves - what the task shows - the network at work - machine and versions

A task (digits.py, text.py) fills a `Content` with the sections made by the functions below; `page` puts the whole together.  The drawings
are SVG from rushlight.drawing; the page follows the reader's light or dark setting as they do.
"""
import os
import platform
from dataclasses import asdict, dataclass
from datetime import datetime
from html import escape
from importlib import metadata
from pathlib import Path

import numpy as np

import rushlight as torch

from ..drawing import Curve, confusion_matrix, curves, draw, picture
from ..drawing.svg import DARK, LIGHT, variables

STYLE = f"""
:root {{ color-scheme: light dark; {variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}
body {{ margin: 0 auto; max-width: 1180px; padding: 48px 28px 72px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums; }}
h1 {{ margin: 0; font-size: 30px; line-height: 1.25; font-weight: 650; letter-spacing: -.015em; }}
h2 {{ margin: 52px 0 6px; font-size: 19px; font-weight: 650; letter-spacing: -.005em; }}
p {{ margin: 4px 0 16px; max-width: 44em; color: var(--muted); }}
.numbers {{ display: flex; flex-wrap: wrap; gap: 14px 48px; margin: 28px 0 0; padding: 20px 0;
  border: solid var(--rule); border-width: 1px 0; }}
.numbers b {{ display: block; font-size: 26px; font-weight: 600; letter-spacing: -.01em; }}
.numbers span, figcaption, footer, th {{ color: var(--muted); font-size: 13.5px; font-weight: 400; }}
.row {{ display: flex; flex-wrap: wrap; gap: 0 56px; align-items: flex-start; }}
.row > * {{ min-width: 0; }}
section p {{ max-width: 25em; }}
.rest {{ flex: 1 1 420px; }}
.mistakes {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(136px, 1fr)); gap: 20px 22px; }}
figure {{ margin: 0; }}
figcaption {{ margin-top: 4px; line-height: 1.4; }}
figcaption b {{ color: var(--ink); font-weight: 600; }}
.wide {{ overflow-x: auto; }}
.wide svg.drawing {{ max-width: none; }}
pre {{ margin: 14px 0 0; padding: 18px 20px; border: 1px solid var(--rule); border-radius: 8px; max-width: 74ch; overflow-x: auto;
  font: 13.5px/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }}
pre i {{ font-style: normal; color: var(--muted); }}
pre span {{ border-radius: 2px; background: color-mix(in srgb, var(--second) calc(var(--p) * 1%), transparent); }}
table {{ border-collapse: collapse; font-size: 14.5px; }}
th, td {{ padding: 4px 28px 4px 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }}
th {{ white-space: nowrap; }}
footer {{ margin-top: 56px; }}
"""
AT_WORK = {  # what a reader sees, by the style of the drawing
    "neurons": "A fuller neuron is more active; a blue line is a positive weight, an orange one a negative weight, and the strongest show "
               "most. Of the large layers some neurons are drawn.",
    "volumes": "Each box is what one layer makes of the image: its height and width are those of the maps, its depth is their number. "
               "On the front of each is one of its maps; below, more of them.",
    "unrolled": "The same weights at every time, unrolled: the state goes from left to right, and the gradient of the last answer "
                "comes back through it. The width of the orange line is the gradient's size at that time.",
    "attention": "Whom each place looks at, in every head of every layer: a row is a place that looks, a column a place that is looked at, "
                 "and a fuller field is more attention.",
    "modules": "What goes into each part and what comes out of it.",
}


@dataclass
class Content:
    """What a task has to say: a title, a half sentence on how it was tested, (value, name) numbers, sections in HTML, the data's source."""

    title: str
    story: str
    numbers: list
    sections: list
    source: str


def page(content, model, history, settings, stopped):
    """The whole page."""
    parts = [
        f"<h1>{escape(content.title)}</h1>",
        f"<p>{_story(content, history, settings, stopped)}</p>",
        _numbers(content, history, model),
        *content.sections,
        "<h2>How it was made</h2>", _facts(settings),
        f"<footer>Written by rushlight train, {datetime.now():%d %B %Y, %H:%M}. {escape(content.source)}</footer>",
    ]
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(content.title)}</title><style>{STYLE}</style></head><body>" + "\n".join(parts) + "</body></html>\n")


def _story(content, history, settings, stopped):
    done = len(history.epochs)
    epochs = f"{done} epoch{'' if done == 1 else 's'}" + (f" of {settings.epochs}, then stopped" if stopped else "")
    return (f"Trained for {epochs} in batches of {settings.batch_size}, then {escape(content.story)}. "
            f"Seed {settings.seed}: the same command gives the same numbers.")


def _numbers(content, history, model):
    speeds = [epoch[name] for epoch in history.epochs for name in epoch if name.endswith("_per_second")]
    numbers = [*content.numbers, (f"{sum(parameter.numel() for parameter in model.parameters()):,}", "parameters"),
               (f"{len(history.losses):,}", "steps"), *([(f"{np.median(speeds):,.0f}", f"{history.unit} a second")] if speeds else [])]
    return '<div class="numbers">' + "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in numbers) + "</div>"


# ---------------------------------------------------------------------------------------------------------------------
# Sections

def learning(history, baseline=None):
    """Loss and accuracy as they went; `baseline` is (name, loss) of something to be better than."""
    steps = range(1, len(history.losses) + 1)
    epochs = [epoch["epoch"] for epoch in history.epochs]
    ends = [epoch["steps"] for epoch in history.epochs]
    losses = [Curve("each step", steps, history.losses, faint=True), Curve("training", steps, _smoothed(history.losses)),
              Curve("held out", ends, [epoch["held_out_loss"] for epoch in history.epochs], colour="second")]
    if baseline is not None and len(steps):
        losses.append(Curve(baseline[0], [1, len(steps)], [baseline[1]] * 2, colour="muted"))
    accuracies = [Curve("training", epochs, [epoch["accuracy"] for epoch in history.epochs]),
                  Curve("held out", epochs, [epoch["held_out_accuracy"] for epoch in history.epochs], colour="second")]
    values = [value for curve in accuracies for value in curve.ys] or [0.0]
    low = min(0.9, int(10 * min(values)) / 10)
    high = min(1.0, int(10 * max(values) + 1) / 10)
    return ('<h2>Learning</h2><div class="row">' + curves(losses, "step", "loss")
            + curves(accuracies, "epoch", "accuracy", y_range=(low, high), percent=True) + "</div>")


def _smoothed(values, memory=0.75):
    """A running average that forgets; divided by what it has seen, so that it starts right."""
    smoothed, average, weight = [], 0.0, 0.0
    for value in values:
        average, weight = memory * average + (1 - memory) * value, memory * weight + (1 - memory)
        smoothed.append(average / weight)
    return smoothed


def mistaken(counts, images, classes, probabilities, names):
    """The confusion matrix beside the worst mistakes."""
    return ('<div class="row"><section><h2>What was taken for what</h2>'
            "<p>Each row is a digit as it was written, each column what the network read. Off the diagonal are the mistakes.</p>"
            + confusion_matrix(counts, names) + '</section><section class="rest"><h2>The worst mistakes</h2>'
            + _mistakes(images, probabilities, classes, names) + "</section></div>")


def _mistakes(images, probabilities, classes, names, most=12):
    """The wrongly read images of which the network was surest."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != classes)
    if not len(wrong):
        return "<p>There are none.</p>"
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    figures = []
    for i in wrong[:most]:
        truth, read = names[classes[i]], names[predicted[i]]
        sure, against = 100 * probabilities[i, predicted[i]], 100 * probabilities[i, classes[i]]
        figures.append(f"<figure>{picture(images[i], 14, title=f'a {truth} that was read as {read}')}<figcaption><b>{truth}</b> read as "
                       f"<b>{read}</b><br>{sure:.0f} % against {against:.0f} %</figcaption></figure>")
    what = f"All {len(wrong)} of them" if len(wrong) <= most else f"{most} of {len(wrong)}"
    return f'<p>{what}, the surest first.</p><div class="mistakes">{"".join(figures)}</div>'


def at_work(model, example, names):
    """The drawing of the network with one sample on its way through."""
    drawing = draw(model, example, outputs=names)
    return (f"<h2>The network at work</h2><p>One held-out sample on its way through. {AT_WORK[drawing.style]}</p>"
            f'<div class="wide">{drawing.svg}</div>')


def sampled(prompt, sample):
    """What the network writes."""
    return ("<h2>What it writes</h2><p>The beginning is the held-out text's; each further character is drawn by the probability that the "
            f"network gives it, at a temperature of 0.7.</p><pre><i>{escape(prompt)}</i>{escape(sample)}</pre>")


def surprising(text, surprises, length):
    """A piece of text, each character the fuller the less it was expected; each line of `length` is a sample of its own."""
    marked = []
    for i, (character, surprise) in enumerate(zip(text, surprises)):
        if i and i % length == 0:
            marked.append("\n")
        shown = {"\n": "⏎", "\t": "⇥"}.get(character, character)
        marked.append(f'<span style="--p:{min(int(14 * surprise), 90)}" title="{surprise:.2f}">{escape(shown)}</span>')
    return ("<h2>Where it was surprised</h2><p>Held-out text; the fuller the background, the less likely the network found the character. "
            f"Each line is a sample of its own, at whose start nothing is known.</p><pre>{''.join(marked)}</pre>")


# ---------------------------------------------------------------------------------------------------------------------
# How it was made

def _facts(settings):
    names = {"lr": "highest learning rate", "batch_size": "batch size", "file": "text"}
    shown = asdict(settings) | {"threads": torch.get_num_threads()}
    rows = [(names.get(name, name), value) for name, value in shown.items() if value is not None]
    rows += [("machine", machine()), ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
             ("versions", ", ".join(f"{name} {version(name)}" for name in ("rushlight", "numpy", "llvmlite")))]
    return "<table>" + "".join(f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in rows) + "</table>"


def machine():
    """The processor's name, where the system tells it, and how many cores there are."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        name = models[0] if models else name
    return f"{name}, {os.cpu_count()} cores"


def version(package):
    """The installed version of a package; of this one, also where it runs from its source."""
    if package == "rushlight":
        return torch.__version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(not installed)"
