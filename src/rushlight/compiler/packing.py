"""Copy blocks of a matrix to where the micro-kernels read them fastest, computing or widening them on the way.

    copy_block        rows of neighbours to rows of neighbours
    transpose_block   B as columns of neighbours to a sliver: squares of a vector of vectors are turned in registers

      n0: k0 k1 k2 k3 .        k0: n0 n1 n2 n3
      n1: k0 k1 k2 k3 .   ->   k1: n0 n1 n2 n3
      n2: ...                  k2: ...

`load(i, j, lanes)` emits the source's elements, a vector of neighbours or one number.  Loops, never unrolled code over
extents: a block costs the same to compile whatever its size.
"""
from .llvmir import Value, element_type, lanes_of, vector_type

LLVM_TYPES = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "bfloat", "bool": "i8", "uint8": "i8",
              "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64"}


def copy_block(f, shape, load, rows, columns, to, pitch, vectors=True, fill=0):
    """to[i * pitch + j] = load(i, j) for i < rows, j < columns; the row is zero from there to `fill`.

    Without `vectors` the source has no neighbours and is loaded number by number.
    """
    lanes = shape.lanes
    if not isinstance(columns, Value):
        if columns <= 4 * lanes and columns % lanes == 0 and vectors:
            with f.loop(0, rows) as i:
                start = f.element(to, shape.element, f.mul(i, pitch))
                for j in range(0, columns, lanes):
                    f.store(load(i, f.of(j, "i64"), lanes), f.element(start, shape.element, j))
            return
        columns = f.of(columns, "i64")
    whole = f.binary("and", columns, -lanes) if vectors else f.of(0, "i64")
    with f.loop(0, rows) as i:
        start = f.element(to, shape.element, f.mul(i, pitch))
        for j in range(0, fill, lanes):
            f.store(Value("zeroinitializer", vector_type(shape.element, lanes)), f.element(start, shape.element, j))
        if vectors:
            with f.loop(0, whole, lanes) as j:
                f.store(load(i, j, lanes), f.element(start, shape.element, j))
        with f.loop(whole, columns) as j:
            f.store(load(i, j, 1), f.element(start, shape.element, j))


def transpose_block(f, shape, load, length, width, to):
    """A sliver to[k * shape.columns + n] = load(k, n) of `length` x `width`, zero beyond `width`; `load` has neighbours along k."""
    lanes, pitch = shape.lanes, shape.columns
    whole = f.binary("and", length, -lanes)
    squares = f.binary("and", width, -lanes)
    with f.loop(0, squares, lanes) as n:
        with f.loop(0, whole, lanes) as k:
            rows = [load(k, f.add(n, i), lanes) for i in range(lanes)]
            for i, row in enumerate(transposed(f, rows)):
                f.store(row, f.element(f.element(to, shape.element, f.mul(f.add(k, i), pitch)), shape.element, n))
        with f.loop(whole, length) as k:
            start = f.element(f.element(to, shape.element, f.mul(k, pitch)), shape.element, n)
            for i in range(lanes):
                f.store(load(k, f.add(n, i), 1), f.element(start, shape.element, i))
    with f.loop(squares, pitch) as n:
        yes, no, done = f.label("there"), f.label("beyond"), f.label("filled")
        f.branch_if(f.compare("slt", n, width), yes, no)
        f.start(yes)
        with f.loop(0, length) as k:
            f.store(load(k, n, 1), f.element(f.element(to, shape.element, f.mul(k, pitch)), shape.element, n))
        f.branch(done)
        f.start(no)
        with f.loop(0, length) as k:
            f.store(f.of(0, shape.element), f.element(f.element(to, shape.element, f.mul(k, pitch)), shape.element, n))
        f.branch(done)
        f.start(done)


def transposed(f, rows):
    """The square of `len(rows)` vectors with rows and columns swapped, in log2 rounds of shuffles of two vectors.

    Numbers of 32 bits are interleaved in the first round, within 128 bits, as both x86 and Arm do in one instruction.
    """
    n, half = len(rows), 1
    if n >= 4 and element_type(rows[0].type) in ("float", "i32"):
        low = [j // 4 * 4 + j % 4 // 2 + (n if j % 2 else 0) for j in range(n)]
        pairs = [(f.shuffle(a, b, low), f.shuffle(a, b, [j + 2 for j in low])) for a, b in zip(rows[::2], rows[1::2])]
        rows = []
        for (a, b), (c, d) in zip(pairs[::2], pairs[1::2]):
            for x, y in ((a, c), (b, d)):
                rows += [_halves(f, x, y, 2, 0), _halves(f, x, y, 2, 1)]
        half = 4
    while half < n:
        result = list(rows)
        for i in range(n):
            if i & half == 0:
                result[i], result[i + half] = (_halves(f, rows[i], rows[i + half], half, which) for which in (0, 1))
        rows = result
        half *= 2
    return rows


def _halves(f, a, b, half, which):
    """From each run of 2 `half` lanes the first or the second half of a, then that of b."""
    n = lanes_of(a.type)
    return f.shuffle(a, b, [j + which * half if j & half == 0 else n + j - half + which * half for j in range(n)])
