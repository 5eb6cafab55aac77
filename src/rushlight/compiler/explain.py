"""A program as text that people read: its graph, its kernels with their loops, what they move and compute, and where they came from.

    sizes      n0 = 64, n1 = 10
    graph      v0 = leaf0                            float32 (n0, n1)
               v1 = exp(v0)                          float32 (n0, n1)
               v2 = sum(v1, axes 1)                  float32 (n0)          wanted
    k0 sum     reads leaf0, writes out0              2.5 KB read, 256 B written, 1.3 k operations          from memory cache
               for i < n0:                           tasks of 1638
                   a = 0
                   for j < n1 by 16: a <- sum exp(leaf0[n1*i + j])
                   out0[i] = a

`RUSHLIGHT_DEBUG=graph,schedule,loops,llvm,asm,time` prints these parts of every program as it is made (time: as it is run).
Start with `program`; `debug_made` and `debug_run` are for the environment variable.
"""
import functools
import os
import re
import sys

from ..ir.extents import Extent, product
from ..ir.graph import topological
from .expressions import is_int
from .loops import Accumulate, Carry, Close, Loop, Open, Store, Transpose, below, inputs_of

PARTS = ("graph", "schedule", "loops", "llvm", "asm", "time")


@functools.cache
def wanted():
    """The parts that RUSHLIGHT_DEBUG asks for."""
    parts = frozenset(p.strip() for p in os.environ.get("RUSHLIGHT_DEBUG", "").split(",") if p.strip())
    if not parts <= set(PARTS):
        raise ValueError(f"RUSHLIGHT_DEBUG: {', '.join(sorted(parts - set(PARTS)))} is none of {', '.join(PARTS)}")
    return parts


def debug_made(made, texts):
    """Print what RUSHLIGHT_DEBUG asks for of a program that was just made; `texts(step)` gives the LLVM IR of a step."""
    lines = []
    if "graph" in wanted():
        lines += graph(made.outputs)
    for number, step in enumerate(made.plan.steps):
        if wanted() & {"schedule", "loops"}:
            lines += _step(made, number, step, None, None, "loops" in wanted())
        for inner in getattr(step, "steps", [step]):
            if wanted() & {"llvm", "asm"} and not hasattr(inner, "nodes"):
                text = texts(inner)
                lines += text.splitlines() if "llvm" in wanted() else []
                lines += _assembly(text).splitlines() if "asm" in wanted() else []
    _print(lines)


def debug_run(ran, integers, times):
    """Print how long each step of a run took."""
    _print([f"k{number} {_title(step)}: {_seconds(seconds)}" for number, (step, seconds) in enumerate(zip(ran.plan.steps, times))]
           + [f"all {len(times)}: {_seconds(sum(times))} for sizes {tuple(integers)}"])


def _assembly(text):
    from .native import jit
    return jit.emit_assembly(text)


def _print(lines):
    if lines:
        print("\n".join(lines), file=sys.stderr)


# ---------------------------------------------------------------------------------------------------------------------
# Programs

def program(made, integers, times=None):
    """The text of a whole program; `times` has the seconds of each step, if they were measured."""
    used = sorted({int(i) for i in re.findall(r"v\[(\d+)\]", " ".join(_all_sizes(made)))})
    lines = ["sizes   " + ", ".join(f"n{i} = {integers[i]}" for i in used)] if used else []
    lines += graph(made.outputs)
    for number, step in enumerate(made.plan.steps):
        lines += _step(made, number, step, integers, None if times is None else times[number], True)
    if times is not None:
        lines.append(f"all {len(times)} kernels: {_seconds(sum(times))}")
    return "\n".join(lines)


def _all_sizes(made):
    for node in topological([o.node for o in made.outputs]):
        yield repr(node.shape)
        yield repr([x for x in node.attributes if isinstance(x, (Extent, tuple))])


def graph(outputs):
    """The lines of a graph: one a node."""
    order, names, lines = topological([o.node for o in outputs]), {}, []
    ends = {o.node for o in outputs}
    for node in order:
        kind, _, name = node.primitive.partition(".")
        if kind == "constant":
            names[node] = repr(node.attributes[0])
            continue
        if kind in ("leaf", "scalar"):
            names[node] = f"{kind}{node.attributes[0]}"
            if kind == "scalar":
                continue
        words = ", ".join([names[i] for i in node.inputs] + _attributes(node))
        called = node.primitive if kind.startswith("attention") else name or kind
        text = names[node] if kind == "leaf" else f"{called}({words})"
        names[node] = f"v{len(lines)}"
        line = f"{names[node]} = {text}"
        lines.append(f"{line:<48} {node.dtype.name} ({', '.join(map(size, node.shape))})" + ("   wanted" if node in ends else ""))
    return [("graph   " if n == 0 else "        ") + line for n, line in enumerate(lines)]


def _attributes(node):
    kind = node.primitive.partition(".")[0]
    if kind in ("reduce", "partial"):
        return ["axes " + " ".join(map(str, node.attributes[0]))]
    if kind in ("scan", "argsort"):
        return [f"axis {node.attributes[0]}"]
    if kind == "loop":
        body, turns = node.attributes
        return [f"{size(turns)} turns" + (", from the last to the first" if body.backwards else "")]
    if kind in ("leaf", "library", "reshape", "expand", "extent"):
        return [size(node.attributes[0])] if kind == "extent" else []
    return [_words(a) for a in node.attributes]


def _words(x):
    return "(" + ", ".join(map(_words, x)) + ")" if isinstance(x, tuple) else size(x)


def size(x):
    """An int or Extent in the words of the reader: n0 for run-time integer 0."""
    return re.sub(r"v\[(\d+)\]", r"n\1", x.source()) if isinstance(x, Extent) else str(x)


def _step(made, number, step, integers, seconds, loops):
    title = f"k{number} {_title(step)}"
    reads, writes = (list(dict.fromkeys(buffers)) for buffers in (step.reads, step.writes))
    line = f"{title}: {_list(reads)} -> {_list(writes)}"
    facts = []
    if integers is not None:
        moved = [sum(_bytes(b, integers) for b in _distinct(buffers)) for buffers in (reads, writes)]
        work = operations(step, integers)
        facts = [f"{_amount(moved[0], 'B')} read", f"{_amount(moved[1], 'B')} written", f"{_amount(work, '')} operations"]
        if seconds is not None:
            rate = max(seconds, 1e-9) * 1e9
            facts.append(f"{_seconds(seconds)}, {sum(moved) / rate:.1f} GB/s, {work / rate:.1f} G operations/s")
    facts.append(made.origins[number])
    lines = [line, "        " + ", ".join(facts)]
    if loops:
        lines += ["        " + text for text in _code(step, integers)]
    return lines


def _code(step, integers, places=None):
    """The pseudo-code of a step; of a loop, that of each step in it, under a line for that."""
    lines = []
    for inner in getattr(step, "steps", ()):
        lines.append(f"{_title(inner)}: {_list(inner.reads, step.places)} -> {_list(inner.writes, step.places)}")
        lines += ["    " + line for line in _code(inner, integers, step.places)]
    nest = getattr(step, "nest", None)
    if nest is None:
        return lines
    streams = not hasattr(step, "a") and nest.streams  # what writes the results of a product says itself how
    return loops_of(step, integers, places) + ["note: written past the caches where many bytes are moved"] * bool(streams)


def _title(step):
    if hasattr(step, "turns"):
        return f"loop of {size(step.turns)} turns"
    if hasattr(step, "nodes"):
        return "on the host, by NumPy: " + ", ".join(n.attributes[0] if n.primitive == "library" else n.primitive for n in step.nodes)
    return getattr(step, "name", None) or step.node.primitive


def _list(buffers, places=None):
    return ", ".join(dict.fromkeys(name_of(b, places) for b in buffers)) or "nothing"


def name_of(buffer, places=None):
    """What a buffer is called: leaf0, out0, t0 (in the arena), row0 (in a worker's scratch); in a loop, whose `places` are given,
    leaf0[turn] for a part of it, and out0[turn - 1] for a state (see repetition.Place)."""
    place = None if places is None else places.get((buffer.kind, buffer.number))
    if place is not None and place.follows is not None:
        return f"{name_of(places['target', place.follows].buffer)}[turn - 1]"
    if place is not None:
        return name_of(place.buffer) + ("" if is_int(place.stride, 0) else "[turn]")
    return {"leaf": "leaf", "target": "out", "arena": "t", "scratch": "row"}[buffer.kind] + str(buffer.number)


def _distinct(buffers):
    return {(b.kind, b.number): b for b in buffers}.values()


def _bytes(buffer, integers):
    return _now(product(n for n, s in zip(buffer.shape, buffer.strides) if not is_int(s, 0)), integers) * buffer.dtype.itemsize


def _now(x, integers):
    return x.evaluate(integers) if isinstance(x, Extent) else x


def operations(step, integers):
    """About how many element-wise operations a step does; a multiply and an add in a matrix product are two."""
    total = 0
    if hasattr(step, "turns"):
        return _now(step.turns, integers) * sum(operations(inner, integers) for inner in step.steps)
    if hasattr(step, "operations"):
        return _now(step.operations, integers)
    if hasattr(step, "a"):
        total += 2 * _now(_multiplications(step.node), integers)
    nest, binding = getattr(step, "nest", None), getattr(step, "binding", None)
    if nest is None:
        return total
    seen = set()
    for s, around in nest.statements():
        count = 1
        for axis in {*around, *nest.outer}:
            if not (axis.window is None and any(a.window and a.window[0] is axis for a in around)):
                count *= _now(axis.extent if binding is None else binding.extent(axis.extent), integers)
        new = [e for e in below(s.expressions) if e not in seen and e.args and e.op != "load"]
        seen.update(new)
        total += count * (len(new) + isinstance(s, (Accumulate, Carry)))
    return total


def _multiplications(node):
    """How many a product does, or a convolution: one for each result and each number of a window, those in its border included."""
    first, second = node.inputs
    if node.primitive == "convolution":
        return product(node.shape) * product(second.shape[1:])
    if node.primitive.startswith("correlation"):
        return product(first.shape) * product(node.shape[1 - first.ndim:])
    return product(node.shape) * first.shape[-1]


def _amount(n, unit):
    for power, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= power:
            return f"{n / power:.3g} {letter}{unit}"
    return f"{n} {unit}".rstrip()


def _seconds(t):
    return f"{t * 1e3:.3g} ms" if t >= 1e-3 else f"{t * 1e6:.3g} us"


# ---------------------------------------------------------------------------------------------------------------------
# Loops as pseudo-code

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^", "eq": "==", "ne": "!=", "lt": "<", "le": "<=",
          "gt": ">", "ge": ">=", "floor_divide": "//", "remainder": "%"}


def loops_of(step, integers=None, places=None):
    """The lines of the nest of a step; with `integers`, numbers that follow from them are given as they are."""
    return _Printer(step.nest, step.binding, integers, places).lines()


class _Printer:
    """The pseudo-code of a nest.  An expression that is used more than once gets a name where it is first needed."""

    def __init__(self, nest, binding, integers, places):
        self.nest, self.integers, self.places, self.axes, self.names, self.accumulators = nest, integers, places, {}, {}, {}
        self.binding = binding
        users = {}
        for e in nest.expressions():
            for a in inputs_of(e):
                users.setdefault(a, set()).add(e)
        for s, _ in nest.statements():
            for e in s.expressions:
                users.setdefault(e, set()).add(s)
        self.shared = {e for e, by in users.items() if len(by) > 1 and e.args and e.op != "load"}

    def lines(self):
        out, indent = [], ""
        for n, axis in enumerate(self.nest.outer):
            tasks = "" if n else f"    tasks of {self.size(self.nest.group) if self.integers is None else _now(self.now(self.nest.group), self.integers)}"
            out.append(f"{indent}for {self.axis(axis)} < {self.size(axis.extent)}:{tasks}")
            indent += "  "
        self.body(self.nest.body, indent, out)
        return out + [f"note: {note}" for note in dict.fromkeys(self.nest.notes)]

    def lanes(self):
        """Those of the nest, by the sizes that were known where it was made."""
        return self.nest.lanes if self.binding is None else self.binding.pattern.assumptions.run(lambda: self.nest.lanes)

    def now(self, x):
        return x if self.binding is None else self.binding.extent(x)

    def size(self, x):
        return size(self.now(x))

    def name_of(self, buffer):
        return name_of(buffer if self.binding is None else self.binding.buffer(buffer), self.places)

    def axis(self, axis):
        if axis not in self.axes:
            n = len(self.axes)
            self.axes[axis] = "ijklmnopqrstuvwxyz"[n] if n < 18 else f"i{n}"
        return self.axes[axis]

    def accumulator(self, a):
        return self.accumulators.setdefault(a, "abcdefgh"[len(self.accumulators)] if len(self.accumulators) < 8
                                            else f"a{len(self.accumulators)}")

    def body(self, body, indent, out):
        for s in body:
            if isinstance(s, Loop):
                step = f" by {self.lanes()}" if s.axis is self.nest.vector else ""
                name = self.axis(s.axis)
                if s.axis.window:
                    block, length = self.axis(s.axis.window[0]), self.size(s.axis.window[1])
                    out.append(f"{indent}for {length}*{block} <= {name} < min({length}*{block} + {length}, {self.size(s.axis.extent)}){step}:")
                else:
                    out.append(f"{indent}for {name} < {self.size(s.axis.extent)}{step}:")
                self.body(s.body, indent + "  ", out)
            elif isinstance(s, Open):
                out.append(f"{indent}{self.accumulator(s.accumulator)} = nothing yet, for {s.accumulator.name}")
            elif isinstance(s, Close):
                out.append(f"{indent}fold the 16 lanes of {self.accumulator(s.accumulator)}")
            else:
                self.share(s, indent, out)
                if isinstance(s, Store):
                    out.append(f"{indent}{self.name_of(s.buffer)}[{self.place(s.place)}] = {self.text(s.expression, top=True)}")
                elif isinstance(s, Carry):
                    out.append(f"{indent}{self.accumulator(s.accumulator)} = {self.text(s.expression, top=True)}")
                elif isinstance(s, Transpose):
                    rows, columns = self.axis(s.row), self.axis(s.column)
                    out.append(f"{indent}transpose {self.name_of(s.tile)}[{rows}, {columns}] = {self.text(s.load)}")
                elif isinstance(s, Accumulate):
                    place = f" at {self.text(s.position)}" if s.position is not None else ""
                    out.append(f"{indent}{self.accumulator(s.accumulator)} <- {s.accumulator.name} {self.text(s.expression)}{place}")

    def share(self, statement, indent, out):
        """Name what this statement needs and others use as well."""
        for e in self.nest.expressions():
            if e in self.shared and e not in self.names and e in set(below(statement.expressions)):
                text = self.text(e, top=True)
                self.names[e] = f"e{len(self.names)}"
                out.append(f"{indent}{self.names[e]} = {text}")

    def place(self, place):
        parts = [name if is_int(c, 1) else f"{self.factor(c)}*{name}" for name, c in
                 [*((self.axis(a), c) for a, c in self.nest.terms(place)), *((self.text(e), c) for e, c in place.dynamic)]]
        if not is_int(place.constant, 0) or not parts:
            parts.append(self.size(place.constant))
        return " + ".join(parts)

    def factor(self, c):
        text = self.size(c)
        return f"({text})" if " " in text else text

    def text(self, e, top=False):
        if e in self.names:
            return self.names[e]
        if e.op == "load":
            buffer, place = e.data
            text = f"{self.name_of(buffer)}[{self.place(place)}]"
            return f"{text} where {self.text(e.args[0])}" if e.args else text
        if e.op == "index":
            return self.place(e.data) if top else f"({self.place(e.data)})"
        if e.op == "constant":
            return str(e.data)
        if e.op == "extent":
            return self.size(e.data)
        if e.op == "scalar":
            return f"scalar{e.data if self.binding is None else self.binding.scalars[e.data]}"
        if e.op in ("result", "running"):
            return self.accumulator(e.data)
        arguments = [self.text(a) for a in e.args]
        if e.op in _INFIX:
            text = f" {_INFIX[e.op]} ".join(arguments)
            return text if top else f"({text})"
        if e.op == "cast":
            return f"{e.dtype.name}({arguments[0]})"
        return f"{e.op}({', '.join(arguments)})"
