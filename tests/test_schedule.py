"""What becomes one kernel: sentences about schedules, and random graphs whose results do not depend on them."""
import itertools
import random

import numpy as np
import pytest
from algebra import cross_entropy, layer_norm_step, leaf, log_softmax, perceptron_step, relu, scalar, softmax, where
from families import agree, launch, now

from rushlight.compiler import storing
from rushlight.compiler.loops import Accumulate
from rushlight.compiler.native import threads
from rushlight.compiler.program import Output, compile_program
from rushlight.compiler.rewrites import rewrite
from rushlight.compiler.schedule import schedule
from rushlight.ir import graph
from rushlight.ir.dtypes import bfloat16, float32, float64, int64, uint8
from rushlight.ir.extents import Assumptions, Extent, symbol


def outputs(results):
    """Terms and {leaf: Term} (written in place) as Outputs."""
    found = []
    for r in results if isinstance(results, (list, tuple)) else [results]:
        found += [Output(t.node, None, number) for number, t in r.items()] if isinstance(r, dict) else [Output(r.node)]
    return found


def kernels(results, **settings):
    """The kernels of a schedule in order: what each is made of, what it reads and writes.  Memory in between is t0, t1 ..."""
    with Assumptions():
        plan = schedule(outputs(results), **settings)
    names = {}

    def text(buffers):
        found = {names.setdefault(b.number, f"t{len(names)}") if b.kind == "arena" else repr(b) for b in buffers}
        return " ".join(sorted(found))
    return [f"{step.name}: {text(step.reads)} -> {text(step.writes)}" for step in plan.steps]


# ---------------------------------------------------------------------------------------------------------------------
# Rows

def test_a_softmax_is_one_kernel():
    assert kernels(softmax(leaf(0, (64, 100)))) == ["reduce.max+reduce.sum+div: leaf0 -> target0"]


def test_what_alternates_between_parts_is_written_by_one_kernel_before_it_is_read():
    """Stacks within a stack: each part goes to its own places of one memory, and what reads them reads neighbours."""
    x = graph.leaf(0, (4, 5, 6), float32)
    a = [graph.elementwise(name, x) for name in ("exp", "neg", "abs", "floor")]
    column = [graph.reshape(n, (4, 5, 1, 6, 1)) for n in a]
    rows = [graph.cat(column[i:i + 2], 4) for i in (0, 2)]
    image = graph.reshape(graph.cat(rows, 2), (4, 10, 12))
    root = graph.elementwise("sqrt", image)
    with Assumptions():
        plan = schedule([Output(root)])
    assert [step.name for step in plan.steps] == ["cat", "sqrt"]
    assert [b.shape for b in plan.steps[0].writes] == [(4, 5, 2, 6, 2)] * 4
    values = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32) + 1
    result, = launch(compile_program([Output(root)]), [root], [values])
    agree([root], [result], [values])


def test_a_softmax_keeps_its_exponentials_in_scratch():
    with Assumptions():
        step, = schedule(outputs(softmax(leaf(0, (64, 100))))).steps
    assert [row.shape for row in step.nest.scratch] == [(128,)]  # the last vectors of a row may be written whole
    assert sum(e.op == "exp" for e in step.nest.expressions()) == 1


def test_what_is_cheap_is_computed_again_and_not_kept_in_scratch():
    x = leaf(0, (64, 100))
    with Assumptions():
        step, = schedule(outputs(x - x.mean(-1, keep=True))).steps
    assert step.nest.scratch == []


def test_the_gradient_of_a_softmax_joins_it():
    x, g = leaf(0, (64, 100)), leaf(1, (64, 100))
    y = softmax(x)
    assert kernels([y, y * (g - (y * g).sum(-1, keep=True))]) == ["reduce.max+reduce.sum+div+mul: leaf0 leaf1 -> target0 target1"]


def test_a_log_softmax_and_its_gradient_are_one_kernel():
    x, g = leaf(0, (64, 100)), leaf(1, (64, 100))
    y = log_softmax(x)
    assert len(kernels([y, g - y.apply("exp") * g.sum(-1, keep=True)])) == 1


def test_a_cross_entropy_with_its_gradient_is_one_kernel_and_one_for_the_mean():
    loss, gradient = cross_entropy(leaf(0, (64, 10)), leaf(1, (64,), int64))
    assert kernels([loss, gradient]) == ["reduce.max+reduce.sum+sub: leaf0 leaf1 -> t0 target1", "reduce.sum+neg: t0 -> target0"]


def test_a_layer_norm_with_its_gradients_reads_the_input_once_and_writes_one_matrix():
    assert kernels(layer_norm_step(4096, 768)) == [
        "reduce.sum+mul+partial.sum: leaf0 leaf1 leaf2 -> t0 t1 t2 target1",
        "reduce.sum+div: t0 -> target0",
        "reduce.sum: t1 t2 -> target2 target3"]


def test_rows_are_added_up_where_they_are_reduced_whichever_is_asked_for_first():
    x = leaf(0, (2, 500, 30))
    e = x.apply("exp")
    for asked in ([e.sum(-1), e.sum((0, 1))], [e.sum((0, 1)), e.sum(-1)]):
        assert len(kernels(asked)) == 2
        check(asked)
    few = leaf(0, (500, 30)).apply("exp")
    assert len(kernels([few.sum(1), few.sum(0)])) == 3  # blocks of rows would be too few tasks


def test_rows_that_no_single_loop_walks_are_added_up_apart():
    x = leaf(0, (5, 9, 200, 30)).permute(1, 0, 2, 3)
    y = x * x.mean(-1, keep=True)
    check([y, y.sum((0, 1, 2))])


def test_what_is_reduced_twice_is_reduced_once():
    x = leaf(0, (64, 100))
    with Assumptions():
        step, = schedule(outputs([x.sum(-1), x.sum(-1)])).steps
    assert sum(isinstance(s, Accumulate) for s, _ in step.nest.statements()) == 1


def test_a_sum_of_other_data_joins_the_rows_that_need_it():
    x, g = leaf(0, (64, 100)), leaf(1, (64, 100))
    assert kernels(x - x.mean(-1, keep=True) * g.sum(-1, keep=True)) == ["reduce.sum+sub: leaf0 leaf1 -> target0"]


def test_statistics_with_a_dimension_of_one_are_written_by_the_kernel_that_makes_them():
    x = leaf(0, (64, 100))
    mean = x.mean(-1, keep=True)
    assert kernels([mean, x - mean]) == ["reduce.sum+div+sub: leaf0 -> target0 target1"]


def test_a_sum_over_everything_is_made_row_by_row():
    root, = rewrite([leaf(0, (50, 300)).sum((0, 1)).node])
    assert (root.shape, root.inputs[0].primitive, root.inputs[0].shape) == ((), "reduce.sum", (50,))
    root, = rewrite([leaf(0, (50, 30)).sum((0, 1)).node])  # short rows are taken as one run
    assert root.inputs[0].primitive == "leaf"


# ---------------------------------------------------------------------------------------------------------------------
# Matrix products

def test_bias_and_relu_join_the_product():
    x, w, b = leaf(0, (64, 30)), leaf(1, (50, 30)), leaf(2, (50,))
    assert kernels(relu(x @ w.t() + b)) == ["contraction+where: leaf0 leaf1 leaf2 -> target0"]


def test_a_product_may_give_several_results_of_its_shape():
    x, w, r = leaf(0, (64, 30)), leaf(1, (50, 30)), leaf(2, (64, 50))
    y = x @ w.t()
    assert kernels([y, y + r, (y * r).cast(bfloat16)]) == ["contraction+add+cast: leaf0 leaf1 leaf2 -> target0 target1 target2"]


def test_what_is_added_in_another_view_joins_the_product():
    x, w, r = leaf(0, (4, 16, 30)), leaf(1, (30, 50)), leaf(2, (4, 16, 50))
    assert kernels((x.reshape(64, 30) @ w).reshape(4, 16, 50) + r) == ["contraction+add: leaf0 leaf1 leaf2 -> target0"]


def test_operands_are_read_through_views():
    x = leaf(0, (4, 16, 96))
    q, k = (x.cut(2, start, 32).reshape(4, 16, 2, 16).permute(0, 2, 1, 3) for start in (0, 32))
    assert kernels(q @ k.t()) == ["contraction: leaf0 -> target0"]


def test_an_operand_made_of_little_arithmetic_is_computed_as_it_is_read():
    x, w = leaf(0, (300, 400), uint8), leaf(1, (30, 400))
    assert kernels((x.cast(float32) * 0.1) @ w.t()) == ["contraction of cast+mul: leaf0 leaf1 -> target0"]


@pytest.mark.parametrize("why, operand", [
    ("it is small", leaf(0, (30, 40)) * 2.0),
    ("it is dear", leaf(0, (300, 400)).apply("exp")),
    ("others read it", leaf(0, (300, 400)) * 2.0)])
def test_other_operands_are_written_down_first(why, operand):
    results = [operand @ leaf(1, (operand.shape[1], 30)), *([operand] if why == "others read it" else [])]
    assert len(kernels(results)) == 2


def test_a_transposed_product_is_made_transposed():
    root, = rewrite([(leaf(0, (30, 40)) @ leaf(1, (40, 50))).t().node])
    assert (root.primitive, root.shape) == ("contraction", (50, 30))
    product = leaf(0, (30, 40)) @ leaf(1, (40, 50))
    assert [n.primitive for n in rewrite([product.node, product.t().node])] == ["contraction", "permute"]  # but not twice


def test_a_product_does_not_wait_for_what_waits_for_it():
    x, w = leaf(0, (64, 64)), leaf(1, (64, 64))
    y = x @ w
    assert kernels(y + (y @ w)) == ["contraction: leaf0 leaf1 -> t0", "contraction+add: leaf1 t0 -> target0"]


def test_a_training_step_of_two_layers_is_nine_kernels():
    loss, gradients, new = perceptron_step(64, 30, 50, 10)
    assert kernels([loss, *gradients, new]) == [
        "contraction+where: leaf0 leaf2 leaf3 -> t0",
        "contraction: leaf4 t0 -> t1",
        "reduce.max+reduce.sum+sub: leaf1 leaf5 t1 -> t2 t3",
        "reduce.sum+neg: t3 -> target0",
        "contraction+where: leaf4 t0 t2 -> t4",
        "contraction+add+sub: leaf0 leaf2 leaf6 t4 -> target1 target5 target6",
        "reduce.sum+add+sub: leaf3 leaf7 t4 -> target2 target7 target8",
        "contraction+add+sub: leaf4 leaf8 t0 t2 -> target10 target3 target9",
        "reduce.sum+add+sub: leaf5 leaf9 t2 -> target11 target12 target4"]


def test_a_large_parameter_is_updated_apart_from_the_product_that_is_its_gradient():
    def step(n):
        g = leaf(0, (30, n)).t() @ leaf(1, (30, n))
        p, m = leaf(2, (n, n)), leaf(3, (n, n))
        moving = m * 0.9 + g
        return [g, {3: moving, 2: p - scalar(0) * moving}]
    assert [k.split(":")[0] for k in kernels(step(50))] == ["contraction+add+sub"]
    assert [k.split(":")[0] for k in kernels(step(2000))] == ["contraction", "add+sub"]


def test_extents_known_to_be_equal_are_one():
    n, m = symbol(0, 64), symbol(1, 64)
    with Assumptions() as known:
        known.add("==", n - m)
        plan = schedule(outputs(leaf(0, (n, 30)).sum(1) + leaf(1, (m, 30)).sum(1)))
    assert [step.name for step in plan.steps] == ["reduce.sum+add"]


# ---------------------------------------------------------------------------------------------------------------------
# Element-wise work

def test_an_update_of_a_parameter_is_one_kernel():
    p, m, v, g = (leaf(i, (30, 40)) for i in range(4))
    m2, v2 = m * 0.9 + g * 0.1, v * 0.99 + g * g * 0.01
    new = {1: m2, 2: v2, 0: p - scalar(0) * m2 / (v2.apply("sqrt") + 1e-8)}
    assert kernels(new) == ["add+sub: leaf0 leaf1 leaf2 leaf3 -> target0 target1 target2"]


def test_a_value_used_twice_at_each_of_many_steps_does_not_grow_without_bound():
    x = leaf(0, (1000,))
    for _ in range(120):
        x = x.apply("tanh") * x
    assert 2 <= len(kernels(x)) <= 8


def test_what_is_dear_and_used_by_several_kernels_is_stored_once():
    x = leaf(0, (100, 50))
    dear = x.apply("sin").apply("exp").apply("sin")
    assert kernels([dear.sum(1), dear.sum(0)]) == ["sin+reduce.sum: leaf0 -> t0 target0", "reduce.sum: t0 -> target1"]
    cheap = x.apply("exp")
    assert kernels([cheap.sum(1), cheap.sum(0)]) == ["reduce.sum: leaf0 -> target0", "reduce.sum: leaf0 -> target1"]


def test_without_fusion_every_operation_is_a_kernel():
    x = leaf(0, (64, 100))
    assert [k.split(":")[0] for k in kernels((x * 2.0).apply("exp").sum(1), fuse=False)] == ["mul", "exp", "reduce.sum"]


# ---------------------------------------------------------------------------------------------------------------------
# The results are the same

def arrays_for(roots, integers, seed):
    """An array for each leaf; targets of a cross entropy are small."""
    random_numbers = np.random.default_rng(seed)
    found = {}
    for node in graph.topological(roots):
        if node.primitive == "leaf":
            shape = now(tuple(node.shape), integers)
            numbers = random_numbers.integers(0, 2, shape) if node.dtype.kind == "i" else random_numbers.normal(size=shape)
            found[node.attributes[0]] = numbers.astype(node.dtype.numpy)
    return [found.get(i, np.zeros(1, np.float32)) for i in range(max(found, default=-1) + 1)]


def check(results, integers=(), scalars=(), seed=0):
    """Compile with and without fusion, run on one thread and on two: the same bits, and what the reference interpreter says."""
    roots = [o.node for o in outputs(results)]
    leaves = arrays_for(roots, integers, seed)
    seen = []
    for fuse in (True, False):
        with Assumptions((), integers or None):
            program = compile_program([Output(r) for r in roots], fuse=fuse)
        for count in (1, 2):
            threads.set_num_threads(count)
            seen.append(launch(program, roots, leaves, scalars, integers))
    for other in seen[1:]:
        for root, a, b in zip(roots, seen[0], other):
            np.testing.assert_array_equal(a.view(f"u{a.itemsize}"), b.view(f"u{b.itemsize}"), err_msg=repr(root))
    agree(roots, seen[0], leaves, scalars, integers)


@pytest.fixture(autouse=True)
def restore_threads():
    count = threads.get_num_threads()
    yield
    threads.set_num_threads(count)


@pytest.mark.parametrize("n, m", [(1, 1), (5, 7), (3, 300), (600, 33)])
def test_layer_norms(n, m):
    check(layer_norm_step(n, m))
    check(layer_norm_step(*map(symbols(n, m), range(2))), (n, m))


@pytest.mark.parametrize("n, m", [(1, 1), (5, 7), (3, 300), (600, 33)])
def test_cross_entropies(n, m):
    check(cross_entropy(leaf(0, (n, m)), leaf(1, (n,), int64)))


@pytest.mark.parametrize("extents", [(1, 1, 1, 1), (2, 3, 1, 5), (5, 7, 9, 3), (300, 64, 70, 10)])
def test_training_steps(extents):
    loss, gradients, new = perceptron_step(*extents)
    check([loss, *gradients, *new.values()], scalars=(0.1,))
    loss, gradients, new = perceptron_step(*map(symbols(*extents), range(4)))
    check([loss, *gradients, *new.values()], extents, scalars=(0.1,))


def symbols(*values):
    """A function of a number that gives the extent: an int for 0 and 1, which never have names."""
    return lambda i: symbol(i, values[i]) if values[i] > 1 else values[i]


class RandomGraph:
    """A pool of terms that grows by random operations on random members."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.integers = self.random.choice([(2, 3, 5, 7), (3, 17, 4, 33), (2, 64, 16, 48), (5, 1, 3, 1), (1, 1, 1, 1), (4, 2, 300, 2)])
        self.dtype = self.random.choice([float32, float32, float64])
        named = self.random.random() < 0.6
        b, m, k, n = map(symbols(*self.integers), range(4)) if named else self.integers
        shapes = self.random.sample([(m, k), (k, n), (m, n), (b, m, k), (b, k, n), (n,), (b, m, n), (m,), (1, n)], 4)
        self.pool = [leaf(i, s, self.dtype) for i, s in enumerate(shapes)]

    def grow(self, steps):
        rules = [self.unary, self.binary, self.reduction, self.product, self.permutation, self.view, self.part, self.binary, self.product]
        for _ in range(steps):
            made = self.random.choice(rules)(self.random.choice(self.pool))
            if made is not None:
                self.pool.append(made)
        made = self.pool[4:] or [self.pool[0] + 1.0]
        return self.random.sample(made, min(3, len(made)))

    def unary(self, x):
        return self.random.choice([lambda: -x, lambda: (x * 0.1).apply("tanh").apply("exp"), lambda: x.apply("abs"), lambda: relu(x),
                                   lambda: x * x * 0.25, lambda: softmax(x) if x.node.ndim else None,
                                   lambda: x.apply("sin").apply("cos").apply("erf")])()

    def binary(self, x):
        y = self.random.choice([y for y in self.pool if self.fits(x, y)])
        return self.random.choice([lambda: x + y, lambda: x - y, lambda: x * y * 0.5, lambda: where(x > y, x, y)])()

    def fits(self, x, y):
        return all(same(a, b) or same(a, 1) or same(b, 1) for a, b in zip(reversed(x.shape), reversed(y.shape)))

    def reduction(self, x):
        if x.node.ndim:
            axes = self.random.sample(range(x.node.ndim), self.random.randint(1, x.node.ndim))
            return x.reduce(self.random.choice(["sum", "max"]), axes, keep=self.random.random() < 0.5)

    def product(self, _):
        pairs = [(x, y) for x in self.pool for y in self.pool if x.node.ndim >= 2 and y.node.ndim >= 2 and same(x.shape[-1], y.shape[-2])
                 and (y.node.ndim == 2 or (x.node.ndim == y.node.ndim and same(x.shape[0], y.shape[0])))]
        if not pairs:
            return None
        x, y = self.random.choice(pairs)
        if x.node.ndim == y.node.ndim:
            return x @ y
        return (x.reshape(x.shape[0] * x.shape[1], x.shape[2]) @ y).reshape(x.shape[0], x.shape[1], y.shape[1]) * 0.2

    def permutation(self, x):
        return x.permute(*self.random.sample(range(x.node.ndim), x.node.ndim)) if x.node.ndim > 1 else None

    def view(self, x):
        return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:]) if x.node.ndim > 1 else None

    def part(self, x):
        axis = self.random.randrange(x.node.ndim) if x.node.ndim else None
        if axis is not None and not same(x.shape[axis], 1):
            return x.cut(axis, 1, x.shape[axis] - 1)


def same(a, b):
    """Whether two extents are the same text; comparing them would decide something."""
    return (a.terms if isinstance(a, Extent) else a) == (b.terms if isinstance(b, Extent) else b)


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs(seed, monkeypatch):
    monkeypatch.setattr(storing, "LEAST_PROLOGUE", [65536, 1][seed % 2])
    graph_of = RandomGraph(seed)
    with Assumptions((), graph_of.integers):
        results = graph_of.grow(graph_of.random.randint(3, 14))
    check(results, graph_of.integers)


def test_what_goes_back_to_the_parts_of_a_tensor_is_put_together():
    """Zeros beside each part, added up: every part is written where it belongs, and -0 + 0 is 0."""
    def beside(x, before, after):
        return graph.pad(x, ((0, 0), (before, after)))
    parts = [graph.leaf(i, (4, n), float32) for i, n in enumerate((2, 3, 1))]
    padded = [beside(x, *widths) for x, widths in zip(parts, ((0, 4), (2, 1), (5, 0)))]
    for order in itertools.permutations(range(3)):  # neighbours or not
        a, b, c = (padded[i] for i in order)
        root = graph.elementwise("add", graph.elementwise("add", a, b), c)
        assert rewrite([root])[0].primitive == "cat"
        values = [np.full(x.shape, -0.0, np.float32) for x in parts]
        values[1][:] = np.arange(12.0).reshape(4, 3)
        result, = launch(compile_program([Output(root)]), [root], values)
        assert result.tobytes() == np.pad(np.arange(12, dtype=np.float32).reshape(4, 3), ((0, 0), (2, 1))).tobytes()
    overlapping = graph.elementwise("add", beside(parts[0], 0, 3), beside(parts[1], 1, 1))
    ones = graph.elementwise("add", graph.pad(parts[0], ((0, 0), (0, 3)), 1), graph.pad(parts[1], ((0, 0), (2, 0)), 1))
    apart = graph.elementwise("add", overlapping, beside(parts[2], 4, 0))  # in between, but two of them share a column
    assert all(rewrite([root])[0].primitive == "add" for root in (overlapping, ones, apart))


def test_a_dimension_that_every_term_has_is_no_part_of_an_equality():
    rows, features, heads, width = (symbol(i, n) for i, n in enumerate((5, 12, 3, 4)))
    with Assumptions() as known:
        assert rows * features == rows * heads * width
        assert known.simplify(width * heads - features) == 0
        offset = symbol(9, 6, dimension=False)  # of which it is not known that it is not 0
        assert offset * rows == offset * 5
        assert known.simplify(rows) is rows


def test_of_several_reductions_the_one_whose_rows_lie_apart_is_stored():
    x, y = leaf(0, (64, 32, 16)), graph.permute(graph.leaf(1, (32, 64, 16), float32), (1, 0, 2))
    found = [graph.reduce("sum", n, (0, 1)) for n in (graph.elementwise("mul", x.node, x.node), graph.elementwise("add", x.node, y))]
    given = [np.random.default_rng(0).random(s).astype(np.float32) for s in ((64, 32, 16), (32, 64, 16))]
    with Assumptions():
        results = launch(compile_program([Output(n) for n in found]), found, given)
    np.testing.assert_allclose(results[0], (given[0] ** 2).sum((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(results[1], (given[0] + given[1].transpose(1, 0, 2)).sum((0, 1)), rtol=1e-5)


def test_what_is_sent_back_to_rows_read_in_turn_is_written_once():
    """A scan written as a loop over rows: the gradient of each row stands alone among zeros, and twice where a row is read twice."""
    import rushlight as torch
    x = torch.randn(3, 9, 5, requires_grad=True)
    h, expected, states = torch.zeros(3, 5), np.zeros((3, 9, 5), np.float64), [np.zeros((3, 5))]
    for t in range(7):
        h = x[:, t] * h + x[:, t] * x[:, t]
    text = torch.explain(torch.autograd.grad(h.sum(), x, retain_graph=True)[0])
    assert " cat: " in text
    values = x.detach().numpy().astype(np.float64)
    for t in range(7):
        states.append(values[:, t] * states[-1] + values[:, t] ** 2)
    back = np.ones((3, 5))
    for t in reversed(range(7)):
        expected[:, t] = back * (states[t] + 2 * values[:, t])
        back = back * values[:, t]
    np.testing.assert_allclose(torch.autograd.grad(h.sum(), x)[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_what_many_read_at_other_places_is_written_down_first():
    """A game of life: each turn reads the one before it at nine places, which reads the one before it at nine places ..."""
    import rushlight as torch
    board = (torch.arange(96 * 96).view(96, 96) % 7 < 3).int()
    expected = board.numpy().copy()
    for _ in range(6):
        neighbours = sum(torch.roll(board, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))
        board = ((neighbours == 3) | ((board == 1) & (neighbours == 2))).int()
        neighbours = sum(np.roll(expected, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))
        expected = ((neighbours == 3) | ((expected == 1) & (neighbours == 2))).astype(np.int32)
    assert (board.numpy() == expected).all()
    x = graph.leaf(0, (512, 512), float32)
    y = graph.elementwise("tanh", graph.elementwise("exp", graph.elementwise("add", x, x)))
    shifted = [graph.slice(y, (i, 0), (510, 512)) for i in range(3)]
    total = graph.elementwise("add", graph.elementwise("add", *shifted[:2]), shifted[2])
    halves = graph.elementwise("add", graph.slice(y, (0, 0), (256, 512)), graph.slice(y, (256, 0), (256, 512)))
    assert [len(schedule([Output(r)]).steps) for r in (total, halves)] == [2, 1]
