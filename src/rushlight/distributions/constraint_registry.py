"""From all real numbers into a region: `biject_to(constraint)` one to one, `transform_to(constraint)` onto it, perhaps from several places.

    >>> transform_to(constraints.positive)(torch.tensor(0.0))
    tensor(1.)

An optimiser or a sampler moves unconstrained numbers, and the mapping makes parameters of them.  The tables at the end say which mapping a region has.
https://docs.pytorch.org/docs/stable/distributions.html#module-torch.distributions.constraint_registry
"""
from . import constraints, transforms


class ConstraintRegistry:
    """A mapping for each class of constraints."""

    def __init__(self):
        self._registry = {}

    def register(self, constraint, factory=None):
        """`factory(constraint)` gives the mapping for constraints of a class; as a decorator where it is left out."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint):
        """The mapping for a constraint.  NotImplementedError where none is known."""
        if type(constraint) not in self._registry:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return self._registry[type(constraint)](constraint)


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _above(constraint):
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(constraint.lower_bound, 1)])


def _below(constraint):
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(constraint.upper_bound, -1)])


def _between(constraint):
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


for _mappings in (biject_to, transform_to):
    for _region, _factory in {
        constraints.real: lambda c: transforms.identity_transform,
        constraints.independent: lambda c, mappings=_mappings:
            transforms.IndependentTransform(mappings(c.base_constraint), c.reinterpreted_batch_ndims),
        constraints.greater_than: _above, constraints.greater_than_eq: _above,
        constraints.less_than: _below, constraints.interval: _between, constraints.half_open_interval: _between,
        constraints.corr_cholesky: lambda c: transforms.CorrCholeskyTransform(),
        constraints.cat: lambda c, mappings=_mappings: transforms.CatTransform([mappings(part) for part in c.cseq], c.dim, c.lengths),
        constraints.stack: lambda c, mappings=_mappings: transforms.StackTransform([mappings(part) for part in c.cseq], c.dim),
    }.items():
        _mappings.register(_region, _factory)
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
for _region in (constraints.positive_definite, constraints.positive_semidefinite):
    transform_to.register(_region, lambda c: transforms.PositiveDefiniteTransform())

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]
