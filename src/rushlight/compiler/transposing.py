"""Exchange the rows and columns of a tile in memory, a few vectors at a time.

    a0 a1 a2 a3                a0 b0 c0 d0
    b0 b1 b2 b3       ->       a1 b1 c1 d1        4 loads, 8 shuffles, 4 stores
    c0 c1 c2 c3                a2 b2 c2 d2
    d0 d1 d2 d3                a3 b3 c3 d3

It does not matter what the elements are, only their size.  Start with `transpose`.
"""
from .llvmir import vector_type
from .native.target import host


def transpose(f, size, source, stride, target, pitch, rows, columns, is_mirrored=False):
    """target[pitch * i + j] = source[i + stride * j], or source[-i + stride * j], for i < rows and j < columns: elements of `size` bytes.
    At ragged edges they are copied one by one."""
    element, lanes = f"i{8 * size}", _lanes(size)
    if is_mirrored:  # from the last row to the first
        last = f.binary("sub", rows, 1)
        source, target, pitch = f.element(source, element, f.mul(last, -1)), f.element(target, element, f.mul(last, pitch)), -pitch
    with f.loop(0, columns, lanes) as j, f.loop(0, rows, lanes) as i:
        first = f.element(source, element, f.add(f.mul(j, stride), i))
        there = f.element(target, element, f.add(f.mul(i, pitch), j))
        height, width = f.binary("sub", rows, i), f.binary("sub", columns, j)
        full = f.binary("and", f.compare("sge", height, lanes), f.compare("sge", width, lanes))
        whole, ragged, done = f.label("whole"), f.label("ragged"), f.label("transposed")
        f.branch_if(full, whole, ragged)
        f.start(whole)
        vectors, row = [], first
        for _ in range(lanes):
            vectors.append(f.load(vector_type(element, lanes), row, size))
            row = f.element(row, element, stride)
        for n, column in enumerate(_exchanged(f, vectors, 16 // size)):
            f.store(column, f.element(there, element, f.mul(n, pitch)), size)
        f.branch(done)
        f.start(ragged)
        height, width = (f.select(f.compare("slt", n, lanes), n, lanes) for n in (height, width))
        with f.loop(0, width) as b, f.loop(0, height) as a:
            x = f.load(element, f.element(first, element, f.add(f.mul(b, stride), a)))
            f.store(x, f.element(there, element, f.add(f.mul(a, pitch), b)))
        f.branch(done)
        f.start(done)


def _lanes(size):
    """The rows and columns of what is exchanged in registers: 128 bits, or 256 where there are few elements in them."""
    return (32 if size >= 4 and host().vector_bits >= 256 else 16) // size


def _exchanged(f, rows, block):
    """Vectors with rows and columns exchanged: as many as lanes, which are one block or two (of 128 bits, as shuffles of x86 have it).

    Of two halves of the rows whose columns stand in groups already, groups are interleaved:  a0 a1, b0 b1  ->  a0 b0, a1 b1.
    """
    lanes = len(rows)

    def grouped(rows):
        if len(rows) == 1:
            return rows
        half, result = len(rows) // 2, []
        for a, b in zip(grouped(rows[:half]), grouped(rows[half:])):
            for side in (0, block // 2):
                mask = [start + side + group + i + which * lanes for start in range(0, lanes, block)
                        for group in range(0, block // 2, half) for which in (0, 1) for i in range(half)]
                result.append(f.shuffle(a, b, mask))
        return result
    if lanes == block:
        return grouped(rows)
    upper, lower = grouped(rows[:block]), grouped(rows[block:])
    return [f.shuffle(a, b, [start + i + which * lanes for which in (0, 1) for i in range(block)])
            for start in (0, block) for a, b in zip(upper, lower)]
