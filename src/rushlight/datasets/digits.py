"""1,797 handwritten digits, 8 x 8 pixels each, ink from 0 to 16.

    images, labels = load()        (1797, 8, 8) and (1797,) NumPy arrays of bytes

The Optical Recognition of Handwritten Digits data set (its test part) of E. Alpaydin and C. Kaynak, 1998; README.md beside this
file names source and licence.
"""
from importlib import resources

import numpy as np

CLASSES = tuple("0123456789")
INK = 16  # the value of a pixel that is all ink


def load():
    """The images and what digit each one is."""
    with resources.files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        return arrays["images"], arrays["labels"]
