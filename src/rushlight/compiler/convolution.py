"""Convolutions as products whose packing reads the images in place (windows.py).

    convolution   y[n, o, i] = sum of w[o, c, tap] * x[n, c, i + tap]      weights (o | c, tap) times windows (c, tap | n, i)
    correlation   w[o, c, tap] = sum of y[n, o, i] * x[n, c, i + tap]      results (o | n, i) times windows turned (n, i | c, tap)
    correlations  the same, one for each part of the images (rewrites.py)

Groups, and parts, are the batch.  The tiles, their order of summation and what is fused behind are those of every product
(contraction.py, products.epilogue); a column of the first product is a window of an image, so that results are written where they
belong in (N, O, *counts).  Where a group has very few results there are no tiles: depthwise.py.

Fewer than three spatial dimensions are three of which the first have the extent 1, and all sizes, kernel and stride included, are
run-time numbers: the code is the same.  Start with `Convolution`, then `_Code.convolution`.
"""
from . import contraction, depthwise, microkernel
from .expressions import MustStore, is_int, same
from .llvmir import Function, Value, module_text, vector_type
from .loops import Slots, canonical
from .native.target import host
from .packing import LLVM_TYPES, copy_block
from .products import TileStore, epilogue, operand
from .tiles import Tiles
from .windows import Windows, copy_run, larger, pieces, room_elements, smaller, whole_vectors


def operands(node, buffer_of):
    """The two operands in memory, as (Buffer, offset), by their strides; the results of windows have to lie one after the other."""
    first, second = (operand(i, buffer_of) for i in node.inputs)
    if node.primitive != "convolution" and not _is_dense(first[0], 2):
        raise MustStore(node.inputs[0], "a correlation reads it in runs, and it has gaps")
    return first, second


def _is_dense(buffer, first):
    """Whether the elements of the dimensions from `first` on lie one after the other."""
    step = 1
    for n, stride in reversed(list(zip(buffer.shape, buffer.strides))[first:]):
        if not is_int(n, 1) and not same(stride, step):
            return False
        step = n * step
    return True


def _layout_of_weights(buffer):
    """How the weights (o | c, tap) lie: as rows, each tap of a row by itself ('columns', 'strided'), or the taps of each channel
    'together' or 'apart'."""
    if _is_dense(buffer, 1):
        return "rows"
    if all(is_int(n, 1) for n in buffer.shape[2:]):
        return "columns" if is_int(buffer.strides[0], 1) else "strided"
    return "together" if _is_dense(buffer, 2) else "apart"


def convolution_epilogue(node, stores, buffer_of):
    """The nest of what is computed from the results: images, channels, places of one depth."""
    dims = range(node.ndim)
    parts = {"convolution": ((0, *dims[2:-2]), (1,), dims[max(2, node.ndim - 2):]),
             "correlation": ((), dims[:1], dims[1:]), "correlations": (dims[:1], dims[1:2], dims[2:])}
    return epilogue(node, stores, buffer_of, parts[node.primitive])


class Convolution:
    """One convolution over buffers, as products.Product is one product: `canonical()` gives text and slots, `emit()` the module.

    `numbers` are its run-time numbers by name: those that windows.Windows asks for, the strides of the other operand ('other 0',
    'other 1', 'other d', 'other h', 'other w'), and m, k, n and the batch of the product, of which the last matrices have fewer k where
    those of all images, 'all k', do not divide."""

    def __init__(self, node, first, second, nest):
        self.node, self.dtype, self.nest = node, node.dtype, nest
        self.forward = node.primitive == "convolution"
        self.image, self.other = (first, second) if self.forward else (second, first)
        x, other = node.inputs if self.forward else reversed(node.inputs)
        dims = x.ndim - 2
        kernel, counts = (other.shape[2:], node.shape[2:]) if self.forward else (node.shape[-dims:], other.shape[2:])
        stride, dilation, before, groups, *part = node.attributes
        spatial = {"size": x.shape[2:], "count": counts, "kernel": kernel, "step": stride, "apart": dilation, "before": before,
                   "stride": self.image[0].strides[2:], "other": self.other[0].strides[2:]}
        self.numbers = {f"{name} {letter}": value for name, values in spatial.items() for letter, value in zip("dhw", _three(values, name))}
        self.numbers |= {"groups": groups, "channels": x.shape[1] // groups,
                         **{f"stride {letter}": s for letter, s in zip("nc", self.image[0].strides)},
                         **{f"other {i}": s for i, s in enumerate(self.other[0].strides[:2])}}
        self.layout = _layout_of_weights(self.other[0]) if self.forward else "results"
        self.shape = microkernel.tile(host(), self.dtype)
        self._measure(x.shape[0], node.shape[1 if self.forward else -dims - 2] // groups, part)

    def _measure(self, images, rows, part):
        """The sizes of the product and how it is done."""
        number, lanes = self.numbers.get, self.shape.lanes
        places, taps = number("count h") * number("count w"), number("kernel h") * number("kernel w")
        of_channels = number("channels") * number("kernel d") * taps
        batch = number("groups") * (self.node.shape[0] if part else 1)
        if self.forward:
            k = all_k = of_channels
            n = images * number("count d") * ((places + (lanes - 1)) // lanes * lanes)
        else:
            k, all_k = ((part[0] if part else images) * number("count d") * places, images * number("count d") * places)
            n = of_channels
        self.form = self._form(batch, rows, k, n)
        self.tasks = contraction.task_count(self.form, batch, rows, n)
        turned = not self.forward and self.form.kind == "packed"
        windows = contraction.K_BLOCK if turned else depthwise.COLUMNS if self.form.kind == "depthwise" else self.form.columns
        room = room_elements(self.shape, taps, windows, turned)
        tables = (taps + self.shape.columns + taps * number("kernel d")) * 8
        self.scratch_bytes = contraction.scratch_bytes(host(), self.dtype) + room * (microkernel.BITS[self.shape.element] // 8) + tables
        self.numbers |= {"batch": batch, "m": rows, "k": k, "all k": all_k, "n": n, "room": room}

    def _form(self, batch, rows, k, n):
        if rows <= depthwise.MOST_ROWS:
            if not self.forward and n <= depthwise.MOST_TAPS:
                return contraction.Form("depthwise", depthwise.MOST_ROWS, depthwise.MOST_TAPS)
            if self.layout == "rows" and self.shape.element == LLVM_TYPES[self.dtype.name] and k <= contraction.K_BLOCK:
                return contraction.Form("depthwise", depthwise.MOST_ROWS, depthwise.COLUMNS)
        return contraction.choose_windows(host(), self.dtype, self.forward, batch, rows, n)

    def canonical(self):
        slots = Slots()
        for name, (buffer, offset) in (("image", self.image), ("other", self.other)):
            slots.once((name, "pointer"), "pointer", buffer, offset)
        for name, value in self.numbers.items():
            slots.number(name, value)
        slots.number("panel", microkernel.panel_address(host(), self.dtype))
        text = f"{self.node.primitive} {self.dtype.name} {self.form} {self.layout} {vars(host())}\n"
        more, _ = canonical(self.nest, slots)
        return text + more, slots

    def emit(self, slots, name="kernel"):
        f = Function(name, [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")], attributes=host().function_attributes)
        code = _Code(f, self, slots)
        if self.form.kind == "depthwise":
            (code.depthwise_convolution if self.forward else code.depthwise_correlation)()
        else:
            (code.convolution if self.forward else code.correlation)()
        f.ret()
        return module_text([f])


class _Code:
    """A convolution under construction in a function, whose current block is in front of all loops."""

    def __init__(self, f, made, slots):
        args, self.begin, self.end, self.scratch = f.parameters

        def argument(name, type="i64"):
            return f.load(type, f.element(args, "i64", slots.once(name, None)))
        self.f, self.made, self.shape, self.dtype, self.raw = f, made, made.shape, made.dtype, LLVM_TYPES[made.dtype.name]
        self.numbers = {name: argument(name) for name in made.numbers}
        self.m, self.k, self.groups = (self.numbers[name] for name in ("m", "k", "groups"))
        self.panel, self.other = argument("panel", "ptr"), argument(("other", "pointer"), "ptr")
        room = f.element(self.scratch, "i8", contraction.scratch_bytes(host(), self.dtype))
        self.windows = Windows(f, self.shape, self.convert, self.raw, argument(("image", "pointer"), "ptr"), self.number, room,
                               self.number("room"))
        self.store = TileStore(Tiles(f, made.nest, slots, args), made.nest, self.dtype)

    def number(self, name):
        return self.numbers[name]

    def convert(self, x, lanes):
        """Numbers as they are in memory as those that are multiplied."""
        widen = "fpext" if self.dtype.kind == "f" else "sext" if self.dtype.kind == "i" else "zext"
        return self.f.convert(widen, x, vector_type(self.shape.element, lanes))

    def row_number(self, group, row):
        """Which channel of the results a row of a group is."""
        return self.f.add(self.f.mul(group, self.m), row)

    def _product(self, a, b, store, k_of=None):
        contraction.build(self.f, host(), self.dtype, self.made.form, self.number("batch"), self.m, self.k, self.number("n"), a, b, store,
                          self.begin, self.end, self.scratch, self.panel, k_of)

    # Convolution

    def convolution(self):
        self._product(self._weights(), contraction.Packer(self.windows.pack_slivers), contraction.Finish(self._finish))

    def depthwise_convolution(self):
        f, columns, row_stride = self.f, self.made.form.columns, self.number("other 0")
        tasks = f.binary("udiv", f.add(self.number("n"), columns - 1), columns)
        with f.loop(self.begin, self.end) as task:
            group, column = f.binary("udiv", task, tasks), f.mul(f.binary("urem", task, tasks), columns)
            width = smaller(f, f.binary("sub", self.number("n"), column), columns)

            def weights(row):
                return f.element(self.other, self.raw, f.mul(self.row_number(group, row), row_stride))
            depthwise.convolve(self.windows, group, self.m, self.k, column, width, weights, self.scratch, columns)
            self._finish(group, f.of(0, "i64"), self.m, column, width, self.scratch, columns, self.shape.columns)

    def _weights(self):
        """A[o, (c, tap)]: where it lies, or with the taps of each channel put side by side."""
        f, layout, row = self.f, self.made.layout, self.number("other 0")
        if layout in ("rows", "columns", "strided"):
            column = 1 if layout == "rows" else self.number("other 1")
            return contraction.Operand(layout, self.other, 1 if layout == "columns" else row, column,
                                       lambda f, group: f.mul(self.row_number(group, 0), row))
        table = None if layout == "together" else self._table_of_taps()
        taps = f.mul(self.windows.taps, self.number("kernel d"))

        def pack(group, first_row, rows, first_k, length, to):
            first = f.mul(self.row_number(group, first_row), row)
            with pieces(f, first_k, length, taps) as (channel, start, stop, at):
                begin, line_at = f.add(first, f.mul(channel, self.number("other 1"))), f.binary("sub", at, start)
                with f.loop(0, rows) as i:
                    line = f.element(to, self.shape.element, f.add(f.mul(i, length), line_at))
                    load = self._line(f.add(begin, f.mul(i, row)))
                    if table is None:
                        copy_run(f, self.shape, load, line, start, stop)
                    else:
                        with f.loop(start, stop) as tap:
                            f.store(load(f.load("i64", f.element(table, "i64", tap)), 1), f.element(line, self.shape.element, tap))
        return contraction.Packer(pack)

    def _table_of_taps(self):
        """Where each tap of a channel's weights lies."""
        f, number = self.f, self.number
        table = f.element(self.windows.lines, "i64", self.shape.columns)
        with f.loop(0, number("kernel d")) as d, f.loop(0, number("kernel h")) as h, f.loop(0, number("kernel w")) as w:
            tap = f.add(f.mul(f.add(f.mul(d, number("kernel h")), h), number("kernel w")), w)
            offset = f.add(f.add(f.mul(d, number("other d")), f.mul(h, number("other h"))), f.mul(w, number("other w")))
            f.store(offset, f.element(table, "i64", tap))
        return table

    def _line(self, begin):
        """The function (i, lanes) -> numbers of the other operand from element `begin` + i on."""
        f, start = self.f, self.f.element(self.other, self.raw, begin)
        return lambda i, lanes: self.convert(f.load(vector_type(self.raw, lanes), f.element(start, self.raw, i)), lanes)

    def _finish(self, group, row, rows, column, columns, sums, row_pitch, sliver_pitch):
        """Hand finished rows to `store` by channel, image and place; what is beyond the last window of an image is left out."""
        f, lanes, element, wide, places = self.f, self.shape.lanes, self.shape.element, self.shape.columns, self.windows.places
        numbers = Value("<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">", vector_type("i64", lanes))
        with f.loop(0, rows) as i, self.store.in_row(self.row_number(group, f.add(row, i)), lanes), pieces(
                f, column, columns, whole_vectors(f, places, lanes)) as (image, start, stop, at):
            line, last = f.element(sums, element, f.mul(i, row_pitch)), smaller(f, stop, f.binary("and", places, -lanes))
            for begin, end, masked in ((start, last, False), (larger(f, start, last), stop, True)):
                with f.loop(begin, end, lanes) as place:
                    j = f.add(at, f.binary("sub", place, start))
                    here = f.add(f.mul(f.binary("udiv", j, wide), sliver_pitch), f.binary("urem", j, wide))
                    mask = f.compare("slt", numbers, f.splat(f.binary("sub", places, place), lanes)) if masked else None
                    value = f.load(vector_type(element, lanes), f.element(line, element, here))
                    self.store(f, image, self.row_number(group, f.add(row, i)), place, value, lanes, mask)

    # Correlation: the batch counts parts of the images, and groups within each

    def correlation(self):
        def finish(f, batch, row, *place):
            part, group = self._split(batch)
            self.store(f, part, self.row_number(group, row), *place)

        def pack_b(batch, first_k, *more):
            self.windows.pack_turned(self._split(batch)[1], self._from_first_image(batch, first_k), *more)
        self._product(contraction.Packer(self._pack_results), contraction.Packer(pack_b), finish, self._k_of)

    def depthwise_correlation(self):
        f, element, n = self.f, self.shape.element, self.number("n")
        slabs, sums = f.mul(self.number("channels"), self.number("kernel d")), f.element(self.scratch, element, depthwise.COLUMNS)
        with f.loop(self.begin, self.end) as batch:
            part, group = self._split(batch)

            def results(row, image, start, count, to):
                copy_run(f, self.shape, self._line(self._place_of_results(self.row_number(group, row), image, start)), to, f.of(0, "i64"),
                         count)
            depthwise.correlate(self.windows, group, self.m, self._from_first_image(batch, 0), self._k_of(batch), slabs, results,
                                self.scratch, sums)
            with f.loop(0, self.m) as row, f.loop(0, n) as tap:
                value = f.load(element, f.element(sums, element, f.add(f.mul(row, n), tap)))
                self.store(f, part, self.row_number(group, row), tap, value, 1, None)

    def _split(self, batch):
        """(part, group)."""
        return self.f.binary("udiv", batch, self.groups), self.f.binary("urem", batch, self.groups)

    def _from_first_image(self, batch, k):
        return self.f.add(self.f.mul(self._split(batch)[0], self.k), k)

    def _k_of(self, batch):
        """How many k a part has: the last ones may have fewer images, or none."""
        f = self.f
        return larger(f, smaller(f, f.binary("sub", self.number("all k"), self._from_first_image(batch, 0)), self.k), 0)

    def _pack_results(self, batch, row, rows, first_k, length, to):
        """A[o, (image, window)]."""
        f, first = self.f, self.row_number(self._split(batch)[1], row)
        with pieces(f, self._from_first_image(batch, first_k), length, self.windows.places) as (image, start, stop, at):
            begin = self._place_of_results(first, image, start)
            copy_block(f, self.shape, _Rows(self, begin), rows, f.binary("sub", stop, start), f.element(to, self.shape.element, at), length)

    def _place_of_results(self, output, image, window):
        f, depths = self.f, self.number("count d")
        n, depth = f.binary("udiv", image, depths), f.binary("urem", image, depths)
        begin = f.add(f.mul(n, self.number("other 0")), f.mul(output, self.number("other 1")))
        return f.add(f.add(begin, f.mul(depth, self.windows.places)), window)


class _Rows:
    """Rows of results from element `begin` on, for packing.copy_block."""

    def __init__(self, code, begin):
        self.code, self.begin = code, begin

    def row(self, i):
        return self.code._line(self.code.f.add(self.begin, self.code.f.mul(i, self.code.number("other 1"))))


def _three(values, name):
    """Values of up to three spatial dimensions, the last ones, as those of three."""
    filling = 0 if name in ("before", "stride", "other") else 1
    return (*(filling,) * (3 - len(values)), *values)
