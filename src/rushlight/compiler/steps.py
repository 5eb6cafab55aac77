"""What a schedule is made of: values wanted, and steps in running order, each over buffers.

    NestStep           one kernel, a loop nest                     lowering.py, rows.py, ordered.py
    ContractionStep    a product or convolution, with epilogue     products.py, convolution.py
    AttentionStep, SortStep, PackStep                              attention.py, sorting.py, products.py
    LoopStep           steps again and again                       repetition.py
    HostStep           nodes that NumPy runs

Every step says what it `reads` and `writes`.
"""
from dataclasses import dataclass, field

from ..ir.graph import Node
from .expressions import Buffer


@dataclass(frozen=True)
class Output:
    """A value wanted: `strides` are those of the memory it is written to, in elements (None: row-major).  With `storage` it becomes
    the content of the memory that leaves of this storage number are read from; else it has memory of its own."""
    node: Node
    strides: tuple | None = None
    storage: int | None = None


@dataclass(repr=False, eq=False)
class NestStep:
    """One kernel made from a loop nest.  Made of a pattern (patterns.py), the nest is in the numbers of that, and `binding` says what they
    stand for here; `source` is what kernels.source_of would give."""
    nest: object
    reads: list
    writes: list
    name: str
    source: object = None
    binding: object = None


@dataclass(repr=False, eq=False)
class ContractionStep:
    """One matrix product: its operands as (buffer, offset), its epilogue, and where it is written directly (products.py); `packed` where b
    was packed by a step before, and `when_packed` what it would be then, if it packs all of b.  Made of a pattern, nest and plain are in the
    numbers of that, as with NestStep."""
    node: Node
    a: tuple
    b: tuple
    nest: object
    plain: tuple
    reads: list
    writes: list
    name: str
    packed: bool = False
    source: object = None
    when_packed: object = None
    binding: object = None


@dataclass(repr=False, eq=False)
class SortStep:
    """Places in order, of all or of the first."""
    node: Node
    x: Buffer
    result: Buffer
    reads: list
    writes: list


@dataclass(repr=False, eq=False)
class AttentionStep:
    """Attention, or gradients of it: `inputs` are (buffer, offset), `results` {what the primitive is called after its dot: buffer}."""
    node: Node
    inputs: list
    results: dict
    reads: list
    writes: list
    name: str
    operations: object  # multiplications and additions, an int or Extent


@dataclass(repr=False, eq=False)
class PackStep:
    """The matrix B of a product, packed into `result`; b is (buffer, offset) and has k rows and n columns."""
    dtype: object
    b: tuple
    k: object
    n: object
    result: Buffer
    reads: list
    writes: list
    name: str = "packing"


@dataclass(repr=False, eq=False)
class LoopStep:
    """Steps that are made `turns` times; `places` says where their buffers are, by (kind, number)."""
    turns: object
    steps: list
    places: dict
    reads: list
    writes: list
    name: str = "loop"


@dataclass(repr=False, eq=False)
class HostStep:
    """Nodes that the reference interpreter runs; `inputs` and `results` are (node, buffer)."""
    nodes: list
    inputs: list
    results: list
    reads: list
    writes: list


@dataclass(repr=False, eq=False)
class Plan:
    """Steps in running order; `buffers` are those of the arena; `leaves` the numbers of the leaves that are read."""
    steps: list
    arena: list
    leaves: list = field(default_factory=list)
    same: list = field(default_factory=list)  # (leaf, output) numbers that the plan takes for the same memory
