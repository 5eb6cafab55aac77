"""What values a parameter or a sample may have: `constraint.check(value)` says of each whether it does.

    >>> constraints.positive.check(torch.tensor([1.0, -1.0]))
    tensor([ True, False])

Each region is a class of its own, by which `biject_to` and `transform_to` find their mappings (constraint_registry.py); the public names at
the end of the file are those classes, or the one instance that is needed.
https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.constraints
"""
import rushlight as torch


class Constraint:
    """A region.  `event_dim`: how many trailing dimensions are one value; `is_discrete`: whether values are whole numbers."""

    is_discrete, event_dim = False, 0
    _shown = ()

    def check(self, value):
        """A bool tensor of the shape of `value` less `event_dim` dimensions: which values are inside."""
        raise NotImplementedError

    def __repr__(self):
        return f"{type(self).__name__.removeprefix('_')}({', '.join(f'{name}={getattr(self, name)}' for name in self._shown)})"


# What is known only when there is an instance -------------------------------------------------------------------------

class _Dependent(Constraint):
    """A region that depends on other parameters; what is known of it before may be said: `dependent(is_discrete=..., event_dim=...)`."""

    def __init__(self, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        self._is_discrete, self._event_dim = is_discrete, event_dim

    @property
    def is_discrete(self):
        return self._said("is_discrete")

    @property
    def event_dim(self):
        return self._said("event_dim")

    def _said(self, name):
        value = getattr(self, "_" + name)
        if value is NotImplemented:
            raise NotImplementedError(f".{name} cannot be determined statically")
        return value

    def __call__(self, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        return _Dependent(is_discrete=self._is_discrete if is_discrete is NotImplemented else is_discrete,
                          event_dim=self._event_dim if event_dim is NotImplemented else event_dim)

    def check(self, value):
        raise ValueError("Cannot determine validity of dependent constraint")


class _DependentProperty(property, _Dependent):
    """A property that gives an instance's region; the class can be asked for `.is_discrete` and `.event_dim`.

    @dependent_property    or    @dependent_property(is_discrete=False, event_dim=0)
    """

    def __init__(self, fn=None, *, is_discrete=NotImplemented, event_dim=NotImplemented):
        property.__init__(self, fn)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fn):
        return _DependentProperty(fn, is_discrete=self._is_discrete, event_dim=self._event_dim)


def is_dependent(constraint):
    """Whether a region is known only when there is an instance."""
    return isinstance(constraint, _Dependent)


# Regions made of others -----------------------------------------------------------------------------------------------

class _OfAnother(Constraint):
    """A region described by that of parts of its values."""

    def __init__(self, base_constraint):
        assert isinstance(base_constraint, Constraint), f"base_constraint must be a Constraint, got {type(base_constraint).__name__}"
        self.base_constraint = base_constraint

    is_discrete = property(lambda self: self.base_constraint.is_discrete)
    event_dim = property(lambda self: self.base_constraint.event_dim)


class _IndependentConstraint(_OfAnother):
    """A value of more dimensions, each part in the base region."""

    def __init__(self, base_constraint, reinterpreted_batch_ndims):
        super().__init__(base_constraint)
        assert isinstance(reinterpreted_batch_ndims, int) and reinterpreted_batch_ndims >= 0, "reinterpreted_batch_ndims must be an int >= 0"
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    event_dim = property(lambda self: self.base_constraint.event_dim + self.reinterpreted_batch_ndims)

    def check(self, value):
        result = self.base_constraint.check(value)
        kept = result.ndim - self.reinterpreted_batch_ndims
        if kept < 0:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        return result.reshape(result.shape[:kept] + (-1,)).all(-1)

    def __repr__(self):
        return f"{type(self).__name__[1:]}({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(_OfAnother):
    """A value that is in the base region of every component of a mixture."""

    def check(self, value):
        result = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        if value.ndim < self.event_dim:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.dim()}")
        return result.reshape(result.shape[:value.ndim - self.event_dim] + (-1,)).all(-1)

    def __repr__(self):
        return f"{type(self).__name__}({self.base_constraint!r})"


class _OfSeveral(Constraint):
    """Regions side by side along a dimension."""

    def __init__(self, cseq, dim=0):
        self.cseq, self.dim = list(cseq), dim
        assert all(isinstance(c, Constraint) for c in self.cseq), "All elements of cseq must be Constraint instances"

    is_discrete = property(lambda self: any(c.is_discrete for c in self.cseq))
    event_dim = property(lambda self: max(c.event_dim for c in self.cseq))

    def _has_dim(self, value):
        assert -value.ndim <= self.dim < value.ndim, f"dim {self.dim} out of range for value with {value.ndim} dimensions"


class _Cat(_OfSeveral):
    """As `torch.cat` joins them: region i has `lengths[i]` places along `dim` (1, where nothing is said)."""

    def __init__(self, cseq, dim=0, lengths=None):
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        assert len(self.lengths) == len(self.cseq), f"lengths ({len(self.lengths)}) must match cseq ({len(self.cseq)})"

    def check(self, value):
        self._has_dim(value)
        return torch.cat([c.check(part) for c, part in zip(self.cseq, value.split(self.lengths, self.dim))], self.dim)


class _Stack(_OfSeveral):
    """As `torch.stack` joins them: region i is place i along `dim`."""

    @property
    def event_dim(self):
        inner = max(c.event_dim for c in self.cseq)
        return inner + 1 if self.dim + inner < 0 else inner

    def check(self, value):
        self._has_dim(value)
        return torch.stack([c.check(part) for c, part in zip(self.cseq, value.unbind(self.dim))], self.dim)


# Numbers --------------------------------------------------------------------------------------------------------------

class _Real(Constraint):
    """Any number but NaN."""

    def check(self, value):
        return value == value


class _Boolean(Constraint):
    """0 or 1."""

    is_discrete = True

    def check(self, value):
        return (value == 0) | (value == 1)


class _Above(Constraint):
    _shown = ("lower_bound",)

    def __init__(self, lower_bound):
        self.lower_bound = lower_bound


class _GreaterThan(_Above):
    """Above lower_bound."""

    def check(self, value):
        return self.lower_bound < value


class _GreaterThanEq(_Above):
    """From lower_bound on."""

    def check(self, value):
        return self.lower_bound <= value


class _IntegerGreaterThan(_Above):
    """Whole numbers from lower_bound on."""

    is_discrete = True

    def check(self, value):
        return (value % 1 == 0) & (value >= self.lower_bound)


class _Below(Constraint):
    _shown = ("upper_bound",)

    def __init__(self, upper_bound):
        self.upper_bound = upper_bound


class _LessThan(_Below):
    """Below upper_bound."""

    def check(self, value):
        return value < self.upper_bound


class _IntegerLessThan(_Below):
    """Whole numbers up to upper_bound."""

    is_discrete = True

    def check(self, value):
        return (value % 1 == 0) & (value <= self.upper_bound)


class _Between(Constraint):
    _shown = ("lower_bound", "upper_bound")

    def __init__(self, lower_bound, upper_bound):
        self.lower_bound, self.upper_bound = lower_bound, upper_bound


class _Interval(_Between):
    """From lower_bound to upper_bound, both included."""

    def check(self, value):
        return (self.lower_bound <= value) & (value <= self.upper_bound)


class _HalfOpenInterval(_Between):
    """From lower_bound to below upper_bound."""

    def check(self, value):
        return (self.lower_bound <= value) & (value < self.upper_bound)


class _IntegerInterval(_Between):
    """Whole numbers from lower_bound to upper_bound."""

    is_discrete = True

    def check(self, value):
        return (value % 1 == 0) & (self.lower_bound <= value) & (value <= self.upper_bound)


# Vectors --------------------------------------------------------------------------------------------------------------

class _Simplex(Constraint):
    """Numbers from 0 on that sum to one."""

    event_dim = 1

    def check(self, value):
        return (value >= 0).all(-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _OneHot(Constraint):
    """Zeros and a one."""

    is_discrete, event_dim = True, 1

    def check(self, value):
        return ((value == 0) | (value == 1)).all(-1) & value.sum(-1).eq(1)


class _Multinomial(_Below):
    """Counts that sum to at most upper_bound."""

    is_discrete, event_dim, _shown = True, 1, ()

    def check(self, value):
        return (value >= 0).all(-1) & (value.sum(-1) <= self.upper_bound)


# Matrices -------------------------------------------------------------------------------------------------------------

class _Square(Constraint):
    """As many rows as columns."""

    event_dim = 2

    def check(self, value):
        return torch.full(value.shape[:-2], value.shape[-2] == value.shape[-1], dtype=torch.bool)


class _LowerTriangular(Constraint):
    """Zeros above the diagonal."""

    event_dim = 2

    def check(self, value):
        return (value.tril() == value).flatten(-2).all(-1)


class _LowerCholesky(_LowerTriangular):
    """Zeros above the diagonal, and a positive diagonal."""

    def check(self, value):
        return super().check(value) & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _CorrCholesky(_LowerCholesky):
    """The lower triangular root of a matrix of correlations: its rows have length one."""

    def check(self, value):
        tolerance = torch.finfo(value.dtype).eps * value.size(-1) * 10
        return super().check(value) & (torch.linalg.norm(value.detach(), dim=-1) - 1.0).abs().le(tolerance).all(-1)


class _Symmetric(_Square):
    """Equal to its transpose."""

    def check(self, value):
        square = super().check(value)
        return torch.isclose(value, value.mT, atol=1e-6).all(-2).all(-1) if square.all() else square


class _PositiveSemidefinite(_Symmetric):
    """Symmetric, with no eigenvalue below zero."""

    def check(self, value):
        symmetric = super().check(value)
        return torch.linalg.eigvalsh(value).ge(0).all(-1) if symmetric.all() else symmetric


class _PositiveDefinite(_Symmetric):
    """Symmetric, with positive eigenvalues."""

    def check(self, value):
        symmetric = super().check(value)
        return torch.linalg.cholesky_ex(value).info.eq(0) if symmetric.all() else symmetric


dependent, dependent_property = _Dependent(), _DependentProperty
independent, cat, stack = _IndependentConstraint, _Cat, _Stack
real, boolean = _Real(), _Boolean()
greater_than, greater_than_eq, less_than = _GreaterThan, _GreaterThanEq, _LessThan
interval, half_open_interval, integer_interval = _Interval, _HalfOpenInterval, _IntegerInterval
positive, nonnegative, unit_interval = greater_than(0.0), greater_than_eq(0.0), interval(0.0, 1.0)
nonnegative_integer, positive_integer = _IntegerGreaterThan(0), _IntegerGreaterThan(1)
real_vector, simplex, one_hot, multinomial = independent(real, 1), _Simplex(), _OneHot(), _Multinomial
square, symmetric, lower_triangular, lower_cholesky, corr_cholesky = _Square(), _Symmetric(), _LowerTriangular(), _LowerCholesky(), _CorrCholesky()
positive_semidefinite, positive_definite = _PositiveSemidefinite(), _PositiveDefinite()

__all__ = ["Constraint", "MixtureSameFamilyConstraint", "boolean", "cat", "corr_cholesky", "dependent", "dependent_property", "greater_than",
           "greater_than_eq", "half_open_interval", "independent", "integer_interval", "interval", "is_dependent", "less_than", "lower_cholesky",
           "lower_triangular", "multinomial", "nonnegative", "nonnegative_integer", "one_hot", "positive", "positive_definite",
           "positive_integer", "positive_semidefinite", "real", "real_vector", "simplex", "square", "stack", "symmetric", "unit_interval"]
