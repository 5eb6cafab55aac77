"""Fit every polynomial of the compiler's vector math and write `src/rushlight/compiler/polynomials.py`.

    python tools/fit_polynomials.py > src/rushlight/compiler/polynomials.py

Needs mpmath.  Each line of FITS says: the function that the polynomial stands for, its interval, how its error weighs in the
final result (so that what is made small is the relative error of exp, log, ... and not of the polynomial), and a degree for
float32 and for float64 (None where that type has another method).  The fit is Remez's exchange: solve for the polynomial whose
weighted error alternates on degree + 2 points, move the points to where the error really peaks, repeat.  Coefficients are
then rounded to the type; the worst weighted error, in units of half an ulp of 1, is written beside each.
"""
import struct
import sys

from mpmath import mp, mpf

mp.dps = 50
QUARTER_PI_SQUARED = (mp.pi / 4) ** 2 * mpf("1.002")
HALF_LN2 = mp.log(2) / 2 * mpf("1.001")
ATANH_SQUARED = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mpf("1.001")


def log_tail(z):
    """R / z of log((1 + s) / (1 - s)) = 2 s + s R(z), z = s s."""
    s = mp.sqrt(z)
    return (mp.log((1 + s) / (1 - s)) / s - 2) / z


def of_root(function):
    """(function(r) - r) / r^3 as a function of z = r r, for an odd function that starts r + ..."""
    def tail(z):
        r = mp.sqrt(z)
        return (function(r) - r) / r ** 3
    return tail


def root_weight(function):
    """r^3 / function(r) as a function of z = r r: how the error of `of_root(function)` enters the function."""
    return lambda z: mp.sqrt(z) ** 3 / function(mp.sqrt(z))


def erfcx_bent(q):
    """(1 + 2 x) exp(x x) erfc(x), where q = (x - 4) / (x + 4) takes the half line to an interval (after M. M. Shepherd and
    J. G. Laframboise, Mathematics of Computation 36, 1981)."""
    x = 4 * (1 + q) / (1 - q)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def erfinv_ratio(w):
    """erfinv(y) / y where w = -log(1 - y y) (the variable of M. Giles, GPU Computing Gems, 2011)."""
    y = mp.sqrt(-mp.expm1(-w))
    small = mp.exp(-w) / (1 + y)  # 1 - y
    x = mp.sqrt(w) * mpf("0.9")
    for _ in range(60):
        step = (mp.erfc(x) - small) / (2 / mp.sqrt(mp.pi) * mp.exp(-x * x))
        x += step
        if abs(step) < mpf(10) ** -25:
            break
    return x / y


def digits(low, high, degree_single, degree_double, function, weight=lambda x: mpf(1)):
    return function, weight, (low, high), {"float": degree_single, "double": degree_double}


FITS = {
    "exp: (e^r - 1 - r) / r^2": digits(-HALF_LN2, HALF_LN2, 4, 9, lambda r: (mp.expm1(r) - r) / r ** 2, lambda r: r ** 2 / mp.exp(r)),
    "exp2: (2^r - 1) / r": digits(mpf("-0.501"), mpf("0.501"), 5, 10, lambda r: (2 ** r - 1) / r, lambda r: r / 2 ** r),
    "log: (log((1 + s) / (1 - s)) / s - 2) / z, z = s^2": digits(
        mpf(0), ATANH_SQUARED, 2, 6, log_tail, lambda z: z * mp.sqrt(z) / mp.log((1 + mp.sqrt(z)) / (1 - mp.sqrt(z)))),
    "long_log: (log((1 + s) / (1 - s)) / s - 2 - 2/3 z) / z^2": digits(
        mpf(0), ATANH_SQUARED, None, 6, lambda z: (log_tail(z) - mpf(2) / 3) / z, lambda z: z ** 2),
    "sin: (sin r - r) / r^3, z = r^2": digits(mpf(0), QUARTER_PI_SQUARED, 2, 5, of_root(mp.sin), root_weight(mp.sin)),
    "cos: (cos r - 1 + z / 2) / z^2, z = r^2": digits(
        mpf(0), QUARTER_PI_SQUARED, 2, 5, lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z ** 2, lambda z: z ** 2 / mp.cos(mp.sqrt(z))),
    "tanh: (tanh r - r) / r^3, z = r^2": digits(mpf(0), (HALF_LN2 / 2) ** 2, 2, 5, of_root(mp.tanh), root_weight(mp.tanh)),
    "tan: (tan r - r) / r^3, z = r^2": digits(mpf(0), QUARTER_PI_SQUARED, None, 14, of_root(mp.tan), root_weight(mp.tan)),
    "atan: (atan x - x) / x^3, z = x^2": digits(mpf(0), mpf(1), 8, 20, of_root(mp.atan), root_weight(mp.atan)),
    "asin: (asin x - x) / x^3, z = x^2": digits(mpf(0), mpf("0.2502"), 4, 12, of_root(mp.asin), root_weight(mp.asin)),
    "erf: erf x / x - 1 below 1, z = x^2": digits(
        mpf(0), mpf(1), 6, 12, lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z))),
    "erf_tail: -log(erfc t) / t above 1": digits(
        mpf(1), mpf(4), 6, None, lambda t: -mp.log(mp.erfc(t)) / t, lambda t: t * mp.erfc(t) / mp.erf(t)),
    "erfc: (1 + 2 x) e^(x^2) erfc x from 0.47 to 28, q = (x - 4) / (x + 4)": digits(
        mpf("-0.79"), mpf("0.76"), 10, 22, erfcx_bent, lambda q: 1 / erfcx_bent(q)),
    "lgamma: lgamma(2 + t) / t": digits(
        mpf("-0.5"), mpf("0.5"), None, 18, lambda t: mp.loggamma(2 + t) / t, lambda t: t / mp.loggamma(2 + t)),
    "erfinv: erfinv y / y, w = -log(1 - y^2) below 5, in w - 2.5": digits(
        mpf("-2.4999"), mpf("2.5"), 9, 8, lambda v: erfinv_ratio(v + mpf("2.5")), lambda v: 1 / erfinv_ratio(v + mpf("2.5"))),
    "erfinv_tail: the same from 5 to 17, in sqrt(w) - 3": digits(
        mpf("-0.77"), mpf("1.15"), 9, None, lambda v: erfinv_ratio((v + 3) ** 2), lambda v: 1 / erfinv_ratio((v + 3) ** 2)),
    "erfinv_tail: the same from 5 to 38, in sqrt(w) - 3": digits(
        mpf("-0.77"), mpf("3.2"), None, 9, lambda v: erfinv_ratio((v + 3) ** 2), lambda v: 1 / erfinv_ratio((v + 3) ** 2)),
}


def remez(function, weight, low, high, degree):
    """The coefficients, lowest first, and the worst weighted error."""
    count = 40 * (degree + 2)
    middle, radius = (low + high) / 2, (high - low) / 2
    grid = [middle - radius * mp.cos((i + mpf(1) / 2) * mp.pi / count) for i in range(count)]
    target, weights = [function(x) for x in grid], [weight(x) for x in grid]
    places = [round((i + 0.5) * count / (degree + 2)) for i in range(degree + 2)]
    for _ in range(12):
        rows = mp.matrix(degree + 2, degree + 2)
        for i, p in enumerate(places):
            for j in range(degree + 1):
                rows[i, j] = grid[p] ** j
            rows[i, degree + 1] = (-1) ** i / weights[p]
        solution = mp.lu_solve(rows, mp.matrix([target[p] for p in places]))
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [(target[i] - mp.polyval(coefficients[::-1], x)) * weights[i] for i, x in enumerate(grid)]
        peaks, start = [], 0
        for i in range(1, count + 1):  # one peak in each run of one sign
            if i == count or (errors[i] > 0) != (errors[start] > 0):
                peaks.append(max(range(start, i), key=lambda p: abs(errors[p])))
                start = i
        while len(peaks) > degree + 2:
            peaks.remove(min(peaks[0], peaks[-1], key=lambda p: abs(errors[p])))
        if len(peaks) < degree + 2 or peaks == places:
            break
        places = peaks
    return coefficients, max(map(abs, errors))


def rounded(x, type):
    return struct.unpack("<f", struct.pack("<f", float(x)))[0] if type == "float" else float(x)


def main():
    print('"""The coefficients of the vector math, lowest power first: written by tools/fit_polynomials.py, where they are derived.')
    print('\nIn parentheses: the worst error in the function that a polynomial serves, in half ulps of 1, before arithmetic rounds.\n"""\n')
    tables = {"float": [], "double": []}
    for title, (function, weight, (low, high), degrees) in FITS.items():
        for type, degree in degrees.items():
            if degree is None:
                continue
            coefficients, error = remez(function, weight, low, high, degree)
            units = float(error * 2 ** (24 if type == "float" else 53))
            print(title, type, f"{units:.3f}", file=sys.stderr)
            tables[type].append((title, units, [rounded(c, type) for c in coefficients]))
    for type, name in (("float", "SINGLE"), ("double", "DOUBLE")):
        print(f"{name} = {{")
        for title, units, coefficients in tables[type]:
            print(f"    # {title} ({units:.2g})")
            print(f'    "{title.split(":")[0]}": [')
            for i in range(0, len(coefficients), 5):
                print("        " + ", ".join(map(repr, coefficients[i:i + 5])) + ",")
            print("    ],")
        print("}")
    print("TABLES = {\"float\": SINGLE, \"double\": DOUBLE}")


if __name__ == "__main__":
    main()
