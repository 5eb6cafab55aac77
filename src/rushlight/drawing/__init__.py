"""Drawings in SVG: networks, graphs, curves, confusion matrices, small pictures.

    styles.py      draw(model, x), draw(loss): in the style that suits it         start here
    tracing.py     what a model does with an input, seen through hooks
    network.py     layers of neurons               unrolled.py   a loop through time, and the gradient's way back
    volumes.py     shrinking volumes               attention.py  who looks at whom
    modules.py     any model as a tree             graph.py      the graph that backward goes through
    charts.py      curves and confusion matrices
    svg.py         elements, and the one style sheet: ink and paper follow the reader's light or dark setting

What draws takes plain numbers, arrays and traces and returns the text of one <svg> that stands on its own, in a file or within a page.
"""
from .charts import Curve, confusion_matrix, curves
from .network import feedforward
from .styles import Drawing, draw
from .svg import picture
