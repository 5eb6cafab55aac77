"""torch.return_types: the named tuples in which several results come.

    values, indices = torch.max(x, dim=0)
    torch.max(x, dim=0).indices
"""
from collections import namedtuple


def _kind(name, *fields):
    made = namedtuple(name, fields, module=__name__)

    def __repr__(self):
        parts = ",\n".join(f"{field}={value!r}" for field, value in zip(self._fields, self))
        return f"torch.return_types.{name}(\n{parts})"

    made.__repr__ = __repr__
    return made


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
