"""A recurrent network unrolled through time, and the gradient's way back.

    answers        o     o     o
                   |     |     |
    state    [h] - [h] - [h] - [h]      the same weights at every time
                   |     |     |
    input          x     x     x
                 <==== gradient ====    wide where much of it arrives

Start with `unrolled`.
"""
import numpy as np

from .svg import arrow, drawing, shares, signed, tag, text
from .tracing import first_sample

TIMES = 24  # drawn at most: the last ones
LAYERS = 3  # drawn at most
CELLS = 12  # numbers drawn of a state or an input
WIDTH, HEIGHT, ABOVE = 18, 50, 12  # of a state, and the room over it


def unrolled(trace, outputs=None):
    """The drawing of the first recurrent layer (with all its layers) or cell of a model, at work on the first sample that went in."""
    recurrence = trace.recurrences[0]
    states, inputs, gradient = recurrence.states, recurrence.inputs, recurrence.gradient
    symbols, answers = _symbols(trace, len(states), outputs)
    chances = _chances(trace, outputs)
    count = min(len(states), TIMES)
    first = len(states) - count  # the first time that is drawn
    depth = getattr(recurrence.module, "num_layers", 1)
    layers = min(depth, LAYERS)

    step = 74 if count <= 10 else 44
    left, right = (110 if first else 92), (130 if chances else 20)
    top = max(96 if answers else 26, 6.5 * len(chances) - 15)  # of the uppermost states
    low = top + (HEIGHT + ABOVE) * layers + 30  # where the inputs begin
    bottom = low + (44 if symbols else 52)
    end = left + step * count
    xs = [left + step * (t + 0.5) for t in range(count)]

    name = "state" if depth == 1 else f"{depth} layers"
    parts = [text(8, (top + low - 42) / 2 + 4, name, class_="muted"), text(8, low + 30, "input", class_="muted")]
    for layer in range(layers):
        y = top + (HEIGHT + ABOVE) * (layers - 1 - layer)
        parts += _layer(xs, y, step, low if layer == 0 else y + HEIGHT + ABOVE, begun=first > 0)
    parts += _strips(xs, states[first:], top + 1, WIDTH - 4, HEIGHT - 2)
    parts += [_outline(x, top, fill_opacity=0) for x in xs]
    if first:
        parts.append(text(left - 4, top + 29, "…", text_anchor="end", class_="muted"))
    if symbols:
        parts += [text(x, low + 30, symbol, text_anchor="middle", class_="mono") for x, symbol in zip(xs, symbols[first:])]
    else:
        parts += _strips(xs, inputs[first:], low + 4, WIDTH - 4, HEIGHT - 2)
        parts += [tag("rect", x=x - WIDTH / 2 + 2, y=low + 4, width=WIDTH - 4, height=HEIGHT - 2, class_="frame") for x in xs]
    if answers:
        parts.append(text(8, top - 50, "answer", class_="muted"))
        for x, answer in zip(xs, answers[first:]):
            parts += [arrow(x, top - 3, x, top - 28), text(x, top - 50, answer, text_anchor="middle", class_="mono")]
    if chances:
        parts += _final(chances, end, top + HEIGHT / 2)
    if gradient is not None:
        parts += _way_back(gradient[first:], xs, bottom + 34)
        bottom += 62
    parts.append(text((left + end) / 2, bottom + 22, _caption(recurrence.module, first, count), text_anchor="middle", class_="muted"))
    return drawing(end + right, bottom + 30, *parts, title=f"a recurrent network unrolled over {len(states)} times")


def _layer(xs, y, step, below, begun):
    """A layer's state at each time, with what comes from the time before and from below."""
    for t, x in enumerate(xs):
        before = x - step + WIDTH / 2 + 2 if t else x - step / 2 + 2
        yield arrow(before, y + HEIGHT / 2, x - WIDTH / 2 - 2, y + HEIGHT / 2, opacity=None if t or begun else 0.45)
        yield arrow(x, below, x, y + HEIGHT + 3)
        yield _outline(x, y)


def _outline(x, y, **more):
    return tag("rect", x=x - WIDTH / 2, y=y, width=WIDTH, height=HEIGHT, rx=4, class_="box", **more)


def _strips(xs, values, y, width, height):
    """Some of the numbers of each time in a column."""
    count = values.shape[1]
    chosen = np.unique(np.linspace(0, count - 1, min(count, CELLS)).round().astype(int))
    for x, column in zip(xs, shares(values[:, chosen])):
        yield signed(column[:, None], x - width / 2, y, width, height / len(column))


def _caption(module, first, count):
    kind = type(module).__name__ + (f" ({module.nonlinearity})" if hasattr(module, "nonlinearity") else "")
    times = f"the last {count} of {first + count} times" if first else f"{count} times"
    ways = ", both directions" if getattr(module, "bidirectional", False) else ""
    return f"{kind} {module.input_size} → {module.hidden_size}{ways}, {times}"


def _symbols(trace, times, names):
    """What was read and what is answered at each time, where the model reads numbers of symbols and answers each with chances of them."""
    symbols = symbols_of(trace.root.input, names)
    if symbols is None or len(symbols) != times:
        return None, None
    answered = first_sample(trace.root.output)
    if answered.ndim != 2 or answered.shape != (times, len(names)):
        return symbols, None
    return symbols, [_visible(names[int(i)]) for i in answered.argmax(axis=1)]


def symbols_of(input, names):
    """The names of the symbols in the first sample, where the input is numbers of symbols."""
    if names is None or input.is_floating_point() or input.dim() != 2 or input.shape[1] == 0 or int(input[0].max()) >= len(names):
        return None
    return [_visible(names[int(i)]) for i in input[0].tolist()]


def _visible(symbol):
    return "␣" if symbol == " " else symbol


def _chances(trace, names, most=10):
    """(name, chance) of the likeliest classes, where the model answers once, after the last time."""
    if trace.root.output.dim() != 2 or not names or trace.root.output.shape[1] != len(names):
        return []
    logits = first_sample(trace.root.output)
    chances = np.exp(logits - logits.max())
    chances /= chances.sum()
    best = range(len(chances)) if len(chances) <= most else np.argsort(-chances, kind="stable")[:most]
    return [(names[i], float(chances[i])) for i in best]


def _final(chances, x, middle):
    """The answer after the last time."""
    start = middle - 13 * len(chances) / 2
    parts = [arrow(x - 26, middle, x + 2, middle)]
    for i, (name, chance) in enumerate(chances):
        y = start + 13 * i
        colour = "small" if chance == max(other for _, other in chances) else "small muted"
        parts += [text(x + 24, y + 10, name, text_anchor="end", class_=colour),
                  tag("rect", x=x + 30, y=y + 2, width=max(70 * chance, 0.6), height=8, rx=1.5, class_="fill-first")]
    return parts


def _way_back(gradient, xs, y):
    """A band that goes from the last time to the first, as wide as the gradient is large."""
    half = [0.6 + 11 * float(share) for share in shares(gradient)]
    upper = [f"{x:.1f},{y - h:.1f}" for x, h in zip(xs, half)]
    lower = [f"{x:.1f},{y + h:.1f}" for x, h in zip(xs, half)]
    band = tag("polygon", points=" ".join(upper + lower[::-1]), class_="fill-second", fill_opacity=0.35)
    heads = [tag("polygon", points=f"{x - 4:.1f},{y:.1f} {x + 3:.1f},{y - 4:.1f} {x + 3:.1f},{y + 4:.1f}", class_="fill-second")
             for x in xs]
    return [band, *heads, text(8, y + 4, "gradient", class_="muted")]
