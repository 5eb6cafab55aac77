"""A convolutional network as its shrinking volumes.

    image 1 x 8 x 8  ->  16 x 8 x 8  ->  32 x 4 x 4  ->  64 x 2 x 2  ->  256  ->  10

A box is as high and wide as the maps and as deep as there are many (both on a scale that lets 1 and 512 be seen together); the front
shows the liveliest map.  Below stand more of the maps.  Start with `volumes`.
"""
import math

import numpy as np

from .svg import drawing, grey, shares, signed, tag, text
from .tracing import first_sample

MAPS = 6  # shown of each volume, under it
LARGEST, SMALLEST = 120, 18  # sides of a front, in pixels
MIDDLE, CAPTION, GALLERY = 100.0, 204, 262  # how far down things are
COLUMN = 15  # the width of a column of neurons
CELLS = 64  # of a column, drawn at most


def volumes(trace, outputs=None):
    """The drawing of a model with two-dimensional convolutions, at work on the first sample that went in."""
    stages = _stages(trace)
    largest = max((max(stage.values.shape[-2:]) for stage in stages if stage.values.ndim == 3), default=1)
    x, end, parts = 16.0, None, []
    for i, stage in enumerate(stages):
        names = outputs if i == len(stages) - 1 else None
        shown, width = _volume(stage.values, largest) if stage.values.ndim == 3 else _column(stage.values, names)
        room = max(width, 78.0)
        centre = x + room / 2
        if end is not None:
            parts.append(tag("line", x1=end, y1=MIDDLE, x2=centre - width / 2 - 6, y2=MIDDLE, class_="rule"))
        parts.append(tag("g", *shown, transform=f"translate({centre - width / 2:.1f} {MIDDLE})"))
        parts.append(text(centre, CAPTION, " × ".join(map(str, stage.values.shape)), text_anchor="middle"))
        for j, line in enumerate(stage.words, start=1):
            parts.append(text(centre, CAPTION + 15 * j, line, text_anchor="middle", class_="muted small"))
        parts += _gallery(stage.values, centre) if stage.values.ndim == 3 else []
        end = centre + width / 2 + 6
        x += room + 40
    title = "a convolutional network: " + ", ".join(" × ".join(map(str, stage.values.shape)) for stage in stages)
    return drawing(x - 24 + (26 if outputs else 0), GALLERY + 3 * 34, *parts, title=title)


class _Stage:
    """Numbers on their way, (maps, height, width) or one after the other, and words for the layers that made them."""

    def __init__(self, values, words):
        self.values, self.words = values, words


def _stages(trace):
    """The input and what comes out wherever the shape changes or numbers are mixed; layers that do neither belong to the one before."""
    stages = [_Stage(_as_maps(first_sample(trace.root.input)), ["input"])]
    for part in trace.root.leaves():
        values = _as_maps(first_sample(part.output))
        words = _words(part)
        last = stages[-1]
        if values.shape == last.values.shape and (not words or len(stages) == 1):
            last.values = values
            continue
        if not words and values.size == last.values.size:
            words = [part.kind.lower()]
        if last.words == ["flatten"]:  # what is flat already says so itself
            stages.pop()
        stages.append(_Stage(values, words or [part.kind]))
    values = stages[-1].values
    if values.ndim == 1 and len(values) > 1 and values.min() < 0:  # logits: show what a softmax makes of them
        powers = np.exp(values - values.max())
        stages[-1].values = powers / powers.sum()
    return stages


def _as_maps(values):
    """(maps, height, width), or one number after the other."""
    if values.ndim == 2:
        values = values[None]
    return values if values.ndim == 3 else values.reshape(-1)


def _words(part):
    """How a layer that mixes numbers is called in a caption; nothing for the others."""
    module = part.module
    if part.kind.startswith(("Conv", "LazyConv")):
        return [f"{'conv' if 'Transpose' not in part.kind else 'transposed'} {'×'.join(map(str, module.kernel_size))}",
                *([f"step {module.stride[0]}"] if max(module.stride) > 1 else [])]
    if "Pool" in part.kind:
        return [("max" if "Max" in part.kind else "average" if "Avg" in part.kind else part.kind) + " pooling"]
    return ["linear"] if part.kind == "Linear" else []


def _volume(maps, largest):
    """A box about the height 0 that begins at 0: (elements, width)."""
    height, width = (SMALLEST + (LARGEST - SMALLEST) * math.sqrt(extent / largest) for extent in maps.shape[1:])
    depth = 3 + 7 * math.log2(len(maps)) if len(maps) > 1 else 2
    dx, dy = 0.8 * depth, -0.45 * depth
    top = -height / 2 - dy / 2
    lid = [(0, top), (dx, top + dy), (width + dx, top + dy), (width, top)]
    side = [(width, top), (width + dx, top + dy), (width + dx, top + height + dy), (width, top + height)]
    lid, side = (" ".join(f"{x:.1f},{y:.1f}" for x, y in face) for face in (lid, side))
    front = {"x": 0, "y": top, "width": width, "height": height, "class_": "box"}
    liveliest = maps[np.argmax(maps.reshape(len(maps), -1).std(axis=1))]
    parts = [tag("polygon", points=lid, class_="box"), tag("polygon", points=side, class_="box"),
             tag("polygon", points=side, class_="fill-ink", fill_opacity=0.08), tag("rect", **front),
             _fitted(liveliest, 0, top, width, height), tag("rect", **front, fill_opacity=0)]
    return parts, width + dx


def _column(values, names):
    """A column of neurons about the height 0, the fuller the more active: (elements, width)."""
    count = len(values)
    shown = shares(values if count <= CELLS else values[np.linspace(0, count - 1, CELLS).round().astype(int)])
    height = min(150.0, 15.0 * len(shown))
    cell = height / len(shown)
    frame = {"x": 0, "y": -height / 2, "width": COLUMN, "height": height, "class_": "box"}
    parts = [tag("rect", **frame), signed(shown[:, None], 0, -height / 2, COLUMN, cell), tag("rect", **frame, fill_opacity=0)]
    if names and count == len(names) <= 20:
        best = int(np.argmax(values))
        parts += [text(COLUMN + 7, (i + 0.5) * cell - height / 2 + 4, name, class_="small" if i == best else "small muted")
                  for i, name in enumerate(names)]
    return parts, float(COLUMN)


def _fitted(image, x, y, width, height, most=40):
    """A map's picture in a rectangle; of a large one, means of fields."""
    step = max(1, math.ceil(max(image.shape) / most))
    if step > 1:
        rows, columns = (extent // step * step for extent in image.shape)
        if rows and columns:
            image = image[:rows, :columns].reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
    high, wide = height / image.shape[0], width / image.shape[1]
    if (image < 0).any():
        return signed(shares(image), x, y, wide, high)
    return signed(grey(image), x, y, wide, high, above="fill-ink")


def _gallery(maps, centre):
    """Some of a volume's maps, two beside each other."""
    if len(maps) == 1:
        return
    for i, number in enumerate(np.linspace(0, len(maps) - 1, min(len(maps), MAPS)).round().astype(int)):
        x, y = centre - 31 + 34 * (i % 2), GALLERY + 34 * (i // 2)
        yield _fitted(maps[number], x, y, 28, 28, most=14)
        yield tag("rect", x=x, y=y, width=28, height=28, class_="frame")
