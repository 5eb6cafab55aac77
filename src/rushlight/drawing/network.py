"""A feed-forward network as textbooks draw it: a column of neurons for each layer, a line for each weight.

    feedforward([64, 128, 10])                          sizes alone
    neurons(traced(model, x))                           a model's layers and weights, at work on one input

Of a large layer some neurons, evenly chosen, stand for all; the caption gives the true number.  A line is blue for a positive
weight and orange for a negative one, and the fainter the smaller it is; a neuron is the fuller the more active it is.
"""
import numpy as np

from .svg import drawing, grey, pixels, shares, tag, text
from .tracing import first_sample

ACTIVATIONS = {
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "Tanh", "Softplus", "Softsign",
    "Hardtanh", "Hardswish", "Hardsigmoid", "LogSigmoid", "Softmax", "LogSoftmax", "Tanhshrink", "Hardshrink", "Softshrink", "Threshold",
}
PASSED = {"Flatten", "Unflatten", "Dropout", "AlphaDropout", "Identity", "BatchNorm1d"}


def feedforward(sizes, weights=None, activities=None, captions=None, outputs=None, image=None, most=14, height=450, gap=220):
    """The drawing of layers of `sizes`.

    `weights[i]` is the matrix from layer i to layer i + 1, outputs by inputs; `activities[i]` the values of layer i; `outputs`
    the names of the last layer's neurons; `image` a picture that enters at the left; `most` neurons of a layer are drawn.
    """
    shown = [_chosen(size, most) for size in sizes]
    captions = captions or [""] * len(sizes)
    start = 24 + (118 if image is not None else 0)
    top, room = 22, height - 80
    width = start + gap * (len(sizes) - 1) + (64 if outputs else 30)

    def place(layer, i):
        count = len(shown[layer])
        step = min(room / max(count, 1), 34)
        return start + layer * gap, top + room / 2 + (i - (count - 1) / 2) * step

    parts = []
    if image is not None:
        cell = 88 / max(len(image), len(image[0]))
        middle = top + room / 2
        parts += [pixels(image, 8, middle - 44, cell), tag("rect", x=7, y=middle - 45, width=90, height=90, rx=3, class_="frame")]
        parts += [tag("line", x1=97, y1=middle, x2=place(0, i)[0], y2=place(0, i)[1], class_="rule") for i in range(len(shown[0]))]
    for layer in range(len(sizes) - 1):
        parts += _lines(layer, shown, weights, place)
    for layer in range(len(sizes)):
        activity = _shares(activities[layer], layer == len(sizes) - 1) if activities is not None else np.zeros(sizes[layer])
        for i, neuron in enumerate(shown[layer]):
            x, y = place(layer, i)
            parts.append(tag("circle", cx=x, cy=y, r=8, class_="neuron"))
            if activity[neuron] > 0.02:
                parts.append(tag("circle", cx=x, cy=y, r=7.4, class_="activity", fill_opacity=float(activity[neuron])))
            if outputs and layer == len(sizes) - 1:
                parts.append(text(x + 18, y + 5, outputs[neuron], class_=None if activity[neuron] > 0.5 or activities is None else "muted"))
        x = start + layer * gap
        parts.append(text(x, height - 32, sizes[layer], text_anchor="middle"))
        parts.append(text(x, height - 14, captions[layer], text_anchor="middle", class_="muted"))
    return drawing(width, height, *parts, title="a network with layers of " + ", ".join(map(str, sizes)) + " neurons")


def neurons(trace, outputs=None):
    """The drawing of a model that is Linear layers one after the other, at work on the first sample that went in."""
    leaves = list(trace.root.leaves())
    layers = [part for part in leaves if part.kind == "Linear"]
    values = [first_sample(layer.input).ravel() for layer in layers] + [first_sample(leaves[-1].output).ravel()]
    captions = ["input"]
    for part in leaves:  # a layer is called by its last activation
        if part.kind == "Linear":
            captions.append("")
        elif part.kind in ACTIVATIONS and len(captions) > 1:
            captions[-1] = part.kind
    ends_in_logits = not captions[-1]
    captions[-1] = captions[-1] or "output"
    if outputs is not None and ends_in_logits:
        values[-1] = np.exp(values[-1] - values[-1].max())  # logits: show what a softmax makes of them
        values[-1] /= values[-1].sum()
    sizes = [len(value) for value in values]
    weights = [layer.module.weight.detach().numpy() for layer in layers]
    entered = first_sample(trace.root.input).squeeze()
    image = entered if entered.ndim == 2 and 2 < max(entered.shape) <= 64 else None
    named = outputs if outputs is not None and len(outputs) == sizes[-1] else None
    return feedforward(sizes, weights, values, captions, named, None if image is None else grey(image))


def is_feedforward(trace):
    """Whether the model is Linear layers with nothing between them that mixes numbers."""
    leaves = list(trace.root.leaves())
    layers = [part for part in leaves if part.kind == "Linear"]
    chained = all(a.module.out_features == b.module.in_features for a, b in zip(layers, layers[1:]))
    known = all(part.kind in PASSED | ACTIVATIONS | {"Linear"} for part in leaves)
    return bool(layers) and chained and known and layers[0].input.dim() <= 2


def _chosen(size, most):
    """At most that many of the numbers 0 ... size - 1, evenly spread."""
    if size <= most:
        return list(range(size))
    return [round((i + 0.5) * size / most - 0.5) for i in range(most)]


def _lines(layer, shown, weights, place):
    """One line for each weight between the drawn neurons of two layers; the faintest are left out."""
    if weights is None:
        strengths = np.full((len(shown[layer + 1]), len(shown[layer])), 0.35)
    else:
        strengths = shares(np.asarray(weights[layer])[np.ix_(shown[layer + 1], shown[layer])])
    for j, row in enumerate(strengths):
        for i, strength in enumerate(row):
            if abs(strength) > 0.08:
                (x1, y1), (x2, y2) = place(layer, i), place(layer + 1, j)
                yield tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_="first" if strength > 0 else "second",
                          stroke_width=0.5 + 1.1 * abs(float(strength)), stroke_opacity=0.08 + 0.62 * float(strength) ** 2)


def _shares(values, already):
    """Activities as shares of the largest one; probabilities are that already."""
    values = np.maximum(np.asarray(values, dtype=float).ravel(), 0.0)
    return values if already else values / (values.max() or 1.0)
