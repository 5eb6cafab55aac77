"""Extents compute like the ints they stand for, whatever was decided about them before (rushlight/ir/extents.py)."""
import random

from rushlight.ir.extents import Assumptions, Extent, check, maximum, minimum, settled, symbol

INTEGERS = (2, 3, 4, 5, 6, 8, 12, 2, 3)
BINARY = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "min": minimum, "max": maximum,
          "//": lambda a, b: a // b, "%": lambda a, b: a % b}
OF_INTS = {**BINARY, "min": min, "max": max}


def value(x, integers):
    return x.evaluate(integers) if isinstance(x, Extent) else x


def computation(seed, integers):
    """[(Extent, int)] that were computed side by side, with comparisons in between."""
    chance = random.Random(seed)
    pool = [(symbol(i, n, i < 3), n) for i, n in enumerate(integers)]
    for _ in range(14):
        (a, x), (b, y) = chance.choice(pool), chance.choice(pool)
        if chance.random() < 0.3:
            b = y = chance.choice((1, 2, 3, -1, -2))
        if abs(x) > 10**6 or abs(y) > 10**6:
            continue
        kind = chance.choice((*BINARY, "==", "==", "<", "settled"))
        if kind == "==":
            b, y = chance.choice([(p, q) for p, q in pool if q == x or chance.random() < 0.2] or [(b, y)])
            assert (a == b) == (x == y), f"{a} == {b}"
        elif kind == "<":
            assert (a < b) == (x < y), f"{a} < {b}"
        elif kind == "settled":
            pool.append((settled(a), x))
        elif kind not in ("//", "%") or a >= 0 and b > 0:
            pool.append((BINARY[kind](a, b), OF_INTS[kind](x, y)))
    return pool


def test_whatever_is_computed_and_compared_is_what_ints_give():
    for seed in range(2000):
        chance = random.Random(seed)
        integers = [chance.choice(INTEGERS) for _ in range(4)]
        known = Assumptions((), integers)
        pool = known.run(computation, seed, integers)
        for extent, number in pool:
            simple = known.simplify(extent)
            assert value(extent, integers) == number and value(simple, integers) == number, f"seed {seed}: {extent}, in short {simple}"
        holds = check(known.guards)
        assert holds is None or holds(integers)


def test_where_the_guards_hold_other_integers_give_the_same_answers():
    for seed in range(1000):
        chance = random.Random(seed)
        integers, others = ([chance.choice(INTEGERS) for _ in range(4)] for _ in range(2))
        known = Assumptions((), integers)
        pool = known.run(computation, seed, integers)
        holds = check(known.guards)
        if holds is None or holds(others):
            for extent, _ in pool:
                assert value(known.simplify(extent), others) == value(extent, others), f"seed {seed}: {extent}"


def test_extents_that_are_equal_at_the_moment_stay_different_names():
    n, m, k = symbol(0, 6), symbol(1, 4), symbol(2, 6)
    with Assumptions((), [6, 4, 6]) as known:
        a, b = n // m, k // m
        assert (a.terms == b.terms, known.guards) == (False, [])
        assert a + 2 * b == 3
        assert [str(e) for _, e in known.guards] == ["-3 + ((v[0]) // (v[1])) + 2*((v[2]) // (v[1]))"]


def test_names_that_differ_in_one_and_two_are_different():
    """Python's hash of -1 is that of -2."""
    n = symbol(0, 5)
    assert str((n - 2) // (n - 1)) == "((-2 + v[0]) // (-1 + v[0]))"
    assert str(n * 4 % (n * n - 2) * ((n - 1) // 2) // ((n - 2) // 2)).endswith("// (((-2 + v[0]) // (2))))")
    assert ((n - 2) // (n - 1)).value == 0 and ((n - 2) % (n - 1)).value == 3
