"""Drawings in SVG: networks, curves, confusion matrices, small pictures.

    svg.py        elements, and the one style sheet: ink and paper follow the reader's light or dark setting
    network.py    a feed-forward network as textbooks draw it
    charts.py     curves and confusion matrices

Each function takes plain numbers and NumPy arrays and returns the text of one <svg> that stands on its own, in a file or
within a page.
"""
from .charts import Curve, confusion_matrix, curves
from .network import feedforward, feedforward_of
from .svg import picture
