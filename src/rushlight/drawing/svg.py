"""SVG as text, and how every drawing looks.

    drawing(100, 40, tag("circle", cx=20, cy=20, r=8, class_="neuron"), text(40, 24, "hidden"))

Colours are not in the drawings but in one style sheet, as variables that follow the reader's light or dark setting; each
drawing carries it, so that it can be saved as a file of its own.
"""
import math
from html import escape

import numpy as np

LIGHT = {"ink": "#22303c", "muted": "#6b7885", "rule": "#dfe4e8", "paper": "#ffffff", "first": "#2d6a9f", "second": "#c8692b"}
DARK = {"ink": "#e4e9ed", "muted": "#8f9ba6", "rule": "#2c343b", "paper": "#161b20", "first": "#72b1e3", "second": "#eca066"}


def variables(colours):
    """The colours as declarations of CSS variables."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


STYLE = (
    "svg.drawing{" + variables(LIGHT) + "font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif;"
    "font-variant-numeric:tabular-nums;max-width:100%;height:auto}"
    "@media (prefers-color-scheme:dark){svg.drawing{" + variables(DARK) + "}}"
    ".drawing text{fill:var(--ink)}.drawing .muted{fill:var(--muted)}.drawing .rule{stroke:var(--rule);stroke-width:1}"
    ".drawing .arrow.muted{stroke:var(--muted)}.drawing .first{stroke:var(--first)}.drawing .second{stroke:var(--second)}"
    ".drawing .fill-first{fill:var(--first)}.drawing .fill-second{fill:var(--second)}.drawing .fill-ink{fill:var(--ink)}"
    ".drawing text.on-colour{fill:var(--paper)}"
    ".drawing .curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.drawing .faint{stroke-width:1;opacity:.3}"
    ".drawing .neuron{fill:var(--paper);stroke:var(--ink);stroke-width:1.2}.drawing .activity{fill:var(--second)}"
    ".drawing .frame{fill:none;stroke:var(--rule)}.drawing .box{fill:var(--paper);stroke:var(--ink);stroke-width:1.1}"
    ".drawing .small{font-size:11px}.drawing .mono{font:11px ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    ".drawing .tiny{font-size:9.5px}"
    ".drawing .way{fill:none;stroke:var(--muted);stroke-width:1.3}"
    ".drawing .leaf{fill:var(--first);fill-opacity:.1;stroke:var(--first);stroke-opacity:.45}"
    ".drawing .result{fill:var(--second);fill-opacity:.14;stroke:var(--second)}.drawing .fill-muted{fill:var(--muted)}"
    ".drawing .curve.muted{stroke:var(--muted);stroke-dasharray:5 5;stroke-width:1.4}"
)


def tag(name, *children, **attributes):
    """One element.  An attribute is written with underscores for hyphens; `class_` is class."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(number(value))}"'
                      for key, value in attributes.items() if value is not None)
    return f"<{name}{written}>{''.join(children)}</{name}>" if children else f"<{name}{written}/>"


def text(x, y, words, **attributes):
    """Words at a point; `text_anchor` is "start", "middle" or "end"."""
    return tag("text", escape(str(words)), x=x, y=y, **attributes)


def number(value):
    """A coordinate with at most two decimals; anything else as it is."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def drawing(width, height, *parts, title=""):
    """The whole <svg>; `title` is what a reader who cannot see it is told."""
    return tag("svg", tag("title", escape(title)), tag("style", STYLE), *parts, xmlns="http://www.w3.org/2000/svg", class_="drawing",
               role="img", viewBox=f"0 0 {number(width)} {number(height)}", width=width, height=height)


def pixels(image, x, y, cell, colour="fill-ink"):
    """The squares of a small grey picture, values from 0 (paper) to 1 (ink)."""
    rows = [list(map(float, row)) for row in image]
    return "".join(tag("rect", x=x + j * cell, y=y + i * cell, width=cell + 0.3, height=cell + 0.3, class_=colour, fill_opacity=ink)
                   for i, row in enumerate(rows) for j, ink in enumerate(row) if ink >= 0.005)


def grey(values):
    """Numbers of any size as a picture, from 0 for the smallest (or zero) to 1."""
    values = np.nan_to_num(np.asarray(values, dtype=float))
    values = values - min(values.min(initial=0.0), 0.0)
    return values / (values.max(initial=0.0) or 1.0)


def shares(values):
    """Numbers of any size as shares of the largest magnitude, from -1 to 1."""
    values = np.nan_to_num(np.asarray(values, dtype=float))
    return values / (np.abs(values).max(initial=0.0) or 1.0)


def signed(values, x, y, width, height, above="fill-first"):
    """Numbers from -1 to 1 as fields of `width` x `height`, rows of columns: blue above zero, orange below, the fuller the larger."""
    return "".join(tag("rect", x=x + j * width, y=y + i * height, width=width + 0.3, height=height + 0.3,
                       class_=above if value > 0 else "fill-second", fill_opacity=min(abs(float(value)), 1.0))
                   for i, row in enumerate(values) for j, value in enumerate(row) if abs(value) >= 0.005)


def arrow(x1, y1, x2, y2, colour="muted", width=1.3, opacity=None):
    """A line with a head at its second end."""
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    along, across = (x2 - x1) / length, (y2 - y1) / length
    size = 3.5 + 1.2 * width
    bx, by = x2 - size * along, y2 - size * across
    head = f"{number(x2)},{number(y2)} " + " ".join(
        f"{number(bx - side * 0.5 * size * across)},{number(by + side * 0.5 * size * along)}" for side in (1, -1))
    style = {"stroke_opacity": opacity, "fill_opacity": opacity}
    return tag("line", x1=float(x1), y1=float(y1), x2=bx, y2=by, stroke_width=float(width), class_=f"arrow {colour}", **style) + tag(
        "polygon", points=head, class_=f"fill-{colour}", **style)


def picture(image, cell=8.0, title=""):
    """A small grey picture as a drawing: `image` is rows of values from 0 (paper) to 1 (ink)."""
    height, width = len(image) * cell, len(image[0]) * cell
    frame = tag("rect", x=0.5, y=0.5, width=width + 1, height=height + 1, rx=2, class_="frame")
    return drawing(width + 2, height + 2, pixels(image, 1, 1, cell), frame, title=title)


def page(title, svg):
    """A page that holds one drawing."""
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title><style>'
            f":root{{color-scheme:light dark;{variables(LIGHT)}}}@media (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"
            f"body{{margin:24px;background:var(--paper)}}</style></head><body>{svg}</body></html>\n")
