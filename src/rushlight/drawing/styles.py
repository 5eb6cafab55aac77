"""`draw`: a model at work on an input, or the graph of a result, as people draw them.

    draw(model, x)          layers of neurons, shrinking volumes, the loop through time, attention: what suits the model's layers
    draw(loss)              the graph that backward goes through; draw(loss, model) with the model's names for its parameters

In a notebook the drawing shows itself; print(drawing) is text for a terminal; drawing.save("net.svg") is a file.
"""
import os

import rushlight as torch
from rushlight import nn

from ..serialization.files import whole_file
from .attention import attention_maps
from .graph import graph_picture, graph_text, names_of
from .modules import module_boxes, module_text
from .network import is_feedforward, neurons
from .svg import page
from .tracing import traced
from .unrolled import symbols_of, unrolled
from .volumes import volumes

STYLES = ("neurons", "volumes", "unrolled", "attention", "modules")


class Drawing:
    """A drawing: `svg` and `text` are what it looks like, `style` is how it is drawn."""

    def __init__(self, style, svg, words, title):
        self.style, self.svg, self.text, self.title = style, svg, words, title

    def _repr_svg_(self):
        return self.svg

    def __str__(self):
        return self.text

    def __repr__(self):
        return f"<drawing of {self.title}, in the style {self.style!r}>"

    def save(self, path):
        """Write the drawing to `path`, as its name says: .svg, .html (a page), or .txt."""
        contents = {".svg": lambda: self.svg, ".html": lambda: page(self.title, self.svg), ".txt": lambda: self.text + "\n"}
        ending = os.path.splitext(path)[1].lower()
        if ending not in contents:
            raise ValueError(f"save: {os.fspath(path)} should end in .svg, .html or .txt")
        with whole_file(path) as file:
            file.write(contents[ending]().encode())


def draw(what, input=None, *, style=None, outputs=None):
    """Draw a model at work on `input`, or the graph of a result.

    `what` is a Module and `input` what it is called with (a tensor, a tuple of arguments, or a dictionary of them), a batch of at least
    one; its first sample is shown.  `style` is one of "neurons", "volumes", "unrolled", "attention" and "modules"; if not given, the
    one that suits the layers.  `outputs` are names for the classes, or for the symbols that a text is made of.

    Or `what` is a tensor, then its graph is drawn; `input` may be a Module that knows names for the leaves.

    Returns a `Drawing`.  The model is run in eval mode and is afterwards as it was.  TypeError for anything else, ValueError for a style
    that the model has nothing for.

    >>> print(draw(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.zeros(1, 3)))
    Sequential                                               (1, 3) → (1, 2)   8
    ├─ 0  Linear(in_features=3, out_features=2, bias=True)   (1, 2)            8
    └─ 1  ReLU                                               (1, 2)
    """
    if isinstance(what, torch.Tensor):
        names = names_of(input)
        return Drawing("graph", graph_picture(what, names), graph_text(what, names), "the graph of a result")
    if not isinstance(what, nn.Module):
        raise TypeError(f"draw: expected a Module with an input, or a tensor, but got {type(what).__name__}")
    if input is None:
        raise TypeError(f"draw: {type(what).__name__} can only be drawn at work; give it an input, as in draw(model, x)")
    trace = traced(what, input)
    fitting = _fitting(trace)
    if style is None:
        style = fitting[0]
    elif style not in STYLES:
        raise ValueError(f"draw: there is no style {style!r}; there are {', '.join(STYLES)}")
    elif style not in fitting:
        raise ValueError(f"draw: {type(what).__name__} has nothing to show in the style {style!r}; it can be drawn as {', '.join(fitting)}")
    names = None if outputs is None else list(outputs)
    pictures = {
        "neurons": lambda: neurons(trace, names),
        "volumes": lambda: volumes(trace, names),
        "unrolled": lambda: unrolled(trace, names),
        "attention": lambda: attention_maps(trace.attention, symbols_of(trace.root.input, names)),
        "modules": lambda: module_boxes(trace),
    }
    return Drawing(style, pictures[style](), module_text(trace), type(what).__name__)


def _fitting(trace):
    """The styles that the model has something for, the most telling first."""
    leaves = [part for part in trace.root.leaves() if part.output is not None]
    has = {
        "unrolled": any(len(recurrence.states) > 1 for recurrence in trace.recurrences),
        "attention": bool(trace.attention),
        "volumes": any(part.kind.startswith("Conv") and part.output.dim() == 4 for part in leaves) and trace.root.input.dim() >= 3,
        "neurons": is_feedforward(trace),
        "modules": True,
    }
    return [style for style, fits in has.items() if fits]
