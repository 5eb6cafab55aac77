"""A matrix product as a kernel: which layouts its operands have, which dimensions count as batch, and what happens to its results.

    relu(x @ w.T + b)   ->   one kernel: x and w read by their strides, the rest computed row by row over finished tiles

Three steps: `operand` finds the memory that a node can be read from, whatever movement lies between, or, where it is to be computed
as it is read, its expression; `epilogue` makes the nest of all that is computed from the product; `Product` writes both as code
around `contraction.build`.  Start with `Product`.
"""
from dataclasses import dataclass, replace

from ..ir import dtypes
from . import contraction, microkernel, vectormath
from .expressions import Buffer, MustStore, Reader, is_int, key, place_in, reshaped, same
from .llvmir import Function, module_text, vector_type
from .loops import Accumulate, Accumulator, Loop, Nest, Open, Slots, Store, canonical, merge_axes
from .lowering import Space, attempt
from .native.target import host
from .tiles import Tiles

# ---------------------------------------------------------------------------------------------------------------------
# From nodes to buffers and nests

@dataclass
class Prologue:
    """An operand that is computed as it is read: `nest` has its one expression, which reads neighbours `along` 'row' or 'column'."""
    nest: Nest
    rows: list
    columns: list
    along: str


def operand(node, buffer_of, computed=False):
    """(the memory of a node as a Buffer with strides for each of its dimensions, the element it starts at).

        permute(leaf (B, 4, 8), (0, 2, 1))   ->   leaf with strides (32, 1, 8), 0

    Where it is no plain memory: MustStore, or the Prologue that computes it, as `computed` says.
    """
    space = Space(node.shape)
    expression = attempt(space, lambda: Reader(buffer_of).read(node, space.index))
    if expression.op != "load" or expression.args or expression.data[1].dynamic:
        if computed:
            return _prologue(node, space, expression)
        raise MustStore(node, "a matrix product reads it more than once")
    buffer, place = expression.data
    strides = _strides(space, place)
    if strides is None:
        raise MustStore(node, "its rows have gaps")
    if not is_int(strides[-1], 1) and not is_int(strides[-2], 1):  # a dimension of extent 1 has any stride
        d = next((d for d in (-1, -2) if is_int(node.shape[d], 1)), None)
        if d is not None:
            strides[d] = 1
    return Buffer(buffer.kind, buffer.number, buffer.dtype, node.shape, strides, buffer.storage), place.constant


def _prologue(node, space, expression):
    value = Accumulator("operand", node.dtype, space.axes, 0)
    nest = Nest([], [Open(value), Accumulate(value, expression)])
    places = list(nest.places())
    batch, rows, columns = (merge_axes(nest, [a for i in part for a, _ in i.terms], places)
                            for part in (space.index[:-2], space.index[-2:-1], space.index[-1:]))
    along = next((name for name, axes in (("row", columns), ("column", rows)) if _are_neighbours(axes, places)), None)
    if along is None:
        raise MustStore(node, "what it is made of lies apart along its rows and its columns")
    nest.outer, nest.vector = batch, (columns if along == "row" else rows)[0]
    for axis in (*columns, *reversed(rows)):
        nest.body = [Loop(axis, nest.body)]
    return Prologue(nest, rows, columns, along)


def _are_neighbours(axes, places):
    """Whether there is one axis, along which all places are neighbours or stay where they are."""
    return len(axes) == 1 and all(is_int(p.coefficient(axes[0]), 0) or is_int(p.coefficient(axes[0]), 1) for p in places)


def _strides(space, place):
    """The stride of each dimension of a space at a place; None where a dimension has become several axes with a gap between them."""
    strides = []
    for index in space.index:
        axes = [a for a, _ in index.terms]
        for outer, inner in zip(axes, axes[1:]):
            if not same(place.coefficient(outer), inner.extent * place.coefficient(inner)):
                return None
        strides.append(place.coefficient(axes[-1]) if axes else 0)
    return strides


def epilogue(product, stores, buffer_of, parts=None):
    """The nest of what is computed from a product: `stores` are (node, buffer, offset), nodes of its shape or of a reshape of it.

    Its outer axes are those of the batch, `vector` the columns; between them are the rows.  `parts` are the dimensions of each, where they
    are not all but the last two, and these.  (nest, the product's own buffer where that is all that is stored, with strides for each of
    its dimensions, and its offset; else None)
    """
    space = Space(product.shape)

    def build():
        reader = Reader(buffer_of)
        value = Accumulator("product", product.dtype, space.axes, 0)
        reader.results[product] = reader.make("result", (), product.dtype, value), tuple(space.index)
        statements = []
        for node, buffer, offset in stores:
            index = space.index if _same_shape(node.shape, product.shape) else reshaped(node, product.shape, space.index)
            statements.append(Store(buffer, place_in(buffer.strides, index) + offset, reader.read(node, index)))
        return [Open(value), *statements]
    statements = attempt(space, build)
    nest = Nest([], statements)
    places = list(nest.places())
    plain = None if parts else _plain(product, space, statements)
    dims = range(product.ndim)
    batch, rows, columns = (merge_axes(nest, [a for d in part for a, _ in space.index[d].terms], places)
                            for part in parts or (dims[:-2], dims[-2:-1], dims[-1:]))
    if len(columns) > 1:
        raise MustStore(product, "its columns are several dimensions of what is computed from it")
    nest.outer, nest.vector = batch, columns[0] if columns else None
    for axis in [*columns, *reversed(rows)]:
        statements = [Loop(axis, statements)]
    nest.body = statements
    return nest, plain


def _plain(product, space, statements):
    """(the buffer, the offset) of a product that is written as it is, row by row; else None."""
    _, store, *others = statements
    if others or store.expression.op != "result" or product.dtype.name not in ("float32", "float64", "int32", "int64"):
        return None
    strides, buffer = _strides(space, store.place), store.buffer
    if strides is None or not is_int(strides[-1], 1):
        return None
    return Buffer(buffer.kind, buffer.number, buffer.dtype, product.shape, strides, buffer.storage), store.place.constant


def _same_shape(a, b):
    return len(a) == len(b) and all(key(x) == key(y) for x, y in zip(a, b))


# ---------------------------------------------------------------------------------------------------------------------
# Code

class Product:
    """One contraction over buffers: `canonical()` gives text and slots, `emit()` the module.

    `a` and `b` are what `operand` gives; (nest, plain) is the epilogue.  A plain product is written by the micro-kernel itself.  With
    `packed`, b is what a `Packing` made."""

    def __init__(self, node, a, b, nest, plain, packed=False):
        self.dtype, self.nest, self.plain = node.dtype, nest, plain
        self.prologues = {name: x for name, x in (("a", a), ("b", b)) if isinstance(x, Prologue)}
        self.memory = {name: x for name, x in (("a", a), ("b", b), ("c", plain)) if x and name not in self.prologues}
        self.m, self.k, self.n = node.shape[-2], node.inputs[0].shape[-1], node.shape[-1]
        self.batch_axes = batch_axes(node.shape[:-2], [buffer for buffer, _ in self.memory.values()])
        self.layouts = tuple(f"computed along {x.along}" if isinstance(x, Prologue) else _layout(x[0]) for x in (a, b))
        if packed:
            self.layouts = self.layouts[0], "slivers"
        self.batch = 1
        for extent, _ in self.batch_axes:
            self.batch = extent * self.batch
        shapes = (contraction.Computed(None, x.along) if isinstance(x, Prologue) else contraction.Operand(which, None, None, None)
                  for which, x in zip(self.layouts, (a, b)))
        self.form = contraction.choose(host(), node.dtype, *shapes, self.batch, self.m, self.k, self.n)
        self.tasks = contraction.task_count(self.form, self.batch, self.m, self.n)
        self.scratch_bytes = contraction.scratch_bytes(host(), node.dtype)

    def canonical(self):
        slots = Slots()
        for name, (buffer, offset) in self.memory.items():
            slots.once((name, "pointer"), "pointer", buffer, offset)
            if name != "b" or self.layouts[1] != "slivers":
                slots.number((name, "row"), buffer.strides[-2])
                slots.number((name, "column"), buffer.strides[-1])
        for name in ("m", "k", "n", "batch"):
            slots.number(name, getattr(self, name))
        slots.number("panel", microkernel.panel_address(host(), self.dtype))
        for i, (extent, strides) in enumerate(self.batch_axes):
            slots.number(("batch", i), extent)
            for name, stride in zip(self.memory, strides):
                slots.number((name, "batch", i), stride)
        text = f"product {self.dtype.name} {self.form} {self.layouts} batch {len(self.batch_axes)} {vars(host())}\n"
        for prologue in self.prologues.values():
            text += canonical(prologue.nest, slots)[0] + "\n"
        if self.plain:
            return text + "plain", slots
        more, _ = canonical(self.nest, slots)
        return text + more, slots

    def emit(self, slots, name="kernel"):
        f = Function(name, [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")], attributes=host().function_attributes)
        args, begin, end, scratch = f.parameters

        def argument(name, type="i64"):
            return f.load(type, f.element(args, "i64", slots.once(name, None)))
        a, b = (self._computed(f, which, Tiles(f, self.prologues[which].nest, slots, args)) if which in self.prologues
                else self._operand(argument, which, layout) for which, layout in zip("ab", self.layouts))
        if self.plain:
            store = contraction.Plain(argument(("c", "pointer"), "ptr"), argument(("c", "row")), self._offset(argument, "c"))
        else:
            store = TileStore(Tiles(f, self.nest, slots, args), self.nest, self.dtype)
        contraction.build(f, host(), self.dtype, self.form, argument("batch"), argument("m"), argument("k"), argument("n"), a, b,
                          store, begin, end, scratch, argument("panel", "ptr"))
        f.ret()
        return module_text([f])

    def _operand(self, argument, which, layout):
        row = 1 if layout in ("columns", "slivers") else argument((which, "row"))
        column = 1 if layout in ("rows", "slivers") else argument((which, "column"))
        return contraction.Operand(layout, argument((which, "pointer"), "ptr"), row, column, self._offset(argument, which))

    def _computed(self, f, which, tiles):
        """An operand whose elements are computed where they are read."""
        prologue = self.prologues[which]
        nest, ((statement, _),) = prologue.nest, prologue.nest.statements()

        def load(f, batch, row, column, lanes):
            tiles.begin({**tiles.split(nest.outer, batch), **tiles.split(prologue.rows, row), **tiles.split(prologue.columns, column)},
                        nest.vector, lanes)
            return _widened(f, tiles.in_lanes(statement.expression), self.dtype, lanes)
        return contraction.Computed(load, prologue.along)

    def _offset(self, argument, which):
        """The function that gives how far matrix number `batch` lies from the first."""
        axes = [(argument(("batch", i)), argument((which, "batch", i))) for i in range(len(self.batch_axes))]

        def offset(f, batch):
            total, rest = 0, batch
            for i, (extent, stride) in reversed(list(enumerate(axes))):
                index = f.binary("urem", rest, extent) if i else rest
                rest = f.binary("udiv", rest, extent) if i else rest
                total = f.add(total, f.mul(index, stride))
            return total
        return offset


class TileStore:
    """Does what an epilogue says with each piece of a finished row: `store` of contraction.build."""

    def __init__(self, tiles, nest, dtype):
        self.tiles, self.nest, self.dtype = tiles, nest, dtype
        self.product = next(s.accumulator for s in _all(nest.body) if isinstance(s, Open))
        self.statements = [s for s, _ in nest.statements()]
        rows = [axis for _, around in nest.statements() for axis in around if axis is not nest.vector]
        self.rows = list(dict.fromkeys(rows))
        tiles.row = self.rows[0] if len(self.rows) == 1 else None

    def __call__(self, f, batch, row, column, value, lanes, mask):
        tiles, inner = self.tiles, self.nest.vector
        places = {**tiles.split(self.nest.outer, batch), **tiles.split(self.rows, row)}
        if inner is not None:
            places[inner] = column
        elif lanes > 1:  # a single column: it is in the first lane
            value, lanes, mask = f.extract(value, 0), 1, None
        tiles.run(self.statements, places, inner, lanes, mask, {self.product: _rounded(f, value, self.dtype, lanes)})

    def in_row(self, row, lanes):
        """The context in which pieces of this row are stored one after the other: what they share is computed once."""
        return self.tiles.in_row(self.tiles.split(self.rows, row), self.nest.vector, 1 if self.nest.vector is None else lanes)


def _all(body):
    for s in body:
        yield s
        if isinstance(s, Loop):
            yield from _all(s.body)


class Packing:
    """The matrix B of many products, packed once for all of them: `canonical()` gives text and slots, `emit()` the module."""

    scratch_bytes = 0

    def __init__(self, dtype, b, k, n, result):
        self.dtype, (self.buffer, self.offset), self.k, self.n, self.result = dtype, b, k, n, result
        self.layout = _layout(self.buffer)
        columns = microkernel.tile(host(), dtype).columns
        self.tasks = (n + (columns - 1)) // columns

    def canonical(self):
        slots = Slots()
        slots.once("from", "pointer", self.buffer, self.offset)
        slots.once("to", "pointer", self.result, 0)
        for name, number in (("row", self.buffer.strides[-2]), ("column", self.buffer.strides[-1]), ("k", self.k), ("n", self.n)):
            slots.number(name, number)
        return f"packing {self.dtype.name} {self.layout} {vars(host())}", slots

    def emit(self, slots, name="kernel"):
        f = Function(name, [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")], attributes=host().function_attributes)
        args, begin, end, _ = f.parameters
        source, to, row, column, k, n = (f.load("ptr" if name in ("from", "to") else "i64", f.element(args, "i64", slots.once(name, None)))
                                         for name in ("from", "to", "row", "column", "k", "n"))
        b = contraction.Operand(self.layout, source, 1 if self.layout == "columns" else row, 1 if self.layout == "rows" else column)
        contraction.build_packing(f, host(), self.dtype, k, n, b, to, begin, end)
        f.ret()
        return module_text([f])


@dataclass
class Packed:
    """A product whose B was packed before: its `step`, with B in `result`, and the rows and columns of B."""
    step: object
    result: Buffer
    k: object
    n: object


def with_packed_operand(step):
    """A ContractionStep as it would be if its B were packed; None where it is no product of two matrices that packs all of B."""
    node = step.node
    if node.primitive != "contraction" or node.ndim != 2 or node.dtype.kind != "f" or isinstance(step.b, Prologue):
        return None
    product = Product(node, step.a, step.b, step.nest, step.plain)
    if product.form.kind != "packed":
        return None
    result = _packed_buffer(product)
    return Packed(replace(step, b=(result, 0), packed=True, source=None, when_packed=None), result, product.k, product.n)


def _packed_buffer(product):
    """Memory for the B of a product, packed; it gets a number where it gets its place."""
    dtype = {"float": dtypes.float32, "double": dtypes.float64, "i32": dtypes.int32,
             "i64": dtypes.int64}[microkernel.sum_type(product.dtype)]
    return Buffer("arena", -1, dtype, (contraction.packed_elements(host(), product.dtype, product.k, product.n),))


def _widened(f, x, dtype, lanes):
    """A value of the product's dtype as the type that sums are made in."""
    wide = vector_type(microkernel.sum_type(dtype), lanes)
    return x if x.type == wide else f.convert("sext" if dtype.kind == "i" else "zext", x, wide)


def _rounded(f, x, dtype, lanes):
    """A sum as a value of the product's dtype."""
    if dtype.kind == "f" and dtype.name != "float64":
        return vectormath.cast(f, x, dtypes.float32, dtype)
    if dtype is dtypes.bool_:
        return f.compare("ne", x, 0)
    if dtype.itemsize < 4:
        return f.convert("trunc", x, vector_type(vectormath.register_type(dtype), lanes))
    return x


def _layout(buffer):
    if is_int(buffer.strides[-1], 1):
        return "rows"
    return "columns" if is_int(buffer.strides[-2], 1) else "strided"


def batch_axes(shape, buffers):
    """[(extent, strides)] of the batch dimensions; neighbours become one where no operand has a gap, repeated matrices included."""
    axes = []
    for d, n in enumerate(shape):
        if is_int(n, 1):
            continue
        strides = [b.strides[d] for b in buffers]
        if axes and all(same(old, n * new) for old, new in zip(axes[-1][1], strides)):
            axes[-1] = axes[-1][0] * n, strides
        else:
            axes.append((n, strides))
    return axes
