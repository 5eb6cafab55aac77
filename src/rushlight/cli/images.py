"""Reading images of digits: PNG, CSV and NPY files, brought to the form the network learned.

    read(path)  ->  (N, 8, 8) float32, 0 is paper and 1 is ink

A picture of another size, or dark on light, is made like the training data were: ink is found, its box cut out, and the share
of ink counted in 8 x 8 fields.  The PNG decoder is for what drawing programs write: 8 bits or fewer, grey, colour or palette,
with or without transparency, not interlaced.
"""
import struct
import zlib
from pathlib import Path

import numpy as np

from .runs import CommandError

SIDE = 8
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey and alpha, RGB and alpha


def read(path):
    """All digits in the file at `path`."""
    path = Path(path)
    readers = {".png": read_png, ".csv": read_csv, ".npy": read_npy}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise CommandError(f"{path} is no image that is known here: its name should end in .png, .csv or .npy")
    try:
        images = reader(path)
    except FileNotFoundError:
        raise CommandError(f"{path} does not exist") from None
    except OSError as error:
        raise CommandError(f"{path} could not be read: {error.strerror or error}") from error
    except ImageError as error:
        raise CommandError(f"{path} is no usable {path.suffix[1:].upper()} image: {error}") from error
    return np.stack([as_digit(image) for image in images]).astype(np.float32)


class ImageError(Exception):
    """What is wrong with a file's content."""


# ---------------------------------------------------------------------------------------------------------------------
# The three formats; each gives a list of two-dimensional arrays

def read_npy(path):
    """One image or many: (H, W), (N, H, W), or rows of 64 pixels."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ImageError(f"it is no array of numbers ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise ImageError("it holds no numbers")
    return _images_of(array.astype(np.float64))


def read_csv(path):
    """Rows of 64 pixels, with or without a line of names; or one image, a line a row."""
    try:
        lines = [line.split(",") for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ImageError("it is no text") from error
    if lines and not all(map(_is_number, lines[0])):
        del lines[0]
    if not lines:
        raise ImageError("it is empty")
    try:
        rows = np.array([[float(field) for field in line] for line in lines])
    except ValueError as error:
        raise ImageError(f"not every line is numbers, or lines differ in length ({error})") from error
    return _images_of(rows)


def _is_number(field):
    try:
        float(field)
    except ValueError:
        return False
    return True


def _images_of(array):
    """The images in an array, their values scaled to 0 ... 1."""
    if not array.size or not np.isfinite(array).all() or array.min() < 0:
        raise ImageError("its values should be finite numbers, none below 0")
    largest = array.max()
    array = array / next((scale for scale in (1, 16, 255) if largest <= scale), largest)  # shares, counted pixels, or bytes
    if array.ndim == 1:
        array = array[None]
    if array.ndim == 2 and array.shape[1] == SIDE * SIDE:
        array = array.reshape(-1, SIDE, SIDE)
    elif array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or min(array.shape) < 1 or min(array.shape[1:]) < SIDE:
        raise ImageError(f"a shape of {array.shape} is neither one image of at least {SIDE} x {SIDE} nor a stack of them")
    return list(array)


def read_png(path):
    """One picture as grey values from 0 (black) to 1 (white), on white where it is transparent."""
    data = path.read_bytes()
    if not data.startswith(PNG_SIGNATURE):
        raise ImageError("it does not begin like one")
    header, palette, transparency, compressed = _png_chunks(data)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if colour not in CHANNELS or depth not in (1, 2, 4, 8) or (depth < 8 and colour not in (0, 3)):
        raise ImageError(f"colour type {colour} with {depth} bits is not read here; 8 bits grey, RGB, RGBA or palette are")
    if interlaced:
        raise ImageError("it is interlaced; save it without")
    if not 0 < width * height <= 1 << 26:
        raise ImageError(f"{width} x {height} pixels are none, or too many")
    channels = CHANNELS[colour]
    row_bytes = (width * channels * depth + 7) // 8
    try:
        inflater = zlib.decompressobj()
        content = inflater.decompress(compressed, height * (row_bytes + 1))
    except zlib.error as error:
        raise ImageError(f"its pixels are damaged ({error})") from error
    if len(content) < height * (row_bytes + 1):
        raise ImageError("it ends too early")
    rows = _unfiltered(np.frombuffer(content, np.uint8).reshape(height, row_bytes + 1), max(1, channels * depth // 8))
    if depth < 8:
        bits = np.unpackbits(rows, axis=1).reshape(height, -1, depth)
        rows = (bits @ (1 << np.arange(depth - 1, -1, -1)))[:, :width].astype(np.uint8)
    values = rows.reshape(height, width, channels)
    if colour == 3:
        return [_over_white(*_from_palette(values[..., 0], palette, transparency))]
    scale = 255.0 if depth == 8 else float(2**depth - 1)
    values = values / scale
    alpha = values[..., -1] if colour in (4, 6) else np.ones((height, width))
    return [_over_white(values[..., :3 if colour in (2, 6) else 1], alpha)]


def _png_chunks(data):
    """Header, palette, its transparency, and the compressed pixels of all IDAT chunks."""
    found = {b"IHDR": b"", b"PLTE": b"", b"tRNS": b"", b"IDAT": b""}
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8:at + 8 + length]
        if len(content) < length or at + 12 + length > len(data):
            raise ImageError("it ends too early")
        if zlib.crc32(kind + content) != struct.unpack_from(">I", data, at + 8 + length)[0]:
            raise ImageError(f"its {kind.decode('latin1')} part is damaged")
        if kind in found:
            found[kind] += content
        at += 12 + length
        if kind == b"IEND":
            break
    else:
        raise ImageError("it ends too early")
    if len(found[b"IHDR"]) != 13 or not found[b"IDAT"]:
        raise ImageError("it holds no pixels")
    return found[b"IHDR"], found[b"PLTE"], found[b"tRNS"], found[b"IDAT"]


def _unfiltered(rows, pixel):
    """Undo each row's prediction from the pixel at the left and the row above."""
    height, width = len(rows), rows.shape[1] - 1
    result = np.zeros((height + 1, width + pixel), np.uint8)  # a row above and a pixel at the left, of zeros
    for i in range(height):
        kind, row, above, here = rows[i, 0], rows[i, 1:], result[i], result[i + 1]
        if kind == 0:
            here[pixel:] = row
        elif kind == 1:  # left: a running sum of each byte of the pixel
            for channel in range(pixel):
                here[pixel + channel::pixel] = np.cumsum(row[channel::pixel], dtype=np.uint64).astype(np.uint8)
        elif kind == 2:  # above
            here[pixel:] = row + above[pixel:]
        elif kind in (3, 4):
            _predict_row(kind, row, above, here, pixel)
        else:
            raise ImageError(f"its rows are damaged (filter {kind})")
    return result[1:, pixel:]


def _predict_row(kind, row, above, here, pixel):
    """The mean of left and above (3), or Paeth's choice of left, above and above-left (4)."""
    for j, byte in enumerate(row.tolist(), start=pixel):
        left, up, corner = int(here[j - pixel]), int(above[j]), int(above[j - pixel])
        if kind == 3:
            guess = (left + up) // 2
        else:
            estimate = left + up - corner
            guess = min((left, up, corner), key=lambda value: abs(estimate - value))
        here[j] = (byte + guess) & 255


def _from_palette(numbers, palette, transparency):
    colours = np.frombuffer(palette, np.uint8).reshape(-1, 3) / 255.0 if len(palette) % 3 == 0 else np.zeros((0, 3))
    if numbers.max() >= len(colours):
        raise ImageError("it uses colours that its palette lacks")
    alpha = np.ones(len(colours))
    alpha[:len(transparency)] = np.frombuffer(transparency, np.uint8)[:len(colours)] / 255.0
    return colours[numbers], alpha[numbers]


def _over_white(colours, alpha):
    grey = colours[..., 0] if colours.shape[-1] == 1 else colours @ np.array([0.299, 0.587, 0.114])
    return grey * alpha + (1 - alpha)


# ---------------------------------------------------------------------------------------------------------------------
# From a picture to a digit

def as_digit(image):
    """`image` as the training data are: ink is 1, the digit fills 8 x 8 fields."""
    image = np.asarray(image, dtype=np.float64)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    if edge.mean() > 0.5:  # the edge is mostly paper: this one is light, so ink is dark
        image = 1.0 - image
    if image.shape == (SIDE, SIDE):
        return image
    ink = image > 0.25 * (image.max() or 1.0)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return np.zeros((SIDE, SIDE))
    image = image[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    height, width = image.shape
    side = max(height, width)
    square = np.zeros((side, side))
    top, left = (side - height) // 2, (side - width) // 2
    square[top:top + height, left:left + width] = image
    fields = _averages(side) @ square @ _averages(side).T
    return fields / (fields.max() or 1.0)


def _averages(side):
    """The matrix that brings `side` pixels to the means of 8 fields; a pixel on a border counts for both by its parts."""
    edges = np.linspace(0, side, SIDE + 1)
    pixels = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(overlap, 0, None) / (side / SIDE)
