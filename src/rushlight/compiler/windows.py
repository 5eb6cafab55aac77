"""Windows of images, packed for the micro-kernels of products without ever being written to memory as a whole.

    image rows   a b c d        planes, one for each column of the kernel:   0 a b c    a b c d    b c d 0
                 e f g h        each holds what its column meets, window     0 e f g    e f g h    f g h 0
                                by window, row after row, without gaps

    tap (row, column) of all windows from the first on  =  plane[column], from place row * width on: neighbours in memory

So a channel of a piece of an image is brought into the near cache once, with its border of zeros, and from there every tap is
copied by whole vectors: to slivers (`pack_slivers`, for a convolution), or turned (`pack_turned`, for the gradient of its
weights).  Rows of a kernel share planes where windows move row by row; else (windows that leave out rows, or rows of a kernel far apart)
each has planes of its own, of which the table of taps knows.  All sizes are run-time numbers: one code for every kernel, stride and
dilation.

An image here is one depth of the result, (n, d); a *slab* is one depth of the kernel in one channel, (c, kd), of `taps` = kh * kw.
Start with `Windows.pack_slivers`, then `fill`.
"""
from contextlib import contextmanager
from dataclasses import dataclass

from .llvmir import Value, vector_type
from .packing import transpose_block

_LINE = 16  # elements that are fetched at once, at least


@contextmanager
def pieces(f, first, length, size):
    """For each part of first .. first + length that lies within one block of `size`: its block, from where to where it goes in that, and
    how far from `first` it begins."""
    end = f.add(first, length)
    with f.loop(f.binary("udiv", first, size), f.binary("udiv", f.add(end, f.binary("sub", size, 1)), size)) as block:
        begin = f.mul(block, size)
        start = larger(f, f.binary("sub", first, begin), 0)
        stop = smaller(f, f.binary("sub", end, begin), size)
        yield block, start, stop, f.binary("sub", f.add(begin, start), first)


def smaller(f, a, b):
    return f.select(f.compare("slt", a, b), a, b)


def larger(f, a, b):
    return f.select(f.compare("sgt", a, b), a, b)


@dataclass
class _Piece:
    """A piece of one image, windows `start` .. `start` + length: what is the same for all its channels."""
    base: Value       # the first channel of the group, at depth 0
    depth: Value      # of the kernel's first slab in the image
    start: Value
    near: Value       # whether the rows of a kernel share their planes
    turns: Value      # planes for each column of the kernel
    reach: Value      # places in a plane
    first_row: Value  # of those places, counted in windows
    end_row: Value
    row_shift: Value  # of the image's row that the first of them meets
    slab_pitch: Value  # places for all planes of a slab


class Windows:
    """The windows of (N, C, depth, height, width) from `pointer` on.

    `number(name)` gives the run-time number of a name: 'groups', 'channels' of one group; 'stride n' .. 'stride w' of the memory, in
    elements; and with d, h, w each: 'size', 'count' of windows, 'kernel', 'step' between windows, 'apart' (between places), 'before'.
    `room` points to scratch: `elements` of it for planes (`room_elements`), behind them the tables of where taps lie in those, and of those
    that are turned together."""

    def __init__(self, f, shape, convert, raw, pointer, number, room, elements):
        self.f, self.shape, self.convert, self.raw, self.pointer, self.number = f, shape, convert, raw, pointer, number
        self.places = f.mul(number("count h"), number("count w"))
        self.taps = f.mul(number("kernel h"), number("kernel w"))
        # Where rows of windows are as long as those of the image, which have no gaps, each plane is one run of memory, but for the border.
        self.in_one_run = f.of(True, "i1")
        for a, b in (("step h", 1), ("step w", 1), ("count w", number("size w")), ("stride w", 1), ("stride h", number("size w"))):
            self.in_one_run = f.binary("and", self.in_one_run, f.compare("eq", number(a), b))
        self.room = room
        self.table = f.element(room, shape.element, elements)
        self.lines = f.element(self.table, "i64", self.taps)

    # What is read

    def piece(self, image, group, start, stop):
        """The piece of an image; also writes down where each tap begins in the planes of a slab."""
        f, number = self.f, self.number
        n, depth = f.binary("udiv", image, number("count d")), f.binary("urem", image, number("count d"))
        base = f.add(f.mul(n, number("stride n")), f.mul(f.mul(group, number("channels")), number("stride c")))
        length = f.binary("sub", stop, start)
        mirrored = f.compare("slt", number("apart h"), 0)
        row = f.mul(f.select(mirrored, f.binary("sub", 0, number("apart h")), number("apart h")), number("count w"))
        near = f.binary("and", f.compare("eq", number("step h"), 1), f.compare("sle", row, length))
        last_tap = f.binary("sub", number("kernel h"), 1)
        further = f.mul(last_tap, row)
        turns = f.select(near, f.of(1, "i64"), number("kernel h"))
        reach = f.add(length, f.select(near, further, f.of(0, "i64")))
        column_pitch = f.mul(turns, reach)
        tap_row = f.select(near, row, reach)
        mirrored = f.binary("and", near, mirrored)  # then the rows of the shared planes begin where the last tap's do
        first_shift = f.select(mirrored, f.mul(last_tap, number("apart h")), f.of(0, "i64"))
        with f.loop(0, number("kernel h")) as i:
            at_row = f.mul(f.select(mirrored, f.binary("sub", last_tap, i), i), tap_row)
            with f.loop(0, number("kernel w")) as j:
                place = f.element(self.table, "i64", f.add(f.mul(i, number("kernel w")), j))
                f.store(f.add(at_row, f.mul(j, column_pitch)), place)
        first_depth = f.binary("sub", f.mul(depth, number("step d")), number("before d"))
        first_row = f.binary("udiv", start, number("count w"))
        end_row = f.add(f.binary("udiv", f.binary("sub", f.add(start, reach), 1), number("count w")), 1)
        first_shift = f.binary("sub", first_shift, number("before h"))
        return _Piece(base, first_depth, start, near, turns, reach, first_row, end_row, first_shift,
                      f.mul(column_pitch, number("kernel w")))

    def fill(self, piece, slab, first_tap, end_tap, planes):
        """Bring a slab into its planes, as far as these taps need them."""
        f, number = self.f, self.number
        columns, step = number("kernel w"), number("step w")
        channel, kd = f.binary("udiv", slab, number("kernel d")), f.binary("urem", slab, number("kernel d"))
        depth = f.add(piece.depth, f.mul(kd, number("apart d")))
        there = f.compare("ult", depth, number("size d"))
        source = f.add(f.add(piece.base, f.mul(channel, number("stride c"))), f.mul(depth, number("stride d")))
        row_apart = f.select(piece.near, f.of(0, "i64"), number("apart h"))
        with f.loop(0, columns) as kw:
            shift = f.binary("sub", f.mul(kw, number("apart w")), number("before w"))
            # The windows of a row whose place lies within the image.
            low, high = (f.binary("udiv", f.add(larger(f, x, 0), f.binary("sub", step, 1)), step)
                         for x in (f.binary("sub", 0, shift), f.binary("sub", number("size w"), shift)))
            # Where each tap has a plane of its own, the rows of the kernel that are asked for in this column.
            first_turn, end_turn = (f.select(piece.near, n,
                                             f.binary("udiv", f.add(f.binary("sub", tap, kw), f.binary("sub", columns, 1)), columns))
                                    for n, tap in ((f.of(0, "i64"), first_tap), (piece.turns, end_tap)))
            with f.loop(first_turn, end_turn) as turn:
                plane = f.element(planes, self.shape.element, f.mul(f.add(f.mul(kw, piece.turns), turn), piece.reach))
                row_shift = f.add(f.mul(turn, row_apart), piece.row_shift)
                with f.when(self.in_one_run):
                    self._fill_run(piece, plane, source, shift, row_shift, there, low, high)
                with f.when(f.binary("xor", self.in_one_run, True)):
                    self._fill_rows(piece, plane, f.add(source, f.mul(shift, number("stride w"))), row_shift, there, low, high)

    def _fill_rows(self, piece, plane, source, row_shift, there, low, high):
        """A plane row by row: columns from `low` to `high` are there, where the row is."""
        f, number = self.f, self.number
        count = number("count w")
        with f.loop(piece.first_row, piece.end_row) as row:
            begin = f.binary("sub", f.mul(row, count), piece.start)
            first = larger(f, f.binary("sub", 0, begin), 0)
            end = smaller(f, f.binary("sub", piece.reach, begin), count)
            at_row = f.add(f.mul(row, number("step h")), row_shift)
            ok = f.binary("and", there, f.compare("ult", at_row, number("size h")))
            start = f.select(ok, smaller(f, larger(f, low, first), end), end)
            stop = f.select(ok, larger(f, smaller(f, high, end), start), end)
            line = f.element(plane, self.shape.element, begin)
            self._zeros(line, first, start)
            self._copy(line, f.add(source, f.mul(at_row, number("stride h"))), start, stop, f.mul(number("step w"), number("stride w")))
            self._zeros(line, stop, end)

    def _fill_run(self, piece, plane, source, shift, row_shift, there, low, high):
        """A plane as one run of memory: what lies outside of this depth of the image is 0, and so are the columns of each row before `low`
        and from `high` on, where the run holds the ends of other rows."""
        f, count = self.f, self.number("count w")
        first = f.add(shift, f.add(piece.start, f.mul(row_shift, count)))
        start = f.select(there, smaller(f, larger(f, f.binary("sub", 0, first), 0), piece.reach), piece.reach)
        size = f.mul(count, self.number("size h"))
        stop = f.select(there, larger(f, smaller(f, f.binary("sub", size, first), piece.reach), start), piece.reach)
        self._zeros(plane, 0, start)
        self._copy(plane, f.add(source, first), start, stop)
        self._zeros(plane, stop, piece.reach)
        for begin, end in ((0, low), (high, count)):
            with f.when(f.compare("slt", f.of(begin, "i64"), end)), f.loop(piece.first_row, piece.end_row) as row:
                line = f.binary("sub", f.mul(row, count), piece.start)
                with f.loop(larger(f, f.add(line, begin), 0), smaller(f, f.add(line, end), piece.reach)) as i:
                    f.store(f.of(0, self.shape.element), f.element(plane, self.shape.element, i))

    def fetch_next(self, piece, slab):
        """Begin to fetch the channel after that of a slab: they lie too far apart for the processor to guess which memory comes next."""
        f, number = self.f, self.number
        channel = f.add(f.binary("udiv", slab, number("kernel d")), 1)
        step = f.mul(number("step h"), number("stride h"))
        first = f.add(piece.base, f.add(f.mul(channel, number("stride c")), f.mul(piece.depth, number("stride d"))))
        first = f.add(f.add(first, f.mul(piece.first_row, step)), f.mul(piece.row_shift, number("stride h")))
        with f.loop(0, f.mul(f.binary("sub", piece.end_row, piece.first_row), step), _LINE) as i:
            place = f.element(self.pointer, self.raw, f.add(first, i))
            f.intrinsic("llvm.prefetch.p0", "void", place, *(Value(x, "i32") for x in "031"))

    def _zeros(self, line, start, stop):
        f, element, lanes = self.f, self.shape.element, self.shape.lanes
        whole = f.add(start, f.binary("and", f.binary("sub", stop, start), -lanes))
        for first, last, width in ((start, whole, lanes), (whole, stop, 1)):
            with f.loop(first, last, width) as i:
                f.store(f.of(0, vector_type(element, width)), f.element(line, element, i))

    def _copy(self, line, source, start, stop, step=None):
        """line[i] = the element of the image `source` + i * step, for start <= i < stop."""
        f, address = self.f, self.f.element(self.pointer, self.raw, source)

        def load(place, lanes):
            return self.convert(f.load(vector_type(self.raw, lanes), f.element(address, self.raw, place)), lanes)
        copy_run(f, self.shape, load, line, start, stop, step)

    # What is made of it

    def pack_slivers(self, group, first_k, length, column, columns, to, pitch):
        """B[(c, tap), (image, window)]: each image's windows filled up to whole vectors, whose further lanes are never stored."""
        f, lanes, wide, element = self.f, self.shape.lanes, self.shape.columns, self.shape.element
        with pieces(f, column, columns, whole_vectors(f, self.places, lanes)) as (image, start, stop, at):
            piece = self.piece(image, group, start, smaller(f, stop, self.places))
            with pieces(f, first_k, length, self.taps) as (slab, first_tap, end_tap, k):
                self.fill(piece, slab, first_tap, end_tap, self.room)
                self.fetch_next(piece, slab)
                rows, count = f.element(to, element, f.mul(k, wide)), f.binary("sub", stop, start)

                def copy(j, vectors):
                    place = f.add(at, j)
                    here = f.add(f.mul(f.binary("udiv", place, wide), pitch), f.binary("urem", place, wide))
                    source = f.element(self.room, element, j)
                    with f.loop(first_tap, end_tap, 1, [f.element(rows, element, here)]) as (tap, now):
                        line = f.element(source, element, f.load("i64", f.element(self.table, "i64", tap)))
                        for v in range(0, vectors * lanes, lanes):
                            f.store(f.load(vector_type(element, lanes), f.element(line, element, v)), f.element(now[0], element, v))
                        now.next = [f.element(now[0], element, wide)]
                # Whole slivers at once, where they begin with a vector of this image.
                first_whole = smaller(f, f.binary("urem", f.binary("sub", wide, f.binary("urem", at, wide)), wide), count)
                whole = f.add(first_whole, f.mul(f.binary("udiv", f.binary("sub", count, first_whole), wide), wide))
                for begin, end, vectors in ((0, first_whole, 1), (first_whole, whole, wide // lanes), (whole, count, 1)):
                    with f.loop(begin, end, vectors * lanes) as j:
                        copy(j, vectors)

    def pack_turned(self, group, first_k, length, column, columns, to, pitch):
        """B[(image, window), (c, tap)]."""
        f, wide, element = self.f, self.shape.columns, self.shape.element
        with f.loop(0, columns, wide) as offset:
            width = smaller(f, f.of(wide, "i64"), f.binary("sub", columns, offset))
            first = f.add(column, offset)
            first_slab = f.binary("udiv", first, self.taps)
            sliver = f.element(to, element, f.mul(f.binary("udiv", offset, wide), pitch))
            with pieces(f, first_k, length, self.places) as (image, start, stop, at):
                piece = self.piece(image, group, start, stop)
                with pieces(f, first, width, self.taps) as (slab, first_tap, end_tap, n):
                    planes = f.mul(f.binary("sub", slab, first_slab), piece.slab_pitch)
                    self.fill(piece, slab, first_tap, end_tap, f.element(self.room, element, planes))
                    line = f.element(self.lines, "i64", f.binary("sub", n, first_tap))
                    with f.loop(first_tap, end_tap) as tap:
                        begin = f.add(planes, f.load("i64", f.element(self.table, "i64", tap)))
                        f.store(begin, f.element(line, "i64", tap))
                transpose_block(f, self.shape, _Lines(self), f.binary("sub", stop, start), width,
                                f.element(sliver, element, f.mul(at, wide)))


def copy_run(f, shape, load, line, start, stop, step=None):
    """line[i] = load(i * step, lanes) for start <= i < stop: by vectors where that is of neighbours or of every other, the last over the
    end of the one before."""
    lanes = shape.lanes

    def every_other(i):
        twice = f.mul(i, 2)
        return f.shuffle(load(twice, lanes), load(f.add(twice, lanes - 1), lanes), [*range(0, lanes, 2), *range(lanes + 1, 2 * lanes, 2)])
    last, left = f.binary("sub", stop, lanes), start
    enough = f.compare("sge", last, start)
    for n, vector in ((1, lambda i: load(i, lanes)), (2, every_other))[:1 if step is None else 2]:
        many = enough if step is None else f.binary("and", f.compare("eq", step, n), enough)
        with f.when(many):
            with f.loop(start, last, lanes) as i:
                f.store(vector(i), f.element(line, shape.element, i))
            f.store(vector(last), f.element(line, shape.element, last))
        left = f.select(many, stop, left)
    with f.loop(left, stop) as i:
        f.store(load(i if step is None else f.mul(i, step), 1), f.element(line, shape.element, i))


class _Lines:
    """The rows (c, tap) whose places `lines` lists, as the columns of a block."""

    def __init__(self, windows):
        self.windows = windows

    def __call__(self, k, n, lanes):
        w = self.windows
        begin = w.f.load("i64", w.f.element(w.lines, "i64", n))
        return w.f.load(vector_type(w.shape.element, lanes), w.f.element(w.f.element(w.room, w.shape.element, begin), w.shape.element, k))

    def square(self, k, n, piece):
        f = self.windows.f
        return lambda i, m: self(f.add(k, i), f.add(n, m), piece)


def whole_vectors(f, places, lanes):
    """How many places whole vectors have."""
    return f.mul(f.binary("udiv", f.add(places, lanes - 1), lanes), lanes)


def room_elements(shape, taps, windows, turned):
    """Elements of scratch for the planes of so many windows: of one slab, or, to be turned, of all slabs of a sliver."""
    return ((2 * taps + shape.columns if turned else taps) * windows + shape.lanes + 15) // 16 * 16
