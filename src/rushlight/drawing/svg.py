"""SVG as text, and how every drawing looks.

    drawing(100, 40, tag("circle", cx=20, cy=20, r=8, class_="neuron"), text(40, 24, "hidden"))

Colours are not in the drawings but in one style sheet, as variables that follow the reader's light or dark setting; each
drawing carries it, so that it can be saved as a file of its own.
"""
from html import escape

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
    ".drawing .first{stroke:var(--first)}.drawing .second{stroke:var(--second)}"
    ".drawing .fill-first{fill:var(--first)}.drawing .fill-second{fill:var(--second)}.drawing .fill-ink{fill:var(--ink)}"
    ".drawing text.on-colour{fill:var(--paper)}"
    ".drawing .curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}.drawing .faint{stroke-width:1;opacity:.3}"
    ".drawing .neuron{fill:var(--paper);stroke:var(--ink);stroke-width:1.2}.drawing .activity{fill:var(--second)}"
    ".drawing .frame{fill:none;stroke:var(--rule)}"
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


def pixels(image, x, y, cell):
    """The squares of a small grey picture, values from 0 (paper) to 1 (ink)."""
    rows = [list(map(float, row)) for row in image]
    return "".join(tag("rect", x=x + j * cell, y=y + i * cell, width=cell + 0.3, height=cell + 0.3, class_="fill-ink", fill_opacity=ink)
                   for i, row in enumerate(rows) for j, ink in enumerate(row) if ink > 0)


def picture(image, cell=8.0, title=""):
    """A small grey picture as a drawing: `image` is rows of values from 0 (paper) to 1 (ink)."""
    height, width = len(image) * cell, len(image[0]) * cell
    frame = tag("rect", x=0.5, y=0.5, width=width + 1, height=height + 1, rx=2, class_="frame")
    return drawing(width + 2, height + 2, pixels(image, 1, 1, cell), frame, title=title)
