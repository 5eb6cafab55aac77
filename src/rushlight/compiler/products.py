"""A matrix product as a kernel: which layouts its operands have, which dimensions count as batch, and where results go.

    (B, H, M, K) @ (B, H, K, N)   ->   batch loops B, H (one loop where no operand has a gap), then `contraction.build`

Start with `Product`.
"""
from ..ir import dtypes
from . import contraction, microkernel, vectormath
from .expressions import is_int, key, same
from .llvmir import Function, Value, lanes_of, module_text
from .loops import Slots
from .native.target import host


class Product:
    """One contraction over buffers: `canonical()` gives text and slots, `emit()` the module."""

    def __init__(self, node, a, b, result):
        self.dtype, self.a, self.b, self.result = node.dtype, a, b, result
        self.m, self.k, self.n = node.shape[-2], node.inputs[0].shape[-1], node.shape[-1]
        self.batch_axes = _batch_axes(node.shape[:-2], [a, b, result])
        self.layouts = _layout(a), _layout(b)
        self.plain = is_int(result.strides[-1], 1) and node.dtype.name in ("float32", "float64", "int32", "int64")
        self.batch = 1
        for extent, _ in self.batch_axes:
            self.batch = extent * self.batch
        self.form = contraction.choose(host(), node.dtype, *(contraction.Operand(which, None, None, None) for which in self.layouts),
                                       self.batch, self.m, self.k, self.n)
        self.tasks = contraction.task_count(self.form, self.batch, self.m, self.n)
        self.scratch_bytes = contraction.scratch_bytes(host(), node.dtype)

    def canonical(self):
        slots = Slots()
        for name, buffer in (("a", self.a), ("b", self.b), ("c", self.result)):
            slots.once((name, "pointer"), "pointer", buffer, 0)
            slots.number((name, "row"), buffer.strides[-2])
            slots.number((name, "column"), buffer.strides[-1])
        for name in ("m", "k", "n", "batch"):
            slots.number(name, getattr(self, name))
        slots.number("panel", microkernel.panel_address(host(), self.dtype))
        for i, (extent, strides) in enumerate(self.batch_axes):
            slots.number(("batch", i), extent)
            for name, stride in zip("abc", strides):
                slots.number((name, "batch", i), stride)
        plain = "plain" if self.plain else "store"
        return f"product {self.dtype.name} {self.form} {self.layouts} batch {len(self.batch_axes)} {plain} {vars(host())}", slots

    def emit(self, slots, name="kernel"):
        f = Function(name, [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")], attributes=host().function_attributes)
        args, begin, end, scratch = f.parameters

        def argument(name, type="i64"):
            return f.load(type, f.element(args, "i64", slots.once(name, None)))
        a, b = (self._operand(argument, which, layout) for which, layout in zip("ab", self.layouts))
        c, row, column, offset = argument(("c", "pointer"), "ptr"), argument(("c", "row")), argument(("c", "column")), self._offset(argument, "c")
        store = contraction.Plain(c, row, offset) if self.plain else self._store(c, row, column, offset)
        contraction.build(f, host(), self.dtype, self.form, argument("batch"), argument("m"), argument("k"), argument("n"), a, b,
                          store, begin, end, scratch, argument("panel", "ptr"))
        f.ret()
        return module_text([f])

    def _operand(self, argument, which, layout):
        row = 1 if layout == "columns" else argument((which, "row"))
        column = 1 if layout == "rows" else argument((which, "column"))
        return contraction.Operand(layout, argument((which, "pointer"), "ptr"), row, column, self._offset(argument, which))

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

    def _store(self, pointer, row_stride, column_stride, offset):
        dtype = self.dtype

        def store(f, batch, row, column, value, lanes, mask):
            x = value
            if dtype.kind == "f" and dtype.name != "float64":
                x = vectormath.cast(f, x, dtypes.float32, dtype)
            elif dtype is dtypes.bool_:
                x = f.compare("ne", x, 0)
            elif dtype.itemsize < 4:
                x = f.convert("trunc", x, vectormath_type(dtype, lanes))
            x = vectormath.store_convert(f, x, dtype)
            element = vectormath.memory_type(dtype)
            start = f.element(pointer, element, f.add(offset(f, batch), f.add(f.mul(row, row_stride), f.mul(column, column_stride))))
            for lane in range(lanes):
                one = f.extract(x, lane) if lanes > 1 else x
                at = f.element(start, element, f.mul(column_stride, lane))
                if mask is None:
                    f.store(one, at)
                else:
                    with f.when(f.extract(mask, lane) if lanes_of(mask.type) > 1 else mask):
                        f.store(one, at)
        return store


def vectormath_type(dtype, lanes):
    from .llvmir import vector_type
    return vector_type(vectormath.register_type(dtype), lanes)


def _layout(buffer):
    if is_int(buffer.strides[-1], 1):
        return "rows"
    return "columns" if is_int(buffer.strides[-2], 1) else "strided"


def _batch_axes(shape, buffers):
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
