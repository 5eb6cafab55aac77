"""Convolutions with few results for each group (depthwise ones have one), straight from the planes of windows.py: what a window holds is
used so seldom that to pack it would be most of the work.

    convolve    sums[o, i] += w[o, tap] * plane[tap][i]      vectors of windows, all taps of a slab one after the other in registers
    correlate   sums[o, tap] += y[o, i] * plane[tap][i]      LANES partial sums over pieces of an image, folded in halves

`convolve` adds up in the order that products have (contraction.py) as long as one of their blocks of k holds all, so it is a matter
of speed alone.  The order of `correlate` is its own and follows from the shape.  Start with `convolve`.
"""
from .llvmir import Value, vector_type
from .microkernel import multiply_add
from .windows import pieces, smaller, whole_vectors

MOST_ROWS = 4      # results of a group
MOST_TAPS = 4096   # of all channels of a group, in a correlation
COLUMNS = 1024     # windows of a task, or of a piece of an image: their planes stay in the cache next to the processor
LANES = 32         # of each sum over windows, whatever the target
_AT_ONCE = 4       # vectors of windows: so many chains of multiply-adds hide each other's latency


def convolve(windows, group, rows, length, column, columns, weights, sums, pitch):
    """sums[row * pitch + i] for the windows column + i < columns; `weights(row)` points to the `length` weights of a row of this group."""
    f, shape = windows.f, windows.shape
    element, lanes, vector = shape.element, shape.lanes, vector_type(shape.element, shape.lanes)
    with pieces(f, column, columns, whole_vectors(f, windows.places, lanes)) as (image, start, stop, at):
        piece, count = windows.piece(image, group, start, smaller(f, stop, windows.places)), f.binary("sub", stop, start)
        with f.loop(0, rows) as row, f.loop(0, count, lanes) as i:
            f.store(Value("zeroinitializer", vector), f.element(f.element(sums, element, f.add(f.mul(row, pitch), at)), element, i))
        with pieces(f, f.of(0, "i64"), length, windows.taps) as (slab, first_tap, end_tap, k):
            windows.fill(piece, slab, first_tap, end_tap, windows.room)
            windows.fetch_next(piece, slab)
            with f.loop(0, rows) as row:
                number, line = f.element(weights(row), element, k), f.element(sums, element, f.add(f.mul(row, pitch), at))
                many = f.mul(f.binary("udiv", count, _AT_ONCE * lanes), _AT_ONCE * lanes)
                for begin, end, vectors in ((0, many, _AT_ONCE), (many, count, 1)):
                    with f.loop(begin, end, vectors * lanes) as i:
                        places = [f.element(line, element, f.add(i, v * lanes)) for v in range(vectors)]
                        plane = f.element(windows.room, element, i)
                        with f.loop(first_tap, end_tap, 1, [f.load(vector, p) for p in places]) as (tap, totals):
                            at_tap = f.element(plane, element, f.load("i64", f.element(windows.table, "i64", tap)))
                            w = f.splat(f.load(element, f.element(number, element, tap)), lanes)
                            totals.next = [multiply_add(f, shape, w, f.load(vector, f.element(at_tap, element, v * lanes)), total)
                                           for v, total in enumerate(totals)]
                        for total, place in zip(totals.final, places):
                            f.store(total, place)


def correlate(windows, group, rows, first_k, length, slabs, results, line, sums):
    """sums[row * slabs * taps + slab * taps + tap] over the windows first_k <= (image, i) < first_k + length.

    `results(row, image, i)` points to neighbours, of which `line` has room for COLUMNS, as the numbers that are multiplied."""
    f, shape = windows.f, windows.shape
    element, lanes, vector = shape.element, shape.lanes, vector_type(shape.element, shape.lanes)
    pitch, vectors = f.mul(slabs, windows.taps), LANES // lanes
    with f.loop(0, f.mul(rows, pitch)) as i:
        f.store(f.of(0, element), f.element(sums, element, i))
    with pieces(f, first_k, length, windows.places) as (image, first, end, _), f.loop(first, end, COLUMNS) as start:
        stop = smaller(f, f.add(start, COLUMNS), end)
        piece, count = windows.piece(image, group, start, stop), f.binary("sub", stop, start)
        whole = f.binary("and", count, -LANES)
        with f.loop(0, slabs) as slab:
            windows.fill(piece, slab, f.of(0, "i64"), windows.taps, windows.room)
            windows.fetch_next(piece, slab)
            with f.loop(0, rows) as row:
                results(row, image, start, count, line)
                with f.loop(0, windows.taps) as tap:
                    plane = f.element(windows.room, element, f.load("i64", f.element(windows.table, "i64", tap)))
                    with f.loop(0, whole, LANES, [Value("zeroinitializer", vector)] * vectors) as (i, totals):
                        x, y = (f.element(p, element, i) for p in (plane, line))
                        totals.next = [multiply_add(f, shape, *(f.load(vector, f.element(p, element, v * lanes)) for p in (x, y)), total)
                                       for v, total in enumerate(totals)]
                    with f.loop(whole, count, 1, [_folded(f, totals.final)]) as (i, total):
                        total.next = [multiply_add(f, shape, *(f.load(element, f.element(p, element, i)) for p in (plane, line)), total[0])]
                    place = f.element(sums, element, f.add(f.mul(row, pitch), f.add(f.mul(slab, windows.taps), tap)))
                    f.store(_sum(f, f.load(element, place), total.final[0]), place)


def _sum(f, a, b):
    return f.binary("fadd" if a.type.strip("<>").split()[-1] in ("float", "double") else "add", a, b)


def _folded(f, parts):
    """The sum of all lanes of some vectors: those that lie half of all lanes apart are added, and so on."""
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [_sum(f, a, b) for a, b in zip(parts[:half], parts[half:])]
    x, = parts
    lanes = int(x.type[1:].split()[0])
    while lanes > 1:
        lanes //= 2
        if lanes > 1:
            x = _sum(f, f.shuffle(x, x, range(lanes)), f.shuffle(x, x, range(lanes, 2 * lanes)))
        else:
            x = _sum(f, f.extract(x, 0), f.extract(x, 1))
    return x
