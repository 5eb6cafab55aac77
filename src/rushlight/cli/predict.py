"""rushlight predict RUN FILE: which digits the images of a file show.

    file -> images.read -> 8 x 8 fields -> model -> probabilities -> a table
"""
from rich.table import Table

import rushlight as torch

from . import images
from .runs import load_model

SHADES = " ░▒▓█"


def predict(run, file, console):
    """Print a line for each image in `file`, by the model in the folder `run`."""
    model = load_model(run)
    digits = images.read(file)
    with torch.no_grad():
        probabilities = model(torch.from_numpy(digits).reshape(-1, 64)).softmax(dim=1).numpy()
    if len(digits) == 1:
        console.print(preview(digits[0]))
        console.print()
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name, style in (("image", "dim"), ("digit", "bold"), ("sure", ""), ("or else", "dim")):
        table.add_column(name, style=style, justify="right")
    for i, row in enumerate(probabilities, start=1):
        first, second = row.argsort()[::-1][:2]
        table.add_row(str(i), str(first), f"{100 * row[first]:.1f} %", f"{second} {100 * row[second]:.1f} %")
    console.print(table)


def preview(image):
    """An image in characters, two to a pixel."""
    return "\n".join("".join(SHADES[min(int(ink * len(SHADES)), len(SHADES) - 1)] * 2 for ink in row) for row in image)
