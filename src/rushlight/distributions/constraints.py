"""What values a parameter or a sample may have: `constraint.check(value)` says of each whether it does.

    >>> constraints.positive.check(torch.tensor([1.0, -1.0]))
    tensor([ True, False])
"""


class Constraint:
    """A region.  `event_dim`: how many trailing dimensions are one value; `is_discrete`: whether values are whole numbers."""

    def __init__(self, name, check, event_dim=0, is_discrete=False):
        self.name, self._check, self.event_dim, self.is_discrete = name, check, event_dim, is_discrete

    def check(self, value):
        """A bool tensor: which values are inside."""
        return self._check(value)

    def __repr__(self):
        return self.name


def interval(low, high):
    """From low to high, both included."""
    return Constraint(f"Interval(lower_bound={low}, upper_bound={high})", lambda x: (low <= x) & (x <= high))


def greater_than(low):
    """Above low."""
    return Constraint(f"GreaterThan(lower_bound={low})", lambda x: low < x)


def greater_than_eq(low):
    """From low on."""
    return Constraint(f"GreaterThanEq(lower_bound={low})", lambda x: low <= x)


def integer_interval(low, high):
    """Whole numbers from low to high."""
    return Constraint(f"IntegerInterval(lower_bound={low}, upper_bound={high})", lambda x: (x % 1 == 0) & (low <= x) & (x <= high),
                      is_discrete=True)


def independent(base, count):
    """A value of `count` more dimensions, each part in the base region."""
    return Constraint(f"IndependentConstraint({base}, {count})",
                      lambda x: base.check(x).flatten(x.ndim - count - base.event_dim).all(-1) if count else base.check(x),
                      base.event_dim + count, base.is_discrete)


real = Constraint("Real()", lambda x: x == x)
positive, nonnegative, unit_interval = greater_than(0.0), greater_than_eq(0.0), interval(0.0, 1.0)
boolean = Constraint("Boolean()", lambda x: (x == 0) | (x == 1), is_discrete=True)
nonnegative_integer = Constraint("IntegerGreaterThan(lower_bound=0)", lambda x: (x % 1 == 0) & (x >= 0), is_discrete=True)
real_vector = independent(real, 1)
simplex = Constraint("Simplex()", lambda x: (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6), 1)
one_hot = Constraint("OneHot()", lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1), 1, True)
lower_cholesky = Constraint("LowerCholesky()", lambda x: (x.tril() == x).flatten(-2).all(-1) & (x.diagonal(dim1=-2, dim2=-1) > 0).all(-1),
                            2)


def _is_positive_definite(x):
    import rushlight as torch
    return (x - x.mT).abs().flatten(-2).amax(-1).le(1e-6) & torch.linalg.cholesky_ex(x).info.eq(0)


positive_definite = Constraint("PositiveDefinite()", _is_positive_definite, 2)
