"""The dense inner loops of a matrix product: a closed set for each number type and target, compiled once.

    panel(a, a_row, a_k, a_next, b, b_k, c, c_row, rows, k, vectors, add)

        k            vectors                  one tile is up to `Tile.rows` x `Tile.vectors` vector registers of sums;
      +---+        +-------+                  for each k a row of the sliver B is loaded, and for each row of the tile
      | A |   k    |   B   |     k            one number of A is spread over all lanes and multiplied in (fma)
      |   |        +-------+
      +---+ rows   | C     |
                   +-------+

A panel is all `rows` of A against one sliver of B that is `vectors` registers wide: C = A B, or C += A B where `add` is not
zero.  Strides are in elements and arbitrary except that the columns of B and C are neighbours; so the same code reads A as it
lies in memory (a_next = a_row), transposed or not, and B packed or not.  A packed by `packing.pack_panels` has a_row = 1 and
a_next = k: its tiles lie one after the other, each as k rows of as many numbers as the tile has rows.  Each number of C is
summed in the order of k, whatever the tile.  Nothing here knows what is fused around it.

Start with `tile` (the shape), then `_tile_loop` (the loop that counts).
"""
import functools
from dataclasses import dataclass

from .llvmir import Function, Value, module_text, vector_type
from .native import jit


@dataclass(frozen=True)
class Tile:
    """The largest tile of sums: `rows` x (`vectors` registers of `lanes` numbers)."""
    rows: int
    vectors: int
    lanes: int
    element: str  # LLVM type of the sums
    fused: bool   # whether a multiply-add is rounded once

    @property
    def columns(self):
        return self.vectors * self.lanes


_SUMS = {"float32": "float", "float64": "double", "float16": "float", "bfloat16": "float", "int64": "i64", "uint64": "i64"}
BITS = {"float": 32, "double": 64, "i32": 32, "i64": 64}


def sum_type(dtype):
    """The LLVM type in which products of a dtype are added up; smaller integers and bool count in i32."""
    return _SUMS.get(dtype.name, "i32")


def tile(target, dtype):
    """The tile for a target: rows x vectors + vectors + 1 registers must fit, wide enough to hide the latency of fma."""
    element = sum_type(dtype)
    lanes = target.vector_bits // BITS[element]
    if target.vector_registers < 32:
        rows, vectors = (6 if target.has_fma else 4), 2  # without fma a product needs a register of its own
    elif target.vector_bits >= 256:
        rows, vectors = 6, 4
    else:
        rows, vectors = 8, 3
    return Tile(rows, vectors, lanes, element, target.has_fma)


def panel_address(target, dtype):
    """Where the panel function for products of this dtype is; it stays there."""
    return _panel(target, tile(target, dtype)).address("panel")


@functools.cache
def _panel(target, shape):
    return jit.compile(panel_text(target, shape), target)


def panel_text(target, shape):
    """The IR module that defines the panel function of a tile."""
    f = Function("panel", [("ptr", "a"), ("i64", "a_row"), ("i64", "a_k"), ("i64", "a_next"), ("ptr", "b"), ("i64", "b_k"),
                           ("ptr", "c"), ("i64", "c_row"), ("i64", "rows"), ("i64", "k"), ("i64", "vectors"), ("i64", "add")],
                 attributes=target.function_attributes)
    a, a_row, a_k, a_next, b, b_k, c, c_row, rows, k, vectors, add = f.parameters
    accumulate = f.compare("ne", add, 0)
    a_rows = [0] + [opaque(f, f.mul(a_row, r)) for r in range(1, shape.rows)]
    c_rows = [f.mul(c_row, r) for r in range(shape.rows)]
    first = f.binary("mul", f.binary("sub", vectors, 1), shape.rows)

    head, next_panel, done = f.label("panel"), f.label("next"), f.label("done")
    entry = f.block
    f.branch(head)
    f.start(head)
    left, a_now, c_now = f.phi("i64"), f.phi("ptr"), f.phi("ptr")
    choose = f.label("choose")
    f.branch_if(f.compare("sgt", left, 0), choose, done)
    f.start(choose)
    height = tile_height(f, shape, left)
    k_stride = f.select(f.compare("eq", a_next, a_row), a_k, height)
    which = f.binary("add", first, f.binary("sub", height, 1))
    cases = [(r, v, f.label(f"tile{r}x{v}_")) for v in range(1, shape.vectors + 1) for r in range(1, shape.rows + 1)]
    table = " ".join(f"i64 {(v - 1) * shape.rows + r - 1}, label %{label}" for r, v, label in cases)
    f.do(f"switch i64 {which.text}, label %{done} [{table}]")
    for r, v, label in cases:
        f.start(label)
        _tile_loop(f, shape, r, v, a_now, a_rows, k_stride, b, b_k, c_now, c_rows, k, accumulate)
        f.branch(next_panel)
    f.start(next_panel)
    f.incoming(left, rows, entry)
    f.incoming(a_now, a, entry)
    f.incoming(c_now, c, entry)
    f.incoming(left, f.binary("sub", left, height), next_panel)
    f.incoming(a_now, f.element(a_now, shape.element, f.binary("mul", a_next, height)), next_panel)
    f.incoming(c_now, f.element(c_now, shape.element, f.binary("mul", c_row, height)), next_panel)
    f.branch(head)
    f.start(done)
    f.ret()
    return module_text([f])


def opaque(f, x):
    """x, of which LLVM knows nothing more.  Else it derives the addresses of several rows from each other, which makes a chain of
    additions longer than that of the multiply-adds, or needs more registers than there are."""
    return f.value(x.type, f'call {x.type} asm "", "=r,0"({x!r})')


def tile_height(f, shape, left):
    """How many rows the next tile has when `left` are left: the last are shared out between two tiles, as one of a row or two
    could not keep the multipliers busy."""
    half = f.binary("lshr", f.binary("add", left, 1), 1)
    few = f.select(f.compare("sgt", left, shape.rows), half, left)
    return f.select(f.compare("sge", left, 2 * shape.rows), f.of(shape.rows, "i64"), few)


def multiply_add(f, shape, a, b, total):
    """total + a b."""
    if shape.element in ("i32", "i64"):
        return f.binary("add", f.binary("mul", a, b), total)
    return f.overloaded("llvm.fma", a, b, total) if shape.fused else f.binary("fadd", f.binary("fmul", a, b), total)


def _tile_loop(f, shape, rows, vectors, a, a_rows, a_k, b, b_k, c, c_rows, k, accumulate):
    """One tile: the loop over k, and its sums put into C."""
    vector = vector_type(shape.element, shape.lanes)
    zero = Value("zeroinitializer", vector)
    sums = [zero] * (rows * vectors)

    def step(a_now, b_now, sums):
        b_row = [f.load(vector, f.element(b_now, shape.element, v * shape.lanes)) for v in range(vectors)]
        result = [opaque(f, f.element(a_now, shape.element, a_k)), opaque(f, f.element(b_now, shape.element, b_k))]
        for r in range(rows):
            number = f.splat(f.load(shape.element, f.element(a_now, shape.element, a_rows[r])), shape.lanes)
            result += [multiply_add(f, shape, number, b_row[v], sums[r * vectors + v]) for v in range(vectors)]
        return result

    for r in range(rows):  # C may be far away; the loop is long enough to fetch it
        f.intrinsic("llvm.prefetch.p0", "void", f.element(c, shape.element, c_rows[r]), *(Value(x, "i32") for x in "131"))
    with f.loop(0, k, 1, [a, b, *sums]) as (_, now):
        now.next = step(now[0], now[1], now[2:])
    sums = now.final[2:]

    put, onto, done = f.label("put"), f.label("onto"), f.label("stored")
    places = [f.element(f.element(c, shape.element, c_rows[r]), shape.element, v * shape.lanes)
              for r in range(rows) for v in range(vectors)]
    f.branch_if(accumulate, onto, put)
    f.start(put)
    for place, x in zip(places, sums):
        f.store(x, place)
    f.branch(done)
    f.start(onto)
    for place, x in zip(places, sums):
        f.store(f.binary("fadd" if shape.element in ("float", "double") else "add", f.load(vector, place), x), place)
    f.branch(done)
    f.start(done)
