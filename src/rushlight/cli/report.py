"""The report of a training run: one HTML page that needs nothing beside it.

    headline numbers - curves - confusion matrix - worst mistakes - the network at work - machine and versions

The drawings are SVG from rushlight.drawing; the page follows the reader's light or dark setting as they do.
"""
import os
import platform
from datetime import datetime
from html import escape
from importlib import metadata
from pathlib import Path

import numpy as np

import rushlight as torch

from ..datasets import digits
from ..drawing import Curve, confusion_matrix, curves, feedforward_of, picture
from ..drawing.svg import DARK, LIGHT, variables

STYLE = f"""
:root {{ color-scheme: light dark; {variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}
body {{ margin: 0 auto; max-width: 1180px; padding: 48px 28px 72px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums; }}
h1 {{ margin: 0; font-size: 30px; font-weight: 650; letter-spacing: -.015em; }}
h2 {{ margin: 52px 0 6px; font-size: 19px; font-weight: 650; letter-spacing: -.005em; }}
p {{ margin: 4px 0 16px; max-width: 44em; color: var(--muted); }}
.numbers {{ display: flex; flex-wrap: wrap; gap: 14px 48px; margin: 28px 0 0; padding: 20px 0;
  border: solid var(--rule); border-width: 1px 0; }}
.numbers b {{ display: block; font-size: 26px; font-weight: 600; letter-spacing: -.01em; }}
.numbers span, figcaption, footer, th {{ color: var(--muted); font-size: 13.5px; font-weight: 400; }}
.row {{ display: flex; flex-wrap: wrap; gap: 0 56px; align-items: flex-start; }}
.rest {{ flex: 1 1 420px; }}
.mistakes {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(124px, 1fr)); gap: 20px 22px; }}
figure {{ margin: 0; }}
figcaption {{ margin-top: 4px; line-height: 1.4; }}
figcaption b {{ color: var(--ink); font-weight: 600; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 14.5px; }}
th, td {{ padding: 4px 28px 4px 0; text-align: left; vertical-align: top; }}
footer {{ margin-top: 56px; }}
"""


def page(model, history, settings, images, probabilities, classes, loss, stopped):
    """The whole page.  `images`, `probabilities`, `classes` and `loss` are of the held-out digits."""
    predicted = probabilities.argmax(axis=1)
    accuracy = float((predicted == classes).mean())
    parts = [
        f"<h1>Handwritten digits, read {100 * accuracy:.2f} % right</h1>",
        f"<p>{_story(history, settings, len(classes), stopped)}</p>",
        _numbers(history, accuracy, loss, model),
        "<h2>Learning</h2>", _curves(history),
        '<div class="row"><section><h2>What was taken for what</h2>',
        "<p>Each row is a digit as it was written, each column<br>what the network read. Off the diagonal are the mistakes.</p>",
        confusion_matrix(_confusion(classes, predicted), digits.CLASSES),
        '</section><section class="rest"><h2>The worst mistakes</h2>', _mistakes(images, probabilities, classes), "</section></div>",
        "<h2>The network at work</h2>",
        "<p>One held-out digit on its way through. A fuller neuron is more active; a blue line is a positive weight, an orange one a "
        "negative weight, and the strongest show most. Of the large layers some neurons are drawn.</p>",
        f'<div class="wide">{_network(model, images, probabilities, classes)}</div>',
        "<h2>How it was made</h2>", _facts(settings),
        f"<footer>Written by rushlight train, {datetime.now():%d %B %Y, %H:%M}. Data: Optical Recognition of Handwritten Digits, "
        "E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, CC BY 4.0.</footer>",
    ]
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>Digits {100 * accuracy:.2f} %</title><style>{STYLE}</style></head><body>" + "\n".join(parts) + "</body></html>\n")


def _story(history, settings, held_out, stopped):
    done = len(history.epochs)
    epochs = f"{done} epoch{'' if done == 1 else 's'}" + (f" of {settings['epochs']}, then stopped" if stopped else "")
    return (f"Trained for {epochs} in batches of {settings['batch_size']}, then tested on {held_out} digits that it never saw. "
            f"Seed {settings['seed']}: the same command gives the same numbers.")


def _numbers(history, accuracy, loss, model):
    parameters = sum(parameter.numel() for parameter in model.parameters())
    speeds = [epoch["samples_per_second"] for epoch in history.epochs]
    numbers = [(f"{100 * accuracy:.2f} %", "held-out accuracy"), (f"{loss:.4f}", "held-out loss"), (f"{parameters:,}", "parameters"),
               (f"{len(history.losses):,}", "steps")] + ([(f"{np.median(speeds):,.0f}", "samples a second")] if speeds else [])
    return '<div class="numbers">' + "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in numbers) + "</div>"


def _curves(history):
    steps = range(1, len(history.losses) + 1)
    epochs = [epoch["epoch"] for epoch in history.epochs]
    ends = [epoch["steps"] for epoch in history.epochs]
    losses = [Curve("each step", steps, history.losses, faint=True), Curve("training", steps, _smoothed(history.losses)),
              Curve("held out", ends, [epoch["held_out_loss"] for epoch in history.epochs], colour="second")]
    accuracies = [Curve("training", epochs, [epoch["accuracy"] for epoch in history.epochs]),
                  Curve("held out", epochs, [epoch["held_out_accuracy"] for epoch in history.epochs], colour="second")]
    lowest = min([0.9, *(value for curve in accuracies for value in curve.ys)])
    return ('<div class="row">' + curves(losses, "step", "loss")
            + curves(accuracies, "epoch", "accuracy", y_range=(int(10 * lowest) / 10, 1.0), percent=True) + "</div>")


def _smoothed(values, memory=0.75):
    """A running average that forgets; divided by what it has seen, so that it starts right."""
    smoothed, average, weight = [], 0.0, 0.0
    for value in values:
        average, weight = memory * average + (1 - memory) * value, memory * weight + (1 - memory)
        smoothed.append(average / weight)
    return smoothed


def _confusion(classes, predicted):
    counts = np.zeros((len(digits.CLASSES), len(digits.CLASSES)), int)
    np.add.at(counts, (classes, predicted), 1)
    return counts


def _mistakes(images, probabilities, classes, most=12):
    """The wrongly read digits of which the network was surest."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != classes)
    if not len(wrong):
        return "<p>There are none.</p>"
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    figures = []
    for i in wrong[:most]:
        drawing = picture(images[i], 14, title=f"a {classes[i]} that was read as {predicted[i]}")
        sure, truth = 100 * probabilities[i, predicted[i]], 100 * probabilities[i, classes[i]]
        figures.append(f"<figure>{drawing}<figcaption><b>{classes[i]}</b> read as <b>{predicted[i]}</b><br>"
                       f"{sure:.0f} % against {truth:.0f} %</figcaption></figure>")
    what = f"All {len(wrong)} of them" if len(wrong) <= most else f"{most} of {len(wrong)}"
    return f'<p>{what}, the surest first.</p><div class="mistakes">{"".join(figures)}</div>'


def _network(model, images, probabilities, classes):
    """The drawing of the network as it reads the first held-out digit that it reads right."""
    right = np.flatnonzero(probabilities.argmax(axis=1) == classes)
    image = images[right[0] if len(right) else 0]
    with torch.no_grad():
        return feedforward_of(model, torch.from_numpy(np.ascontiguousarray(image.reshape(64))), outputs=digits.CLASSES, image=image)


def _facts(settings):
    names = {"lr": "highest learning rate", "batch_size": "batch size"}
    rows = [(names.get(name, name), value) for name, value in settings.items()]
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
