"""Copy blocks of a matrix to where the micro-kernels read them fastest, computing or widening them on the way.

    copy_block        rows to rows
    pack_slivers      B as rows of neighbours to slivers
    pack_panels       A as columns of neighbours to the tiles of a panel
    transpose_block   B as columns of neighbours to a sliver: squares of a vector of vectors are turned in registers

      n0: k0 k1 k2 k3 .        k0: n0 n1 n2 n3
      n1: k0 k1 k2 k3 .   ->   k1: n0 n1 n2 n3
      n2: ...                  k2: ...

`load` is a `contraction._Reader`: load(i, j, lanes) emits the source's elements at (i, j), a vector of neighbours or one number;
load.row(i)(j, lanes) computes in advance what depends on i alone; load.square reads pieces of several columns.  Extents are run
over by loops, never unrolled: a block costs the same to compile whatever its size.
"""
from .llvmir import Value, lanes_of, vector_type
from .microkernel import BITS, tile_height

LLVM_TYPES = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "bfloat", "bool": "i8", "uint8": "i8",
              "uint16": "i16", "uint32": "i32", "uint64": "i64", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64"}
_K_AT_ONCE = 64  # rows of a transposed A, each on a page of its own


def copy_block(f, shape, load, rows, columns, to, pitch, vectors=True, fill=0):
    """to[i * pitch + j] = load(i, j) for i < rows, j < columns; the row is zero from there to `fill`.

    Without `vectors` the source has no neighbours and is loaded number by number.
    """
    lanes = shape.lanes
    whole = f.binary("and", columns, -lanes) if vectors else f.of(0, "i64")
    with f.loop(0, rows) as i:
        row = load.row(i)
        start = f.element(to, shape.element, f.mul(i, pitch))
        for j in range(0, fill, lanes):
            f.store(Value("zeroinitializer", vector_type(shape.element, lanes)), f.element(start, shape.element, j))
        if vectors:
            with f.loop(0, whole, lanes) as j:
                f.store(row(j, lanes), f.element(start, shape.element, j))
        with f.loop(whole, columns) as j:
            f.store(row(j, 1), f.element(start, shape.element, j))


def pack_slivers(f, shape, load, length, columns, to, pitch):
    """B with neighbours along its rows, `columns` being whole slivers, to slivers that begin `pitch` apart.

    Four slivers at a time: long enough pieces of the rows of B to read, few enough places to write.
    """
    group = 4 * shape.columns
    with f.loop(0, columns, group) as first:
        start = f.element(to, shape.element, f.mul(f.binary("udiv", first, shape.columns), pitch))
        next_group = f.add(first, group)
        last = f.select(f.compare("slt", next_group, columns), next_group, columns)
        with f.loop(0, length) as i:
            row = load.row(i)
            with f.loop(first, last, shape.columns, [f.element(start, shape.element, f.mul(i, shape.columns))]) as (j, now):
                for v in range(0, shape.columns, shape.lanes):
                    f.store(row(f.add(j, v), shape.lanes), f.element(now[0], shape.element, v))
                now.next = [f.element(now[0], shape.element, pitch)]


def pack_panels(f, shape, load, rows, length, available, to):
    """A in tiles one after the other, each `length` rows of the tile's height, as the panels of microkernel read them: from
    `load(row, k, lanes)` with neighbours along the rows, of which `available` >= `rows` exist.

    Whole vectors are stored one over the end of the other.  A few k at a time, so that their pages stay known to the processor.
    """
    reach = -(-shape.rows // shape.lanes) * shape.lanes
    tiles = f.binary("udiv", f.add(rows, shape.rows - 1), shape.rows)
    with f.loop(0, length, _K_AT_ONCE) as first_k:
        next_k = f.add(first_k, _K_AT_ONCE)
        last_k = f.select(f.compare("slt", next_k, length), next_k, length)
        with f.loop(0, tiles, 1, [f.of(0, "i64")]) as (_, now):
            row = now[0]
            height = tile_height(f, shape, f.binary("sub", rows, row))
            now.next = [f.add(row, height)]
            start = f.element(to, shape.element, f.mul(row, length))
            end = f.mul(height, length)
            there = f.compare("sle", f.add(row, reach), available)
            with f.loop(first_k, last_k) as k:
                offset = f.mul(k, height)
                place = f.element(start, shape.element, offset)
                yes, no, done = f.label("vectors"), f.label("numbers"), f.label("copied")
                f.branch_if(f.binary("and", there, f.compare("sle", f.add(offset, reach), end)), yes, no)
                f.start(yes)
                for v in range(0, reach, shape.lanes):
                    f.store(load(f.add(row, v), k, shape.lanes), f.element(place, shape.element, v))
                f.branch(done)
                f.start(no)
                with f.loop(0, height) as i:
                    f.store(load(f.add(row, i), k, 1), f.element(place, shape.element, i))
                f.branch(done)
                f.start(done)


def transpose_block(f, shape, load, length, width, to):
    """A sliver to[k * shape.columns + n] = load(k, n) of `length` x `width`, zero beyond `width`; `load` has neighbours along k."""
    lanes, pitch = shape.lanes, shape.columns
    whole = f.binary("and", length, -lanes)
    squares = f.binary("and", width, -lanes)

    def place(k, n):
        return f.element(f.element(to, shape.element, f.mul(k, pitch)), shape.element, n)
    with f.loop(0, squares, lanes) as n:
        with f.loop(0, whole, lanes) as k:
            for i, row in enumerate(turned(f, shape, load, k, n)):
                f.store(row, place(f.add(k, i), n))
        with f.loop(whole, length) as k:
            start = place(k, n)
            for i in range(lanes):
                f.store(load(k, f.add(n, i), 1), f.element(start, shape.element, i))
    with f.loop(squares, pitch) as n:
        yes, no, done = f.label("there"), f.label("beyond"), f.label("filled")
        f.branch_if(f.compare("slt", n, width), yes, no)
        f.start(yes)
        with f.loop(0, length) as k:
            f.store(load(k, n, 1), place(k, n))
        f.branch(done)
        f.start(no)
        with f.loop(0, length) as k:
            f.store(f.of(0, shape.element), place(k, n))
        f.branch(done)
        f.start(done)


def turned(f, shape, load, k, n):
    """The square of a vector of vectors at (k, n): for each k its numbers along n, where `load` has neighbours along k.

        n0: k0 k1 k2 k3 | k4 ..        pieces of 128 bits of rows that far apart are put side by side: from memory
        n1: k0 k1 k2 k3 |              that is no shuffle; the rest is done within 128 bits, which is cheap everywhere
        ..                       ->    k0: n0 n1 n2 n3 | n4 ..
        n4: k0 k1 k2 k3 |
    """
    lanes = shape.lanes
    piece = 128 // BITS[shape.element]
    part = load.square(k, n, piece)
    result = []
    for first in range(0, lanes, piece):
        result += _turned_pieces(f, [_side_by_side(f, [part(first, i + far) for far in range(0, lanes, piece)]) for i in range(piece)])
    return result


def _side_by_side(f, parts):
    while len(parts) > 1:
        parts = [f.shuffle(a, b, range(2 * lanes_of(a.type))) for a, b in zip(parts[::2], parts[1::2])]
    return parts[0]


def _turned_pieces(f, rows):
    """Rows and columns swapped in each 128 bits of 2 or 4 vectors."""
    n, piece = lanes_of(rows[0].type), len(rows)
    half = piece // 2
    low = [j // piece * piece + j % piece // 2 + (n if j % 2 else 0) for j in range(n)]
    pairs = [[f.shuffle(a, b, [j + first for j in low]) for first in (0, half)] for a, b in zip(rows[::2], rows[1::2])]
    if piece == 2:
        return pairs[0]
    low = [j // 4 * 4 + j % 2 + (n if j % 4 > 1 else 0) for j in range(n)]
    return [f.shuffle(a, b, [j + first for j in low]) for a, b in zip(*pairs) for first in (0, 2)]
