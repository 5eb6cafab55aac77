"""Who looks at whom: the weights of attention as maps.

    layer 1   [head 1] [head 2] ...        rows look, columns are looked at
    layer 2   [head 1] [head 2] ...
"""
from .svg import drawing, pixels, tag, text

LAYERS, HEADS, PLACES = 6, 8, 64  # drawn at most


def attention_maps(attention, symbols=None):
    """The drawing of a list of weights, (heads, queries, keys) each; `symbols` names the places, where there are few."""
    layers = [weights[:HEADS, :PLACES, :PLACES] for weights in attention[:LAYERS]]
    most = max(max(weights.shape[1:]) for weights in layers)
    named = symbols is not None and most <= 32
    cell = 9.0 if named else max(2.0, min(9.0, 150 / most))
    label = 16 if named else 0
    side = cell * most
    left, top = 62, 26
    parts = []
    for i, weights in enumerate(layers):
        y = top + i * (side + label + 18)
        parts.append(text(8, y + label + side / 2 + 4, f"layer {i + 1}", class_="muted"))
        for j, head in enumerate(weights):
            x = left + j * (side + label + 18)
            if i == 0:
                parts.append(text(x + label + side / 2, 14, f"head {j + 1}", text_anchor="middle", class_="muted"))
            rows, columns = head.shape
            parts += [tag("rect", x=x + label - 0.5, y=y + label - 0.5, width=columns * cell + 1, height=rows * cell + 1, class_="frame"),
                      pixels(head, x + label, y + label, cell, colour="fill-first")]
            if named:
                parts += _names(symbols, x, y, label, cell, rows, columns)
    heads = max(len(weights) for weights in layers)
    return drawing(left + heads * (side + label + 18) - 10, top + len(layers) * (side + label + 18) - 8, *parts,
                   title=f"attention of {len(attention)} layers between {most} places")


def _names(symbols, x, y, label, cell, rows, columns):
    """The symbols at the left, which look, and on top, which are looked at."""
    for i in range(min(rows, len(symbols))):
        yield text(x + label - 5, y + label + (i + 0.5) * cell + 3, symbols[i], text_anchor="end", class_="mono tiny")
    for i in range(min(columns, len(symbols))):
        yield text(x + label + (i + 0.5) * cell, y + label - 5, symbols[i], text_anchor="middle", class_="mono tiny")
