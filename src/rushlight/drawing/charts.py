"""Curves and confusion matrices.

    curves([Curve("training", xs, ys), Curve("held out", xs, ys, colour="second")], "epoch", "loss")
    confusion_matrix(counts, "0123456789")

A curve is named at its right end instead of in a legend; axes have few, round numbers.
"""
import math
from collections.abc import Sequence
from dataclasses import dataclass

from .svg import drawing, tag, text


@dataclass
class Curve:
    """One line of a chart.  `faint` ones are drawn thin and without a name, as the unsmoothed values behind a curve."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: str = "first"
    faint: bool = False


def round_ticks(low, high, about=5, whole=False):
    """About that many round numbers from `low` to `high`: 1, 2 or 5 times a power of ten apart, and at least 1 if `whole`.

    >>> round_ticks(0, 2.3)
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= about)
    step = max(step, 1.0) if whole else step
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def curves(lines, x_label, y_label, y_range=None, percent=False, width=520, height=290):
    """A chart of several curves.  `y_range` cuts off what lies outside; `percent` writes 0.97 as 97 %."""
    lines = [line for line in lines if len(line.xs)]
    right = 24 + 7 * max((len(line.name) for line in lines if not line.faint), default=0)  # room for the names
    left, top, bottom = 52, 26, 40
    inner_width, inner_height = width - left - right, height - top - bottom
    finite = [y for line in lines for y in line.ys if math.isfinite(y)] or [0.0]
    x_low, x_high = min((min(line.xs) for line in lines), default=0), max((max(line.xs) for line in lines), default=1)
    y_low, y_high = y_range or (min(0.0, min(finite)), max(finite) * 1.05)
    x_high, y_high = (x_high if x_high > x_low else x_low + 1), (y_high if y_high > y_low else y_low + 1)

    def place(x, y):
        y = min(max(y, y_low), y_high)
        return left + (x - x_low) / (x_high - x_low) * inner_width, top + (y_high - y) / (y_high - y_low) * inner_height

    parts = []
    for y in round_ticks(y_low, y_high):
        _, at = place(x_low, y)
        parts.append(tag("line", x1=left, y1=at, x2=left + inner_width, y2=at, class_="rule"))
        parts.append(text(left - 8, at + 4, f"{100 * y:g} %" if percent else f"{y:g}", class_="muted", text_anchor="end"))
    counted = all(isinstance(x, int) for line in lines for x in line.xs)
    for x in round_ticks(x_low, x_high, about=8, whole=counted):
        at, _ = place(x, y_low)
        parts.append(text(at, top + inner_height + 18, f"{x:g}", class_="muted", text_anchor="middle"))
    parts.append(text(left + inner_width, height - 4, x_label, class_="muted", text_anchor="end"))
    parts.append(text(left, top - 12, y_label, class_="muted", text_anchor="middle"))

    for line in lines:
        points = [place(x, y) for x, y in zip(line.xs, line.ys) if math.isfinite(y)]
        path = " ".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(points))
        parts.append(tag("path", d=path, class_=f"curve {line.colour}{' faint' if line.faint else ''}"))
    parts += _names([(line, place(line.xs[-1], line.ys[-1])) for line in lines if not line.faint and math.isfinite(line.ys[-1])])
    return drawing(width, height, *parts, title=f"{y_label} by {x_label}")


def _names(ends, room=17):
    """Each curve's name beside its end, moved down where two would overlap."""
    parts, lowest = [], -math.inf
    for line, (x, y) in sorted(ends, key=lambda end: end[1][1]):
        lowest = max(y + 4, lowest + room)
        parts.append(tag("circle", cx=x, cy=y, r=3, class_=f"fill-{line.colour}"))
        parts.append(text(x + 9, lowest, line.name))
    return parts


def confusion_matrix(counts, names, cell=34):
    """How often class i (row) was taken for class j (column).

    The diagonal is shaded by its share of the row; mistakes by a scale of their own, so that a single one is seen.
    """
    counts = [[int(count) for count in row] for row in counts]
    n, left, top = len(counts), 62, 50
    worst = max((counts[i][j] for i in range(n) for j in range(n) if i != j), default=0)
    parts = [text(left + n * cell / 2, 16, "predicted", class_="muted", text_anchor="middle"),
             text(16, top + n * cell / 2, "true", class_="muted", text_anchor="middle", transform=f"rotate(-90 16 {top + n * cell / 2})")]
    for i, name in enumerate(names):
        parts.append(text(left + (i + 0.5) * cell, top - 10, name, text_anchor="middle"))
        parts.append(text(left - 12, top + (i + 0.5) * cell + 5, name, text_anchor="end"))
        whole = sum(counts[i]) or 1
        for j in range(n):
            count, x, y = counts[i][j], left + j * cell, top + i * cell
            strength = 0.85 * count / whole if i == j else (0.25 + 0.5 * count / worst if count else 0.0)
            colour = "fill-first" if i == j else "fill-second"
            square = {"x": x + 1, "y": y + 1, "width": cell - 2, "height": cell - 2, "rx": 4}
            if not count:
                parts.append(tag("rect", **square, class_="fill-ink", fill_opacity=0.035))
            else:
                parts.append(tag("rect", **square, class_=colour, fill_opacity=strength))
                on_colour = "on-colour" if strength > 0.5 else None
                parts.append(text(x + cell / 2, y + cell / 2 + 5, count, text_anchor="middle", class_=on_colour))
    return drawing(left + n * cell + 8, top + n * cell + 8, *parts, title="confusion matrix: true classes by predicted ones")
