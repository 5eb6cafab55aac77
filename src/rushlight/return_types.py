"""torch.return_types: the named tuples in which several results come.

    values, indices = torch.max(x, dim=0)
    torch.max(x, dim=0).indices
"""
from operator import itemgetter


class _Results(tuple):
    """A tuple whose elements have names, made from them in order."""

    __slots__ = ()
    _fields = ()

    def __new__(cls, *values):
        if len(values) != len(cls._fields):
            raise TypeError(f"{cls.__name__} takes {len(cls._fields)} results, not {len(values)}")
        return super().__new__(cls, values)

    def __getnewargs__(self):
        return tuple(self)

    def __repr__(self):
        parts = ",\n".join(f"{field}={value!r}" for field, value in zip(self._fields, self))
        return f"torch.return_types.{type(self).__name__}(\n{parts})"


def _kind(name, *fields):
    names = {field: property(itemgetter(i)) for i, field in enumerate(fields)}
    return type(name, (_Results,), {"__slots__": (), "__module__": __name__, "_fields": fields, **names})


aminmax = _kind("aminmax", "min", "max")
cummax, cummin = _kind("cummax", "values", "indices"), _kind("cummin", "values", "indices")
frexp = _kind("frexp", "mantissa", "exponent")
kthvalue, median, mode, nanmedian = (_kind(name, "values", "indices") for name in ("kthvalue", "median", "mode", "nanmedian"))
max, min = _kind("max", "values", "indices"), _kind("min", "values", "indices")
sort, topk = _kind("sort", "values", "indices"), _kind("topk", "values", "indices")

geqrf = _kind("geqrf", "a", "tau")
histogram = _kind("histogram", "hist", "bin_edges")
histogramdd = _kind("histogramdd", "hist", "bin_edges")
lu_unpack = _kind("lu_unpack", "P", "L", "U")
qr, svd, slogdet = _kind("qr", "Q", "R"), _kind("svd", "U", "S", "V"), _kind("slogdet", "sign", "logabsdet")
triangular_solve = _kind("triangular_solve", "solution", "cloned_coefficient")

linalg_cholesky_ex = _kind("linalg_cholesky_ex", "L", "info")
linalg_eig, linalg_eigh = _kind("linalg_eig", "eigenvalues", "eigenvectors"), _kind("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_inv_ex = _kind("linalg_inv_ex", "inverse", "info")
linalg_ldl_factor, linalg_ldl_factor_ex = _kind("linalg_ldl_factor", "LD", "pivots"), _kind("linalg_ldl_factor_ex", "LD", "pivots", "info")
linalg_lstsq = _kind("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_lu, linalg_lu_factor = _kind("linalg_lu", "P", "L", "U"), _kind("linalg_lu_factor", "LU", "pivots")
linalg_lu_factor_ex = _kind("linalg_lu_factor_ex", "LU", "pivots", "info")
linalg_qr, linalg_svd = _kind("linalg_qr", "Q", "R"), _kind("linalg_svd", "U", "S", "Vh")
linalg_slogdet, linalg_solve_ex = _kind("linalg_slogdet", "sign", "logabsdet"), _kind("linalg_solve_ex", "result", "info")
