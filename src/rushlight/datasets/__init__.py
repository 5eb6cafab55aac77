"""Data sets small enough to come with the package.

    from rushlight.datasets import digits
    images, labels = digits.load()
"""
