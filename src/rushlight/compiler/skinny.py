"""Products with so few rows that reading B is all the work: B is read once, where it lies, and never packed.

    add_rows      B in rows of neighbours: sums[i] += a[i, k] B[k] for a few k at a time, over pieces of rows that stay in cache
    add_columns   B in columns of neighbours, one row of A: squares of B are turned in registers

Both add over k in its order, one fma after the other, just as the tiles of microkernel do.
"""
from .llvmir import Value, vector_type
from .microkernel import BITS, multiply_add
from .packing import turned

_AT_ONCE = 4  # k whose numbers of A stay in registers


def add_rows(f, shape, a, b, rows, columns, length, sums, pitch):
    """sums[i * pitch + j] = the sum over k < length of a(i, k) * b(k, j); `b` has neighbours along its rows."""
    clear_rows(f, shape, rows, columns, sums, pitch)
    whole_k, pairs = f.binary("and", length, -_AT_ONCE), f.binary("and", rows, -2)
    for begin, end, at_once in ((0, whole_k, _AT_ONCE), (whole_k, length, 1)):
        with f.loop(begin, end, at_once) as k:
            b_rows = [b.row(f.add(k, u)) for u in range(at_once)]
            for first, last, together in ((0, pairs, 2), (pairs, rows, 1)):  # a number of B that is loaded serves two rows
                with f.loop(first, last, together) as i:
                    lines = [f.element(sums, shape.element, f.mul(f.add(i, r), pitch)) for r in range(together)]
                    numbers = [[a(f.add(i, r), f.add(k, u), 1) for u in range(at_once)] for r in range(together)]
                    _add_numbers(f, shape, numbers, b_rows, columns, lines)


def _add_numbers(f, shape, numbers, b_rows, columns, lines):
    """lines[r][j] += numbers[r][u] * b_rows[u](j), for each u in turn: whole vectors, then one by one."""
    whole = f.binary("and", columns, -shape.lanes)
    for width, first, last in ((shape.lanes, 0, whole), (1, whole, columns)):
        spread = [[f.splat(x, width) for x in row] for row in numbers]
        with f.loop(first, last, width) as j:
            places = [f.element(line, shape.element, j) for line in lines]
            totals = [f.load(vector_type(shape.element, width), place) for place in places]
            for u, b_row in enumerate(b_rows):
                x = b_row(j, width)
                totals = [multiply_add(f, shape, row[u], x, total) for row, total in zip(spread, totals)]
            for total, place in zip(totals, places):
                f.store(total, place)


def add_columns(f, shape, a, b, columns, length, sums):
    """sums[j] = the sum over k < length of a(0, k) * b(k, j); `b` has neighbours along k.

    Two vectors of columns at a time: the latency of one chain of multiply-adds hides that of the other.
    """
    lanes = shape.lanes
    pairs, whole = f.binary("and", columns, -2 * lanes), f.binary("and", columns, -lanes)
    for begin, end, together in ((0, pairs, 2), (pairs, whole, 1)):
        with f.loop(begin, end, together * lanes) as j:
            chains = [(0, f.add(j, c * lanes)) for c in range(together)]
            lines = _whole_lines(f, shape, length)
            totals = _add_lines(f, shape, a, b, 0, lines, chains, [_zero(shape)] * together)
            for chain, total in zip(chains, totals):
                f.store(_add_rest(f, shape, a, b, lines, length, chain, total), f.element(sums, shape.element, chain[1]))
    _add_single_columns(f, shape, a, b, whole, columns, 0, length, sums)


def add_columns_of_two(f, shape, a, b, columns, first, second, sums, more):
    """The same for two blocks of k at once, of `first` and then `second` <= `first` numbers, to `sums` and to `more`.

    The two chains of multiply-adds are in the same columns, which are read from end to end: what is far away is fetched in time.
    """
    lines, common = _whole_lines(f, shape, first), _whole_lines(f, shape, second)
    whole = f.binary("and", columns, -shape.lanes)
    with f.loop(0, whole, shape.lanes) as j:
        one, two = _add_lines(f, shape, a, b, 0, common, [(0, j), (first, j)], [_zero(shape)] * 2)
        one, = _add_lines(f, shape, a, b, common, lines, [(0, j)], [one])
        f.store(_add_rest(f, shape, a, b, lines, first, (0, j), one), f.element(sums, shape.element, j))
        f.store(_add_rest(f, shape, a, b, common, second, (first, j), two), f.element(more, shape.element, j))
    _add_single_columns(f, shape, a, b, whole, columns, 0, first, sums)
    _add_single_columns(f, shape, a, b, whole, columns, first, second, more)


def _zero(shape):
    return Value("zeroinitializer", vector_type(shape.element, shape.lanes))


def _line(shape):
    """The k in a line of cache, but at least a vector: it is used up at once, since many columns may fall on one place there."""
    return max(shape.lanes, 64 * 8 // BITS[shape.element])


def _whole_lines(f, shape, length):
    return f.binary("and", length, -_line(shape))


def _add_lines(f, shape, a, b, begin, end, chains, totals):
    """The sums over begin <= k < end, whole lines, of a vector of columns for each chain (k at which it starts, first column)."""
    with f.loop(begin, end, _line(shape), totals) as (k, now):
        totals = list(now)
        for c, (start, j) in enumerate(chains):
            for at in (f.add(f.add(k, start), u) for u in range(0, _line(shape), shape.lanes)):
                for u, column in enumerate(turned(f, shape, b, at, j)):
                    number = f.splat(a(0, f.add(at, u), 1), shape.lanes)
                    totals[c] = multiply_add(f, shape, number, column, totals[c])
        now.next = totals
    return now.final


def _add_rest(f, shape, a, b, begin, end, chain, total):
    """The same for one chain and less than a line."""
    start, j = chain
    with f.loop(begin, end, 1, [total]) as (k, now):
        at = f.add(k, start)
        column = Value("poison", total.type)
        for i in range(shape.lanes):
            column = f.insert(column, b(at, f.add(j, i), 1), i)
        now.next = [multiply_add(f, shape, f.splat(a(0, at, 1), shape.lanes), column, now[0])]
    return now.final[0]


def _add_single_columns(f, shape, a, b, first, last, start, length, sums):
    with f.loop(first, last) as j:
        with f.loop(0, length, 1, [f.of(0, shape.element)]) as (k, now):
            at = f.add(k, start)
            now.next = [multiply_add(f, shape, a(0, at, 1), b(at, j, 1), now[0])]
        f.store(now.final[0], f.element(sums, shape.element, j))


def clear_rows(f, shape, rows, columns, sums, pitch):
    """Zeros in all of sums[:rows, :columns], and up to a vector beyond."""
    with f.loop(0, rows) as i:
        row = f.element(sums, shape.element, f.mul(i, pitch))
        with f.loop(0, columns, shape.lanes) as j:
            f.store(Value("zeroinitializer", vector_type(shape.element, shape.lanes)), f.element(row, shape.element, j))


def add_block(f, shape, rows, columns, sums, totals, pitch):
    """totals += sums, in whole vectors."""
    vector = vector_type(shape.element, shape.lanes)
    with f.loop(0, rows) as i:
        start = f.mul(i, pitch)
        with f.loop(0, columns, shape.lanes) as j:
            at = f.add(start, j)
            place = f.element(totals, shape.element, at)
            add = "fadd" if shape.element in ("float", "double") else "add"
            f.store(f.binary(add, f.load(vector, place), f.load(vector, f.element(sums, shape.element, at))), place)
