"""Floor 4: every operator, one definition each, by family.

    definition.py   what a definition is: `@operator`; how a call is recorded, and how it runs inside another operator's body
    calling.py      the functions users call, written at their first call
    arguments.py    static arguments: which ones are taken, and how they stand in a key
    in_place.py     in-place forms and `out=`: a result written into a tensor that is there
    building.py     what bodies are written with: primitives on tensors, promotion, broadcasting
    rules.py        the gradient of every primitive, from which operators' gradients follow
    python_operators.py   +, *, @ and methods such as x.view(2, 3);   functional.py  what torch.nn.functional offers
    namespace.py    what `torch` holds besides: in-place functions, and functional's in their older forms
    index_checks.py, bessel.py   helpers of several families

Then the families, in alphabetical order.  Read definition.py first, then any family; each operator is read on its own.
"""
import importlib

FAMILIES = ("activation", "arithmetic", "attention", "bits", "combining", "comparison", "contractions", "conversion", "convolution",
            "ctc", "derived_views", "dropout", "elementwise", "embedding", "factories", "factorizations", "foreach", "fourier",
            "fractional_pooling", "functional", "gamma", "indexing", "inquiries", "joining", "linalg", "losses", "lowrank",
            "margin_losses", "masking", "matrices", "namespace", "normalization", "norms", "padding", "patches", "polynomials", "pooling",
            "powers", "products", "random", "recurrent", "reductions", "reinterpretation", "reporting", "rounding", "scans", "scattering", "shaping",
            "sorting", "special", "spectrograms", "splitting", "statistics", "vision", "windows")

for _family in FAMILIES:
    importlib.import_module("." + _family, __name__)

from . import python_operators

python_operators.install()
