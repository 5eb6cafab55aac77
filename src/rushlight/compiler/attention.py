"""Attention as a kernel, forward and backward: the matrix of scores is never written, only a block of it at a time.

    one task: some queries of one matrix        scores of one block, keys x queries           softmax, online

              queries                                     queries                             m = max(m, scores)
            +---------+                               +-------------+                         p = exp(scores - m)
       head | Q^T     | packed once              keys | K Q^T       |  lanes are queries      l = l exp(m_old - m) + sum p
            +---------+                               +-------------+                         O^T = O^T exp(m_old - m) + V^T p

Everything stands on its side, so that one lane is one query: maxima and sums go down the columns without crossing lanes, and what the
softmax leaves behind is packed already for the product with V^T.  K and V are copied (and widened) block by block; Q and the
results are turned on the way in and out.  Products are those of microkernel.panel.

Backward goes over the same blocks again: p follows from the scores and their log-sum-exp, and with it

    dV += p dO      ds = p (V dO^T - delta)      dK += ds Q      dQ^T += K^T ds        delta = the sum of dO O along each row

**The order of summation**: keys in blocks of KEYS; a block's sums in the order of keys (those of p in four interleaved chains),
blocks one after the other.  dK and dV: in the same way over blocks of as many queries as a tile has columns.  Neither tasks nor
threads change it.

A few queries are looked after one at a time: then reading K and V is all the work, which lie there as they are wanted (`_Few`).

One matrix is one task of backward, as dK and dV gather all queries.  Where there are few matrices, tasks are parts of the queries, which
make dQ, and parts of the keys, which make dK and dV: the scores are computed twice, but by all threads.

What they are written with is in score_blocks.py.  Start with `Attention`, then `_Forward.task`; `_Backward.task` is much like it.
"""
from ..ir.extents import product
from . import vectormath
from .expressions import is_int
from .llvmir import Value, constant, module_text, vector_type
from .loops import Slots
from .microkernel import multiply_add, panel_address, tile
from .native.target import host
from .products import batch_axes
from .score_blocks import BlockWriter
from .transcendentals import LN2

KEYS = 96        # keys in a block: part of the meaning
QUERIES = 128    # queries of a task of forward
FEW_QUERIES = 4  # up to here each is a task of its own, and a block has more keys
KEYS_OF_FEW = 512
PART = 3 * KEYS  # queries, or keys, of a task of backward where there are few matrices
FEW_MATRICES = 2
_INPUTS = {"attention": ("query", "key", "value", "scale", "mask"),
           "attention_gradient": ("grad", "query", "key", "value", "scale", "log_sum", "result", "mask")}


def operations(node):
    """How many multiplications and additions a node and its like take, as if nothing were hidden."""
    kind = node.primitive.partition(".")[0]
    of = dict(zip(_INPUTS[kind], node.inputs))
    width, depth = of["query"].shape[-1], of["value"].shape[-1]
    each = width + depth if kind == "attention" else 3 * width + 2 * depth
    return 2 * each * of["key"].shape[-2] * product(of["query"].shape[:-1])


class Attention:
    """One attention, or its gradients, over buffers: `canonical()` gives text and slots, `emit()` the module.

    `inputs` are (buffer, offset) for each input of the node, `results` {name: buffer} as the primitives after the dot are called."""

    def __init__(self, node, inputs, results):
        self.kind, self.causal = node.primitive.partition(".")[0], node.attributes[0]
        self.memory = dict(zip(_INPUTS[self.kind], inputs))
        self.scale = self.memory.pop("scale")
        self.memory.update(((name or "result") + "'", (buffer, 0)) for name, buffer in results.items())
        of = dict(zip(_INPUTS[self.kind], node.inputs))
        self.dtype, self.shape = of["query"].dtype, tile(host(), of["query"].dtype)
        self.has_mask = "mask" in of
        self.batch_axes = batch_axes(of["query"].shape[:-2], [buffer for buffer, _ in self.memory.values()])
        self.numbers = {"queries": of["query"].shape[-2], "keys": of["key"].shape[-2], "width": of["query"].shape[-1],
                        "depth": of["value"].shape[-1]}
        self.matrices = product(n for n, _ in self.batch_axes)
        self.few = self.kind == "attention" and self.numbers["queries"] <= FEW_QUERIES
        lanes, n = self.shape.lanes, self.numbers
        n.update(pitch=_whole(n["width"], lanes), depth_pitch=_whole(n["depth"], lanes))
        self.places = self._few() if self.few else self._forward() if self.kind == "attention" else self._backward()
        start = 0
        for name, size in self.places.items():
            n["scratch " + name] = start
            start = start + _whole(size, 64)
        self.scratch_bytes = start * (8 if self.shape.element == "double" else 4)

    # Tasks, and the sizes of what a task has in scratch

    def _few(self):
        n = self.numbers
        self.tasks = self.matrices * n["queries"]
        return {"query": n["pitch"], "totals": n["depth_pitch"], "key": KEYS_OF_FEW * n["pitch"], "value": KEYS_OF_FEW * n["depth_pitch"],
                "scores": KEYS_OF_FEW, "mask": KEYS_OF_FEW if self.has_mask else 0, "sum": self.shape.lanes}

    def _blocks(self):
        """What forward and backward both have: `rows` of a sliver that are turned, whatever they are; keys and their scores."""
        n, columns = self.numbers, self.shape.columns
        return {"rows": columns * (n["pitch"] + n["depth_pitch"] + KEYS), "key": KEYS * n["pitch"], "value": KEYS * n["depth_pitch"],
                "scores": KEYS * columns, "mask": KEYS * columns if self.has_mask else 0}

    def _forward(self):
        n, queries = self.numbers, _whole(QUERIES, self.shape.columns)
        self.tasks = self.matrices * _parts(n["queries"], QUERIES)
        return {**self._blocks(), "turned query": queries * n["width"], "totals": queries * n["depth"], "most": queries, "sum": queries}

    def _backward(self):
        n, columns, few = self.numbers, self.shape.columns, self.matrices < FEW_MATRICES
        n["query parts"] = _parts(n["queries"], PART) if few else 0
        n["parts"] = _parts(n["keys"], PART) + n["query parts"] if few else 1
        n["part"] = PART if few else n["keys"]
        self.tasks = self.matrices * n["parts"]
        return {**self._blocks(), "slopes": KEYS * columns, "query": columns * n["pitch"], "turned query": columns * n["width"],
                "grad": columns * n["depth_pitch"], "turned grad": columns * n["depth"], "log_sum": columns, "delta": columns,
                "totals": columns * n["width"], "key sums": n["part"] * n["pitch"], "value sums": n["part"] * n["depth_pitch"]}

    def canonical(self):
        slots, layouts = Slots(), {}
        slots.once("scale", "pointer", *self.scale)
        for name, (buffer, offset) in self.memory.items():
            slots.once((name, "pointer"), "pointer", buffer, offset)
            slots.number((name, "row"), buffer.strides[-2])
            slots.number((name, "column"), buffer.strides[-1])
            layouts[name] = buffer.dtype.name, is_int(buffer.strides[-1], 1)
        for name, number in self.numbers.items():
            slots.number(name, number)
        slots.number("panel", panel_address(host(), self.dtype))
        for i, (extent, strides) in enumerate(self.batch_axes):
            slots.number(("batch", i), extent)
            for name, stride in zip(self.memory, strides):
                slots.number((name, "batch", i), stride)
        causal = " causal" if self.causal else ""
        few = "few" if self.few else ""
        return f"{self.kind}{causal} {few} {self.dtype.name} {layouts} batch {len(self.batch_axes)} {vars(host())}", slots

    def emit(self, slots, name="kernel"):
        writer = _Few if self.few else _Forward if self.kind == "attention" else _Backward
        return module_text([writer(self, slots, name).function()])


def _parts(n, size):
    return (n + (size - 1)) // size


def _whole(n, size):
    """Rounded up to a multiple."""
    return _parts(n, size) * size


# ---------------------------------------------------------------------------------------------------------------------
# Code


class _Forward(BlockWriter):
    def task(self, task):
        f, n, scratch = self.f, self.numbers, self.scratch
        parts = f.binary("udiv", f.add(n["queries"], QUERIES - 1), QUERIES)
        first = f.mul(f.binary("urem", task, parts), QUERIES)
        self.enter(f.binary("udiv", task, parts))
        queries = self.smaller(QUERIES, f.binary("sub", n["queries"], first))
        with f.loop(0, queries, self.columns) as s:
            width = self.smaller(self.columns, f.binary("sub", queries, s))
            self.turned_in("query", f.add(first, s), width, 0, n["width"], self.at(scratch["turned query"], f.mul(s, n["width"])),
                           self.scale_of_two)
            with f.loop(0, self.columns, self.lanes) as i:
                at = f.add(s, i)
                f.store(constant(self.vector, float("-inf")), self.at(scratch["most"], at))
                f.store(self.zero, self.at(scratch["sum"], at))
        with f.loop(0, self.keys_seen(0, n["keys"], first, queries), KEYS) as first_key:
            keys = self.smaller(KEYS, f.binary("sub", self.keys_seen(0, n["keys"], first, queries), first_key))
            self.copy_rows("key", first_key, keys, 0, n["width"], scratch["key"], n["pitch"])
            self.copy_rows("value", first_key, keys, 0, n["depth"], scratch["value"], n["depth_pitch"])
            with f.loop(0, queries, self.columns) as s:
                width = self.smaller(self.columns, f.binary("sub", queries, s))
                piece = self.pieces_of(f.add(first, s), first_key, keys)
                with f.loop(0, width, piece) as p:
                    self._block(first, s, p, self.smaller(piece, f.binary("sub", width, p)), first_key, keys)
        with f.loop(0, queries, self.columns) as s:
            self._finish(first, s, self.smaller(self.columns, f.binary("sub", queries, s)))

    def _block(self, first, s, p, width, first_key, keys):
        """One block of keys for some queries, from `p` on, of the sliver that begins at `s`."""
        f, n, scratch = self.f, self.numbers, self.scratch
        at = f.add(s, p)
        vectors, first_query = self.whole_vectors(width), f.add(first, at)
        keys = self.keys_seen(first_key, keys, first_query, width)
        totals = self.at(scratch["totals"], f.mul(s, n["depth"]), p)
        with f.when(f.compare("sgt", keys, 0)):
            self.scores(self.at(scratch["turned query"], f.mul(s, n["width"]), p), scratch["key"], first_query, width, first_key, keys,
                        vectors)
            later = f.compare("sgt", first_key, 0)
            with f.loop(0, vectors) as v:
                self._softmax(f.add(at, f.mul(v, self.lanes)), self.at(scratch["scores"], f.mul(v, self.lanes)), keys,
                              self.at(totals, f.mul(v, self.lanes)), later)
            self.panel(scratch["value"], 1, n["depth_pitch"], 1, scratch["scores"], self.columns, totals, self.columns, n["depth"], keys,
                       vectors, f.convert("zext", later, "i64"))

    def _softmax(self, at, scores, keys, totals, later):
        """Scores of a vector of queries to their exponentials; what was summed up before is scaled to the new maximum."""
        f = self.f
        most_at, sum_at = self.at(self.scratch["most"], at), self.at(self.scratch["sum"], at)
        before, nothing = f.load(self.vector, most_at), constant(self.vector, float("-inf"))

        def greatest(place, _, values):
            return [self.greater(values[0], f.load(self.vector, place))]
        (a,), (b,), (c,), (d,) = self.down(scores, keys, [(before,), (nothing,), (nothing,), (nothing,)], greatest)
        most = self.greater(self.greater(a, b), self.greater(c, d))
        f.store(most, most_at)
        base = f.select(f.compare("oeq", most, nothing), self.zero, most)  # where nothing was seen yet all exponentials are zero

        def add(place, _, values):
            p = self.power(f.binary("fsub", f.load(self.vector, place), base))
            f.store(p, place)
            return [f.binary("fadd", values[0], p)]
        (a,), (b,), (c,), (d,) = self.down(scores, keys, [(self.zero,)] * 4, add)
        total = f.binary("fadd", f.binary("fadd", a, b), f.binary("fadd", c, d))
        shrink = self.power(f.binary("fsub", before, base))
        f.store(f.binary("fadd", f.binary("fmul", f.load(self.vector, sum_at), shrink), total), sum_at)
        with f.when(later), f.loop(0, f.mul(self.numbers["depth"], self.columns), self.columns) as j:
            place = self.at(totals, j)
            f.store(f.binary("fmul", f.load(self.vector, place), shrink), place)

    def _finish(self, first, s, width):
        """Totals of a sliver divided by the sums, turned and stored."""
        f, n, scratch = self.f, self.numbers, self.scratch
        totals = self.at(scratch["totals"], f.mul(s, n["depth"]))
        with f.loop(0, f.mul(self.whole_vectors(width), self.lanes), self.lanes) as i:
            sum_at = self.at(scratch["sum"], s, i)
            total = f.load(self.vector, sum_at)
            empty = f.compare("oeq", total, 0.0)
            inverse = f.binary("fdiv", 1.0, total)
            with f.loop(0, n["depth"]) as j:
                place = self.at(totals, f.mul(j, self.columns), i)
                f.store(f.select(empty, self.zero, f.binary("fmul", f.load(self.vector, place), inverse)), place)
            if "log_sum'" in self.pointers:
                log = vectormath.elementwise(f, "log2", [total], self.sums)
                log_sum = f.binary("fadd", f.load(self.vector, self.at(scratch["most"], s, i)), log)
                f.store(f.binary("fmul", log_sum, LN2), sum_at)
        if "result'" in self.pointers:
            self.turned_out("result'", f.add(first, s), width, n["depth"], totals)
        if "log_sum'" in self.pointers:
            self.store_rows("log_sum'", f.add(first, s), width, f.of(1, "i64"), self.at(scratch["sum"], s), 1)


class _Few(BlockWriter):
    """A lane is a feature of a key, then a key, then a feature of a value."""

    def task(self, task):
        f, n, scratch = self.f, self.numbers, self.scratch
        query = f.binary("urem", task, n["queries"])
        self.enter(f.binary("udiv", task, n["queries"]))
        self.copy_rows("query", query, f.of(1, "i64"), 0, n["width"], scratch["query"], n["pitch"], self.scale_of_two)
        with f.loop(0, n["depth_pitch"], self.lanes) as i:
            f.store(self.zero, self.at(scratch["totals"], i))
        seen = self.keys_seen(0, n["keys"], query, 1)
        with f.loop(0, seen, KEYS_OF_FEW, [f.of(float("-inf"), self.element), self.zero]) as (first_key, now):
            keys = self.smaller(KEYS_OF_FEW, f.binary("sub", seen, first_key))
            key, key_step = self._rows("key", first_key, keys, n["width"], n["pitch"])
            value, value_step = self._rows("value", first_key, keys, n["depth"], n["depth_pitch"])
            self._scores(query, key, key_step, first_key, keys)
            most, shrink, total = self._softmax(keys, *now)
            with f.loop(0, n["depth_pitch"], self.lanes) as i:
                place = self.at(scratch["totals"], i)
                f.store(f.binary("fmul", f.load(self.vector, place), f.splat(shrink, self.lanes)), place)
            with f.loop(0, n["depth_pitch"], self.columns) as j:
                vectors = f.binary("udiv", self.smaller(self.columns, f.binary("sub", n["depth_pitch"], j)), self.lanes)
                self.panel(scratch["scores"], 1, 1, 1, self.at(value, j), value_step, self.at(scratch["totals"], j), 0, 1, keys, vectors, 1)
            now.next = [most, total]
        most, total = now.final[0], self.across("fadd", now.final[1])
        with f.when(f.compare("oeq", total, 0.0)), f.loop(0, n["depth_pitch"], self.lanes) as i:
            f.store(self.zero, self.at(scratch["totals"], i))
        if "result'" in self.pointers:
            inverse = f.select(f.compare("oeq", total, 0.0), f.of(0.0, self.element), f.binary("fdiv", 1.0, total))
            self.store_rows("result'", query, f.of(1, "i64"), n["depth"], scratch["totals"], n["depth_pitch"], inverse)
        if "log_sum'" in self.pointers:
            log = vectormath.elementwise(f, "log2", [total], self.sums)
            f.store(f.binary("fmul", f.binary("fadd", most, log), LN2), scratch["sum"])
            self.store_rows("log_sum'", query, f.of(1, "i64"), f.of(1, "i64"), scratch["sum"], 1)

    def _rows(self, name, first, rows, columns, pitch):
        """(address, stride) of rows of whole vectors: where they lie, or copied."""
        f, start, step = self.f, self._place(name, first, 0), self.steps[name, "row"]
        if self._raw(name) != self.element or not self.has_neighbours(name):
            self.copy_rows(name, first, rows, 0, columns, self.scratch[name], pitch)
            return self.scratch[name], pitch
        ragged = f.compare("ne", columns, pitch)
        with f.when(ragged):
            self.copy_rows(name, first, rows, 0, columns, self.scratch[name], pitch)
        return f.select(ragged, self.scratch[name], start), f.select(ragged, pitch, step)

    def _scores(self, query, key, step, first_key, keys):
        """The scores of a block of keys, a vector of keys at a time; those behind the last one count for nothing."""
        f, n, lanes = self.f, self.numbers, self.lanes
        numbers = Value("<" + ", ".join(f"i32 {i}" for i in range(lanes)) + ">", vector_type("i32", lanes))
        last = f.binary("sub", keys, 1)
        if self.attention.has_mask:
            self.copy_rows("mask", query, f.of(1, "i64"), first_key, keys, self.scratch["mask"], KEYS_OF_FEW, f.of(1 / LN2, self.element))
        with f.loop(0, keys, lanes) as j:
            rows = [self.at(key, f.mul(self.smaller(f.add(j, i), last), step)) for i in range(lanes)]
            with f.loop(0, n["pitch"], lanes, [self.zero] * lanes) as (d, now):
                x = f.load(self.vector, self.at(self.scratch["query"], d))
                now.next = [multiply_add(f, self.shape, x, f.load(self.vector, self.at(row, d)), total) for row, total in zip(rows, now)]
            scores = self._sums(now.final)
            if self.attention.has_mask:
                scores = f.binary("fadd", scores, f.load(self.vector, self.at(self.scratch["mask"], j)))
            there = f.compare("slt", numbers, f.splat(f.convert("trunc", f.binary("sub", keys, j), "i32"), lanes))
            f.store(f.select(there, scores, constant(self.vector, float("-inf"))), self.at(self.scratch["scores"], j))

    def _sums(self, vectors):
        """A vector of the sums of as many vectors: neighbours are added, until one is left of each."""
        while len(vectors) > 1:
            halves = [[self.f.shuffle(a, b, range(side, 2 * self.lanes, 2)) for side in (0, 1)] for a, b in zip(vectors[::2],
                                                                                                                vectors[1::2])]
            vectors = [self.f.binary("fadd", *pair) for pair in halves]
        return vectors[0]

    def _softmax(self, keys, before, sums):
        """Scores to exponentials: (the greatest until now, what is summed up until now is to be scaled by, sums in lanes)."""
        f = self.f
        with f.loop(0, keys, self.lanes, [f.splat(before, self.lanes)]) as (j, now):
            now.next = [self.greater(now[0], f.load(self.vector, self.at(self.scratch["scores"], j)))]
        most = self.across("greater", now.final[0])
        base = f.select(f.compare("oeq", most, float("-inf")), f.of(0.0, self.element), most)
        shrink = self.power(f.binary("fsub", before, base))
        with f.loop(0, keys, self.lanes, [f.binary("fmul", sums, f.splat(shrink, self.lanes))]) as (j, now):
            place = self.at(self.scratch["scores"], j)
            p = self.power(f.binary("fsub", f.load(self.vector, place), f.splat(base, self.lanes)))
            f.store(p, place)
            now.next = [f.binary("fadd", now[0], p)]
        return most, shrink, now.final[0]


class _Backward(BlockWriter):
    def task(self, task):
        f, n, scratch = self.f, self.numbers, self.scratch
        part = f.binary("urem", task, n["parts"])
        self.enter(f.binary("udiv", task, n["parts"]))
        alone = f.compare("eq", n["parts"], 1)
        for_query = f.binary("or", alone, f.compare("slt", part, n["query parts"]))
        for_key = f.binary("or", alone, f.binary("xor", for_query, True))
        first_query = f.select(f.binary("or", alone, for_key), f.of(0, "i64"), f.mul(part, PART))
        end_query = f.select(for_key, n["queries"], self.smaller(n["queries"], f.add(first_query, PART)))
        first_key = f.select(for_query, f.of(0, "i64"), f.mul(f.binary("sub", part, n["query parts"]), PART))
        end_key = f.select(for_query, n["keys"], self.smaller(n["keys"], f.add(first_key, PART)))
        if self.attention.causal:  # queries before these keys see none of them
            first_query = self.larger(first_query, f.mul(f.binary("udiv", first_key, self.columns), self.columns))
        length = f.binary("sub", end_key, first_key)
        with f.when(for_key):
            self._clear(scratch["key sums"], f.mul(length, n["pitch"]))
            self._clear(scratch["value sums"], f.mul(length, n["depth_pitch"]))
        with f.loop(first_query, end_query, self.columns) as query:
            width = self.smaller(self.columns, f.binary("sub", end_query, query))
            self._load_queries(query, width)
            end = self.keys_seen(0, end_key, query, width)
            with f.loop(first_key, end, KEYS) as block:
                keys = self.smaller(KEYS, f.binary("sub", end, block))
                self.copy_rows("key", block, keys, 0, n["width"], scratch["key"], n["pitch"])
                self.copy_rows("value", block, keys, 0, n["depth"], scratch["value"], n["depth_pitch"])
                piece = self.pieces_of(query, block, keys)
                with f.loop(0, width, piece) as p:
                    self._block(query, p, self.smaller(piece, f.binary("sub", width, p)), block, keys, f.binary("sub", block, first_key),
                                for_query, for_key)
            if "query'" in self.pointers:
                with f.when(for_query):
                    self.turned_out("query'", query, width, n["width"], scratch["totals"], self.scale)
        with f.when(for_key):
            for name, columns, pitch, factor in (("key", "width", "pitch", f.of(LN2, self.element)),
                                                 ("value", "depth", "depth_pitch", None)):
                if name + "'" in self.pointers:
                    self.store_rows(name + "'", first_key, length, n[columns], scratch[name + " sums"], n[pitch], factor)

    def _clear(self, start, count):
        with self.f.loop(0, count, self.lanes) as i:
            self.f.store(self.zero, self.at(start, i))

    def _load_queries(self, query, width):
        """A sliver of queries and of what comes back to them, each as rows and on its side."""
        f, n, scratch = self.f, self.numbers, self.scratch
        for name, columns, pitch, factor in (("query", "width", "pitch", self.scale_of_two), ("grad", "depth", "depth_pitch", None)):
            self.copy_rows(name, query, width, 0, n[columns], scratch[name], n[pitch], factor)
            self.turn(scratch[name], n[pitch], scratch["turned " + name], width, n[columns])
        self.turned_in("log_sum", query, width, 0, f.of(1, "i64"), scratch["log_sum"], f.of(1 / LN2, self.element))
        self._load_delta(query, width)
        self._clear(scratch["totals"], f.mul(n["width"], self.columns))

    def _load_delta(self, query, width):
        """The sum of dO O along each row, from the rows of dO that are there."""
        f, n, scratch, pitch = self.f, self.numbers, self.scratch, self.numbers["depth_pitch"]
        self.copy_rows("result", query, width, 0, n["depth"], scratch["rows"], pitch)
        self._clear(scratch["delta"], self.columns)
        with f.loop(0, width) as i:
            a, b = (self.at(scratch[name], f.mul(i, pitch)) for name in ("rows", "grad"))
            with f.loop(0, pitch, self.lanes, [self.zero]) as (j, now):
                now.next = [multiply_add(f, self.shape, f.load(self.vector, self.at(a, j)), f.load(self.vector, self.at(b, j)), now[0])]
            f.store(self.across("fadd", now.final[0]), self.at(scratch["delta"], i))

    def _block(self, query, p, width, first_key, keys, row, for_query, for_key):
        """One block of keys for some queries, from `p` on, of the sliver at hand; its keys begin at `row` of the sums."""
        f, n, scratch = self.f, self.numbers, self.scratch
        vectors, query = self.whole_vectors(width), f.add(query, p)
        keys = self.larger(0, self.keys_seen(first_key, keys, query, width))
        scores, slopes = scratch["scores"], scratch["slopes"]
        self.scores(self.at(scratch["turned query"], p), scratch["key"], query, width, first_key, keys, vectors)
        self.panel(scratch["value"], n["depth_pitch"], 1, n["depth_pitch"], self.at(scratch["turned grad"], p), self.columns, slopes,
                   self.columns, keys, n["depth"], vectors, 0)
        with f.loop(0, f.mul(vectors, self.lanes), self.lanes) as i:
            log_sum = f.load(self.vector, self.at(scratch["log_sum"], p, i))
            empty = f.compare("oeq", log_sum, float("-inf"))
            log_sum, delta = f.select(empty, float("inf"), log_sum), f.load(self.vector, self.at(scratch["delta"], p, i))
            slopes_at = self.at(slopes, i)

            def slope(place, offset, _, log_sum=log_sum, delta=delta, slopes_at=slopes_at):
                p = self.power(f.binary("fsub", f.load(self.vector, place), log_sum))
                f.store(p, place)
                there = self.at(slopes_at, offset)
                f.store(f.binary("fmul", p, f.binary("fsub", f.load(self.vector, there), delta)), there)
                return []
            self.down(self.at(scores, i), keys, [()] * 4, slope)
        with f.when(for_key):
            for name, a, b, pitch in (("value", scores, "grad", "depth_pitch"), ("key", slopes, "query", "pitch")):
                if name + "'" in self.pointers:
                    b = self.at(scratch[b], f.mul(p, n[pitch]))
                    self._add_rows(a, keys, width, b, n[pitch], self.at(scratch[name + " sums"], f.mul(row, n[pitch])))
        if "query'" in self.pointers:
            with f.when(for_query):
                self.panel(scratch["key"], 1, n["pitch"], 1, slopes, self.columns, self.at(scratch["totals"], p), self.columns, n["width"],
                           keys, vectors, 1)

    def _add_rows(self, a, rows, k, b, pitch, to):
        """to += a @ b: `a` a block, `b` and `to` rows of whole vectors."""
        f = self.f
        with f.loop(0, pitch, self.columns) as j:
            vectors = f.binary("udiv", self.smaller(self.columns, f.binary("sub", pitch, j)), self.lanes)
            self.panel(a, self.columns, 1, self.columns, self.at(b, j), pitch, self.at(to, j), pitch, rows, k, vectors, 1)
