"""The kernel of a step: its canonical text, the numbers it is called with, and the machine code that the text stands for.

    source_of(step)      ->   Source(text, entries, ...)
    code_of(source)      ->   the code: remembered, read from disk, or compiled from the LLVM IR that `source.write()` gives

Start with `source_of`.
"""
import functools
import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from importlib import resources

from .emit import emit
from .loops import canonical
from .memory_plan import row_bytes
from .native import jit
from .steps import AttentionStep, ContractionStep, NestStep, PackStep
from .storing import CONVOLUTIONS

_KERNELS = 4096      # kept in memory for programs to come


@dataclass
class Source:
    """What a kernel is made from: two of the same `text` are the same code.

    `entries` are its arguments (see loops.Slots), `tasks` how many it is cut into, `scratch` the bytes of each row of a worker's memory;
    `write()` gives its LLVM IR.
    """
    text: str
    entries: list
    tasks: object
    scratch: list
    write: object


def source_of(step):
    """The Source of a step, if it has not got one yet.

    What few programs need is imported where it is met: it is half of the compiler, and the first result should come soon."""
    if getattr(step, "source", None) is not None:
        return step.source
    if isinstance(step, NestStep):
        nest, (text, slots) = step.nest, canonical(step.nest)
        return Source(text, slots.entries, nest.tasks, list(map(row_bytes, nest.scratch)), lambda: emit(nest, slots))
    if isinstance(step, ContractionStep) and step.node.primitive in CONVOLUTIONS:
        from .convolution import Convolution
        source = Convolution(step.node, step.a, step.b, step.nest)
    elif isinstance(step, ContractionStep):
        from .products import Product
        source = Product(step.node, step.a, step.b, step.nest, step.plain, step.packed)
    elif isinstance(step, PackStep):
        from .products import Packing
        source = Packing(step.dtype, step.b, step.k, step.n, step.result)
    elif isinstance(step, AttentionStep):
        from .attention import Attention
        source = Attention(step.node, step.inputs, step.results)
    else:
        from .sorting import Sort
        source = Sort(step.node, step.x, step.result)
    text, slots = source.canonical()
    return Source(text, slots.entries, source.tasks, [source.scratch_bytes], lambda: source.emit(slots))


class _Kernels:
    """Compiled kernels by canonical text, least recently used out; programs keep what they use alive."""

    def __init__(self):
        self._code, self._lock = OrderedDict(), threading.RLock()

    def get(self, source):
        """(code, where it comes from)."""
        text = source.text
        with self._lock:
            code = self._code.get(text)
            if code is not None:
                self._code.move_to_end(text)
                return code, "in memory"
        before = time.perf_counter()
        name = f"{_compiler_version()}\n{text}"
        code = jit.recall(name, ("kernel",)) or jit.compile(source.write(), name=name)
        took = f"{(time.perf_counter() - before) * 1e3:.3g} ms"
        with self._lock:
            self._code[text] = code
            while len(self._code) > _KERNELS:
                self._code.popitem(last=False)
        return code, f"from disk in {took}" if code.from_disk else f"compiled in {took}"


_kernels = _Kernels()


def code_of(source):
    """(the machine code of a kernel, where it comes from)."""
    return _kernels.get(source)


@functools.cache
def _compiler_version():
    """A hash of the compiler's own sources: what a canonical text becomes follows from it and from them."""
    found = hashlib.sha256()
    for file in sorted(resources.files(__package__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            source = file.read_bytes()
            found.update(f"{file.name} {len(source)} ".encode() + source)
    return found.hexdigest()
