"""Attention block by block, forward and backward, against its formula in NumPy with whole matrices of scores."""
import numpy as np
import pytest

import rushlight as torch
from rushlight.compiler.native import jit
from rushlight.compiler.program import Output, compile_program
from rushlight.ir import dtypes, graph, reference
from rushlight.nn import functional as F

TOLERANCE = {"float32": 5e-6, "float64": 1e-13, "bfloat16": 2e-2, "float16": 2e-3}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def close(actual, expected, dtype):
    """Equal but for rounding, measured by the largest number; NaN and infinities in the same places."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1e-3)
    np.testing.assert_allclose(actual, expected, rtol=TOLERANCE[dtype.name], atol=TOLERANCE[dtype.name] * largest)


# ---------------------------------------------------------------------------------------------------------------------
# The primitives

def nodes(batch, queries, keys, width, depth, causal, mask, dtype):
    """Leaves (query, key, value, scale, gradient of the result, mask) and all that is made of them: result, log-sum-exp, three gradients."""
    wide = graph.sums_dtype(dtype)
    shapes = [(*batch, queries, width), (*batch, keys, width), (*batch, keys, depth), (1, 1), (*batch, queries, depth)]
    q, k, v, s, g = (graph.leaf(i, shape, wide if i == 3 else dtype) for i, shape in enumerate(shapes))
    m = None
    if mask is not None:
        m = graph.leaf(5, mask.shape, dtypes.bool_ if mask.dtype == bool else dtype)
        m = graph.expand(graph.reshape(m, (1,) * (len(batch) + 2 - mask.ndim) + mask.shape), (*batch, queries, keys))
    result = graph.attention(q, k, v, s, m, causal, graph.row_major(shapes[4]))
    log_sum = graph.attention_log_sum(q, k, v, s, m, causal)
    gradients = [graph.attention_gradient(name, g, q, k, v, s, log_sum, result, m, causal, graph.row_major(x.shape))
                 for name, x in (("query", q), ("key", k), ("value", v))]
    return [result, log_sum, *gradients], shapes


MASK = normal(50, 60, seed=7)
HIDDEN = MASK > 0.3
HIDDEN[3] = False  # a query that sees nothing
CASES = [
    ((2, 3), 5, 4, 8, 8, False, None, "float32"), ((1,), 1, 1, 1, 1, True, None, "float32"), ((), 70, 131, 17, 5, False, None, "float32"),
    ((2,), 130, 130, 33, 20, True, None, "float32"), ((9,), 140, 67, 16, 16, True, None, "float32"), ((9,), 67, 140, 16, 80, True, None, "float32"),
    ((1, 2), 300, 530, 8, 8, False, None, "float32"), ((1,), 530, 300, 8, 8, True, None, "float32"), ((2,), 1, 200, 64, 64, False, None, "float32"),
    ((2,), 50, 60, 16, 16, False, HIDDEN, "float32"), ((2,), 50, 60, 16, 16, False, np.where(HIDDEN, MASK, -np.inf), "float32"),
    ((2,), 50, 60, 16, 16, False, MASK[:1], "float32"), ((2,), 50, 60, 16, 16, False, MASK[None, :, :1], "float32"),
    ((2,), 70, 70, 9, 9, True, None, "float64"), ((2,), 50, 60, 9, 9, False, HIDDEN, "float64"), ((2,), 70, 70, 9, 9, True, None, "bfloat16"),
    ((2,), 50, 60, 9, 9, False, np.where(HIDDEN, 0, -np.inf), "float16"), ((2,), 5, 0, 4, 4, False, None, "float32"),
    ((2,), 0, 5, 4, 4, False, None, "float32"), ((2,), 5, 6, 0, 4, False, None, "float32"), ((2,), 5, 6, 4, 0, False, None, "float32"),
    ((0,), 5, 6, 4, 4, False, None, "float32"),
]


@pytest.mark.parametrize("batch, queries, keys, width, depth, causal, mask, dtype", CASES)
def test_blocks_give_what_whole_matrices_give(batch, queries, keys, width, depth, causal, mask, dtype):
    dtype = getattr(dtypes, dtype)
    roots, shapes = nodes(batch, queries, keys, width, depth, causal, mask, dtype)
    arrays = [normal(*shape, seed=i).astype(dtype.numpy) for i, shape in enumerate(shapes)]
    arrays[3] = np.full((1, 1), 0.3, graph.sums_dtype(dtype).numpy)
    if mask is not None:
        arrays.append(mask if mask.dtype == bool else mask.astype(dtype.numpy))
    results = [np.full(n.shape, 7, n.dtype.numpy) for n in roots]
    compile_program([Output(n) for n in roots]).run([a.ctypes.data for a in arrays], [r.ctypes.data for r in results], [], ())
    for result, expected, node in zip(results, reference.evaluate(roots, arrays), roots):
        close(result, expected, dtype if node is not roots[1] else graph.sums_dtype(dtype))


def test_forward_is_one_kernel_and_so_is_backward():
    roots, _ = nodes((2, 2), 20, 20, 8, 8, True, None, dtypes.float32)
    steps = [s.name for s in compile_program([Output(n) for n in roots]).plan.steps]
    assert steps == ["attention: log_sum", "attention_gradient: query, key, value"]


def test_the_meaning_is_the_softmax_of_the_scores():
    roots, shapes = nodes((2,), 4, 6, 3, 2, False, None, dtypes.float64)
    q, k, v, s, g = arrays = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    scores = np.exp(q @ np.swapaxes(k, 1, 2) * s[0, 0])
    weights = scores / scores.sum(-1, keepdims=True)
    result, log_sum, _, _, dv = reference.evaluate(roots, arrays)
    np.testing.assert_allclose(result, weights @ v, rtol=1e-13)
    np.testing.assert_allclose(log_sum[..., 0], np.log(scores.sum(-1)), rtol=1e-12)
    np.testing.assert_allclose(dv, np.swapaxes(weights, 1, 2) @ g, rtol=1e-13)


# ---------------------------------------------------------------------------------------------------------------------
# The function

def by_the_formula(q, k, v, mask=None, causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = scores + (np.where(mask, 0, -np.inf) if mask.dtype == bool else mask)
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    most = scores.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(most == -np.inf, 0, most))
    total = e.sum(-1, keepdims=True)
    return np.where(total == 0, 0, e / np.where(total == 0, 1, total)) @ v


@pytest.mark.parametrize("q, k, v, options", [
    ((5, 4), (6, 4), (6, 3), {}), ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 3), {"scale": -0.7}), ((2, 3, 5, 4), (3, 6, 4), (1, 1, 6, 3), {}),
    ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 3), {"attn_mask": normal(5, 6) > 0}), ((2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 3), {"attn_mask": normal(2, 1, 1, 6)}),
    ((1, 2, 2, 7, 4), (1, 2, 2, 7, 4), (1, 2, 2, 7, 4), {"is_causal": True}), ((2, 7, 4), (2, 3, 4), (2, 3, 4), {"is_causal": True})])
def test_shapes_broadcast_as_they_do_in_the_formula(q, k, v, options):
    q, k, v = (normal(*s, seed=i) for i, s in enumerate((q, k, v)))
    mask = options.get("attn_mask")
    given = {**options, "attn_mask": None if mask is None else torch.from_numpy(mask)}
    out = F.scaled_dot_product_attention(*map(torch.from_numpy, (q, k, v)), **given)
    close(out.numpy(), by_the_formula(q, k, v, mask, options.get("is_causal", False), options.get("scale")), dtypes.float64)


def test_a_query_that_sees_nothing_gets_zeros_and_gives_none_back():
    q, k, v = (torch.from_numpy(normal(3, 4, seed=i)).requires_grad_() for i in range(3))
    for mask in (torch.tensor([[True], [False], [True]]), torch.tensor([[0.0], [-torch.inf], [0.0]], dtype=torch.float64)):
        out = F.scaled_dot_product_attention(q, k, v, mask.expand(3, 3))
        gradient, = torch.autograd.grad(out.sum(), q)
        assert out[1].tolist() == gradient[1].tolist() == [0.0] * 4
        assert out[0].abs().sum().item() > 0 and gradient.isfinite().all().item()


def test_nan_and_infinite_scores_make_their_own_row_nan():
    q = normal(3, 2)
    k = normal(70, 2, seed=1)
    q[1, 0] = np.nan
    out = F.scaled_dot_product_attention(torch.from_numpy(q), torch.from_numpy(k), torch.from_numpy(k)).numpy()
    assert np.isnan(out).all(1).tolist() == [False, True, False]
    hot = np.full((3, 70), 0.0)
    hot[2, 69] = np.inf
    out = F.scaled_dot_product_attention(torch.from_numpy(normal(3, 2)), torch.from_numpy(k), torch.from_numpy(k), torch.from_numpy(hot)).numpy()
    assert np.isnan(out).all(1).tolist() == [False, False, True]


def test_large_scores_do_not_overflow():
    q = torch.tensor([[3e4, -3e4]])
    k = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    out = F.scaled_dot_product_attention(q, k, torch.tensor([[1.0], [2.0], [3.0]]))
    assert out.tolist() == [[1.0]]


def test_heads_that_share_keys_and_values():
    q, k, v = normal(2, 6, 5, 4), normal(2, 3, 7, 4, seed=1), normal(2, 3, 7, 4, seed=2)
    mask = normal(6, 5, 7, seed=3)
    tensors = [torch.from_numpy(x).requires_grad_() for x in (q, k, v)]
    out = F.scaled_dot_product_attention(*tensors, torch.from_numpy(mask), enable_gqa=True)
    close(out.detach().numpy(), by_the_formula(q, k.repeat(2, 1), v.repeat(2, 1), mask), dtypes.float64)
    repeated = [tensors[0], *(t.repeat_interleave(2, 1) for t in tensors[1:])]
    same = F.scaled_dot_product_attention(*repeated, torch.from_numpy(mask))
    for a, b in zip(torch.autograd.grad(out.square().sum(), tensors), torch.autograd.grad(same.square().sum(), tensors)):
        close(a.numpy(), b.numpy(), dtypes.float64)
    with pytest.raises(RuntimeError, match=r"heads of key and value have to divide those of query: shapes \(2, 6, 5, 4\) and \(2, 4, 7, 4\)"):
        F.scaled_dot_product_attention(tensors[0], torch.zeros(2, 4, 7, 4, dtype=torch.float64), torch.zeros(2, 4, 7, 4, dtype=torch.float64), enable_gqa=True)


def test_the_result_lies_in_memory_as_the_query_does():
    x = torch.zeros(2, 5, 3, 4).transpose(1, 2)
    assert F.scaled_dot_product_attention(x, x, x).stride() == (60, 4, 12, 1)
    assert F.scaled_dot_product_attention(x.contiguous(), x, x).stride() == (60, 20, 4, 1)


def test_gradients_and_their_gradients():
    q, k, v, m = (torch.from_numpy(normal(*s, seed=i)).requires_grad_() for i, s in enumerate(((2, 3, 2), (2, 4, 2), (2, 4, 3), (3, 4))))

    def causal(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    for function, inputs in ((F.scaled_dot_product_attention, (q, k, v, m)), (causal, (q, k, v))):
        assert torch.autograd.gradcheck(function, inputs) and torch.autograd.gradgradcheck(function, inputs)


def test_dropout_leaves_the_mean_where_it_was():
    torch.manual_seed(0)
    q, k, v = (torch.from_numpy(normal(1, 64, 8, seed=i)) for i in range(3))
    plain = F.scaled_dot_product_attention(q, k, v)
    many = torch.stack([F.scaled_dot_product_attention(q, k, v, dropout_p=0.5) for _ in range(50)])
    assert (many[0] - plain).abs().max().item() > 0.05
    assert (many.mean(0) - plain).abs().mean().item() < 0.05


def test_what_does_not_fit_is_said_by_the_call():
    x = torch.zeros(2, 3, 4)
    with pytest.raises(RuntimeError, match="same dtype"):
        F.scaled_dot_product_attention(x, x.double(), x)
    with pytest.raises(RuntimeError, match="at least 2 dimensional"):
        F.scaled_dot_product_attention(x[0, 0], x, x)
    with pytest.raises(RuntimeError, match="should not be set when is_causal=True"):
        F.scaled_dot_product_attention(x, x, x, x, is_causal=True)
    with pytest.raises(RuntimeError, match=r"query \(2, 3, 4\) and key \(2, 3, 5\) must have as many features"):
        F.scaled_dot_product_attention(x, torch.zeros(2, 3, 5), x)
    with pytest.raises(RuntimeError, match="do not broadcast"):
        F.scaled_dot_product_attention(x, x, x, torch.zeros(3, 5))


# ---------------------------------------------------------------------------------------------------------------------
# How it runs

def step(rows, length, width):
    """The result and the gradients of causal attention over views of one tensor, as a transformer has them."""
    x = torch.from_numpy(normal(rows, length, 3 * 2 * width).astype(np.float32)).requires_grad_()
    q, k, v = (t.view(rows, length, 2, width).transpose(1, 2) for t in x.split(2 * width, 2))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    out.square().sum().backward()
    return out.detach().numpy(), x.grad.numpy()


def test_the_same_bits_with_one_thread_and_with_two():
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            seen.append([x.tobytes() for rows in (1, 5) for x in step(rows, 300, 12)])
    finally:
        torch.set_num_threads(before)
    assert seen[0] == seen[1]


def test_backward_has_the_same_bits_whether_or_not_keys_and_queries_are_tasks_of_their_own():
    few, many = step(1, 290, 8), step(5, 290, 8)  # the same numbers, and more behind them
    assert [x.tobytes() for x in few] == [x[:1].tobytes() for x in many]


def test_new_sizes_compile_nothing(monkeypatch):
    for rows, length, width in ((4, 9, 16), (5, 70, 8), (6, 150, 12)):
        step(rows, length, width)
    made = []
    monkeypatch.setattr(jit, "compile", lambda *args, **named: made.append(args))
    monkeypatch.setattr(jit, "recall", lambda *args: made.append(args))
    step(7, 33, 20)
    assert made == []


def test_a_growing_cache_compiles_nothing(monkeypatch):
    def generate(steps, k, v):
        for i in range(steps):
            q, new = (torch.full((1, 2, 1, 8), float(i + n)) for n in (1, 2))
            k, v = torch.cat([k, new], 2), torch.cat([v, new], 2)
            out = F.scaled_dot_product_attention(q, k, v)
            assert out.shape == (1, 2, 1, 8) and out.isfinite().all().item()
        return k, v
    k, v = generate(4, torch.zeros(1, 2, 3, 8), torch.zeros(1, 2, 3, 8))
    made = []
    monkeypatch.setattr(jit, "compile", lambda *args, **named: made.append(args))
    monkeypatch.setattr(jit, "recall", lambda *args: made.append(args))
    generate(70, k, v)
    assert made == []


def test_heads_whose_size_was_left_to_be_inferred():
    """view(..., -1) of a part of a split: an extent that is a quotient, which nobody can simplify."""
    batch, length, width, heads = 4, 16, 32, 4
    torch.manual_seed(0)
    x, w = torch.randn(batch, length, width), torch.randn(3 * width, width)

    def total(size):
        weight = w.clone().requires_grad_()
        q, k, v = (t.view(batch, length, heads, size).transpose(1, 2) for t in F.linear(x, weight).split(width, -1))
        result = F.scaled_dot_product_attention(q * 2, k, v).sum()
        result.backward()
        return result.detach(), weight.grad
    for inferred, given in zip(total(-1), total(width // heads)):
        torch.testing.assert_close(inferred, given)
