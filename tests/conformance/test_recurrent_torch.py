"""Recurrent layers beside PyTorch's: every kind, what is observed of them, first and second derivatives, dtypes, packed sequences."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import rushlight

KINDS = ["RNN", "RNN relu", "GRU", "LSTM", "LSTM proj"]


def layer_of(library, kind, **settings):
    name, *more = kind.split()
    if more == ["relu"]:
        settings["nonlinearity"] = "relu"
    if more == ["proj"]:
        settings["proj_size"] = 2
    library.manual_seed(0)
    return getattr(library.nn, name)(4, 5, **settings)


def states_of(kind, shape, rng):
    """Arrays for the states to begin with, of shape (places, N, 5), or 2 where h is projected."""
    widths = {"LSTM": (5, 5), "LSTM proj": (2, 5)}.get(kind, (5,))
    return [rng.normal(size=(*shape, n)) for n in widths]


def flat(tree):
    return [x for part in tree for x in flat(part)] if isinstance(tree, (tuple, list)) else [tree]


def both(run):
    """`run(library)` in both libraries; what it returns has to agree."""
    expected, got = ([np.asarray(x.detach().double().numpy()) for x in flat(run(library))] for library in (torch, rushlight))
    assert len(expected) == len(got)
    return zip(expected, got)


def close(pairs, rtol=1e-5, atol=1e-5):
    for expected, got in pairs:
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings, shape", [
    ({}, (6, 3)), ({"num_layers": 2, "bidirectional": True, "batch_first": True}, (3, 7)), ({"bias": False, "bidirectional": True}, (1, 1)),
    ({"num_layers": 3}, (4, 37))], ids=str)
def test_outputs_last_states_and_all_gradients(kind, settings, shape):
    def run(library):
        rng = np.random.default_rng(1)
        layer = layer_of(library, kind, **settings)
        x = library.tensor(rng.normal(size=(*shape, 4)), dtype=library.float32, requires_grad=True)
        places, batch = layer.num_layers * (1 + layer.bidirectional), shape[0 if layer.batch_first else 1]
        hx = [library.tensor(s, dtype=library.float32, requires_grad=True) for s in states_of(kind, (places, batch), rng)]
        output, last = layer(x, tuple(hx) if len(hx) == 2 else hx[0])
        loss = (output * output).sum() + sum((s * s * (i + 1)).sum() for i, s in enumerate(flat(last)))
        loss.backward()
        return output, last, x.grad, [s.grad for s in hx], [p.grad for p in layer.parameters()]
    close(both(run))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seen", ["output", "h", "c"])
def test_a_gradient_from_one_result_alone(kind, seen):
    if seen == "c" and "LSTM" not in kind:
        pytest.skip("it has no c")

    def run(library):
        layer = layer_of(library, kind)
        x = library.tensor(np.random.default_rng(2).normal(size=(3, 2, 4)), dtype=library.float32, requires_grad=True)
        output, last = layer(x)
        {"output": output, "h": flat(last)[0], "c": flat(last)[-1]}[seen].exp().sum().backward()
        return x.grad, [p.grad for p in layer.parameters()]
    close(both(run))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{}, {"bidirectional": True}], ids=str)
def test_second_derivatives(kind, settings):
    if settings and kind not in ("GRU", "LSTM proj"):
        pytest.skip("one direction says enough")

    def run(library):
        layer = layer_of(library, kind, **settings).double()
        x = library.tensor(np.random.default_rng(3).normal(size=(3, 2, 4)), requires_grad=True)
        output, last = layer(x)
        loss = output.sin().sum() + sum((s * s).sum() for s in flat(last))
        first, *others = library.autograd.grad(loss, [x, *layer.parameters()], create_graph=True)
        ((first * first).sum() + sum((g * g).sum() for g in others)).backward()
        return first, x.grad, [p.grad for p in layer.parameters()]
    close(both(run), 1e-9, 1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[2, 5, 3], [4, 4, 4], [1], [6, 1, 1, 6, 2]], ids=str)
def test_packed_sequences(kind, lengths):
    def run(library):
        rng = np.random.default_rng(4)
        layer = layer_of(library, kind, num_layers=2, bidirectional=True)
        x = library.tensor(rng.normal(size=(max(lengths), len(lengths), 4)), dtype=library.float32, requires_grad=True)
        hx = [library.tensor(s, dtype=library.float32, requires_grad=True) for s in states_of(kind, (4, len(lengths)), rng)]
        rnn = library.nn.utils.rnn
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, last = layer(packed, tuple(hx) if len(hx) == 2 else hx[0])
        padded, sizes = rnn.pad_packed_sequence(output)
        ((padded * padded).sum() + sum((s * s).sum() for s in flat(last))).backward()
        return padded, sizes, last, x.grad, [s.grad for s in hx], [p.grad for p in layer.parameters()]
    close(both(run))


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("bfloat16", 0.05)])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_other_dtypes(kind, dtype, tolerance):
    def run(library):
        layer = layer_of(library, kind, num_layers=2).to(getattr(library, dtype))
        x = library.tensor(np.random.default_rng(5).normal(size=(5, 3, 4)), dtype=getattr(library, dtype), requires_grad=True)
        output, last = layer(x)
        (output * output).sum().backward()
        return output, last, x.grad, [p.grad for p in layer.parameters()]
    close(both(run), tolerance, tolerance)
