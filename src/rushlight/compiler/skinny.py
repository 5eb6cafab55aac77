"""Products with so few rows that reading B is all the work: B is read once, where it lies, and never packed.

    add_rows      B in rows of neighbours: sums[i] += a[i, k] B[k] for a few k at a time, over pieces of rows that stay in cache
    add_columns   B in columns of neighbours, one row of A: squares of B are turned in registers

Both add over k in its order, one fma after the other, just as the tiles of microkernel do.
"""
from .llvmir import Value, vector_type
from .microkernel import multiply_add
from .packing import turned

_AT_ONCE = 4  # k whose numbers of A stay in registers


def add_rows(f, shape, a, b, rows, columns, length, sums, pitch):
    """sums[i * pitch + j] = the sum over k < length of a(i, k) * b(k, j); `b` has neighbours along its rows."""
    clear_rows(f, shape, rows, columns, sums, pitch)
    whole_k, pairs = f.binary("and", length, -_AT_ONCE), f.binary("and", rows, -2)
    for begin, end, at_once in ((0, whole_k, _AT_ONCE), (whole_k, length, 1)):
        with f.loop(begin, end, at_once) as k:
            b_rows = [b.row(f.add(k, u)) for u in range(at_once)]
            # What is loaded of B serves two rows; for the few k at the end that is not worth the code.
            for first, last, together in ((0, pairs, 2), (pairs, rows, 1)) if at_once > 1 else ((0, rows, 1),):
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
    """sums[j] = the sum over k < length of a(0, k) * b(k, j); `b` has neighbours along k."""
    lanes = shape.lanes
    whole_k = f.binary("and", length, -lanes)
    pairs, whole = f.binary("and", columns, -2 * lanes), f.binary("and", columns, -lanes)
    zero = Value("zeroinitializer", vector_type(shape.element, lanes))
    for begin, end, squares in ((0, pairs, 2), (pairs, whole, 1)):  # two chains of multiply-adds hide each other's latency
        with f.loop(begin, end, squares * lanes) as j:
            with f.loop(0, whole_k, lanes, [zero] * squares) as (k, now):
                totals = list(now)
                for s in range(squares):
                    for u, y in enumerate(turned(f, shape, b, k, f.add(j, s * lanes))):
                        totals[s] = multiply_add(f, shape, f.splat(a(0, f.add(k, u), 1), lanes), y, totals[s])
                now.next = totals
            with f.loop(whole_k, length, 1, now.final) as (k, rest):
                number, totals = f.splat(a(0, k, 1), lanes), []
                for s, total in enumerate(rest):
                    column = Value("poison", zero.type)
                    for i in range(lanes):
                        column = f.insert(column, b(k, f.add(j, s * lanes + i), 1), i)
                    totals.append(multiply_add(f, shape, number, column, total))
                rest.next = totals
            for s, total in enumerate(rest.final):
                f.store(total, f.element(sums, shape.element, f.add(j, s * lanes)))
    with f.loop(whole, columns) as j:
        with f.loop(0, length, 1, [f.of(0, shape.element)]) as (k, now):
            now.next = [multiply_add(f, shape, a(0, k, 1), b(k, j, 1), now[0])]
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
