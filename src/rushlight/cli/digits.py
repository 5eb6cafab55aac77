"""The task "digits": which of ten digits an image of 8 x 8 pixels shows.

    Digits(settings)   data, network, test, and what the report says of them
    predict            rushlight predict RUN FILE
"""
from dataclasses import dataclass

import numpy as np
from rich.table import Table

import rushlight as torch
from rushlight import nn
from rushlight.datasets import digits
from rushlight.utils.data import TensorDataset, random_split

from . import images, networks, report, runs

SHADES = " ░▒▓█"
SOURCE = "Data: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository, CC BY 4.0."


@dataclass
class Findings:
    """A network tested on the held-out digits."""

    loss: float
    accuracy: float
    probabilities: np.ndarray  # (N, 10)


class Digits:
    """Four fifths of the digits to learn from, one fifth held out; always the same."""

    unit, fingerprint = "digits", "digits"

    def __init__(self, settings):
        pixels, labels = digits.load()
        data = TensorDataset(torch.from_numpy(pixels).float() / digits.INK, torch.from_numpy(labels).long())
        self.learn, self.held_out = random_split(data, [0.8, 0.2], generator=torch.Generator().manual_seed(0))
        self.about = {"task": "digits", "model": settings.model}
        self.introduction = f"[bold]{len(self.learn):,}[/] digits to learn from, [bold]{len(self.held_out)}[/] held out"

    def make_model(self):
        """An untrained network."""
        return make_model(self.about)

    @staticmethod
    def logits(model, x):
        """(N, 10)"""
        return model(x)

    def test(self, model):
        """What the network makes of the digits that are held out."""
        model.eval()
        with torch.no_grad():
            x, y = self.held_out[:]
            logits = model(x)
            loss = nn.functional.cross_entropy(logits, y)
            probabilities = logits.softmax(dim=1)
        accuracy = (probabilities.argmax(dim=1) == y).float().mean()
        return Findings(loss.item(), accuracy.item(), probabilities.numpy())

    def verdict(self, findings):
        """One line for the terminal."""
        return f"[bold]{100 * findings.accuracy:.2f} %[/] of the held-out digits are right"

    def page(self, model, history, settings, findings):
        """What the report shows: its title, its headline numbers, and its sections."""
        pixels, labels = (tensor.numpy() for tensor in self.held_out[:])
        predicted = findings.probabilities.argmax(axis=1)
        counts = np.zeros((10, 10), int)
        np.add.at(counts, (labels, predicted), 1)
        title = f"Handwritten digits, read {100 * findings.accuracy:.2f} % right"
        numbers = [(f"{100 * findings.accuracy:.2f} %", "held-out accuracy"), (f"{findings.loss:.4f}", "held-out loss")]
        sections = [report.learning(history), report.mistaken(counts, pixels, labels, findings.probabilities, digits.CLASSES),
                    report.at_work(model, _example(pixels, labels, predicted), digits.CLASSES)]
        story = f"tested on {len(labels)} digits that it never saw"
        return report.Content(title, story, numbers, sections, SOURCE)


def make_model(about):
    """The network that a run's file tells of."""
    return networks.DIGITS[about["model"]]()


def _example(pixels, labels, predicted):
    """The first held-out digit that is read right."""
    right = np.flatnonzero(predicted == labels)
    return torch.from_numpy(np.ascontiguousarray(pixels[right[:1] if len(right) else [0]]))


def predict(run, file, console):
    """Print a line for each image in `file`, by the model in the folder `run`."""
    model, _ = runs.load_model(run, "digits", make_model)
    shown = images.read(file)
    with torch.no_grad():
        probabilities = model(torch.from_numpy(shown)).softmax(dim=1).numpy()
    if len(shown) == 1:
        console.print(preview(shown[0]))
        console.print()
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name, style in (("image", "dim"), ("digit", "bold"), ("sure", ""), ("or else", "dim")):
        table.add_column(name, style=style, justify="right")
    for i, row in enumerate(probabilities, start=1):
        first, second = row.argsort()[::-1][:2]
        table.add_row(str(i), str(first), f"{100 * row[first]:.1f} %", f"{second} {100 * row[second]:.1f} %")
    console.print(table)


def preview(image):
    """An image in characters, two to a pixel."""
    return "\n".join("".join(SHADES[min(int(ink * len(SHADES)), len(SHADES) - 1)] * 2 for ink in row) for row in image)
