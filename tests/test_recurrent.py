"""Recurrent layers and attention against their formulas, written in NumPy."""
import numpy as np
import pytest

import rushlight as torch
from rushlight import nn


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def arrays(module):
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def lstm(x, h, c, w):
    outputs = []
    for row in x:
        i, f, g, o = np.split(row @ w["weight_ih_l0"].T + w["bias_ih_l0"] + h @ w["weight_hh_l0"].T + w["bias_hh_l0"], 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h, c


def gru(x, h, w):
    outputs = []
    for row in x:
        r, z, n = np.split(row @ w["weight_ih_l0"].T + w["bias_ih_l0"], 3, -1)
        hr, hz, hn = np.split(h @ w["weight_hh_l0"].T + w["bias_hh_l0"], 3, -1)
        n, z = np.tanh(n + sigmoid(r + hr) * hn), sigmoid(z + hz)
        h = (1 - z) * n + z * h
        outputs.append(h)
    return np.stack(outputs), h


@pytest.mark.parametrize("length", [1, 5])
def test_an_lstm_follows_its_formulas(length):
    torch.manual_seed(0)
    module, x = nn.LSTM(3, 4), normal(length, 2, 3)
    h, c = normal(1, 2, 4), normal(1, 2, 4) * 2
    output, (last_h, last_c) = module(torch.from_numpy(x), (torch.from_numpy(h), torch.from_numpy(c)))
    for got, expected in zip((output, last_h[0], last_c[0]), lstm(x, h[0], c[0], arrays(module))):
        np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_gru_follows_its_formulas_in_both_directions():
    torch.manual_seed(0)
    module, x = nn.GRU(3, 4, bidirectional=True, batch_first=True), normal(2, 5, 3)
    output, last = module(torch.from_numpy(x))
    weights, zero = arrays(module), np.zeros((2, 4), np.float32)
    forwards, end = gru(x.swapaxes(0, 1), zero, weights)
    backwards, start = gru(x.swapaxes(0, 1)[::-1], zero, {name.removesuffix("_reverse"): w for name, w in weights.items() if name.endswith("_reverse")})
    expected = np.concatenate([forwards, backwards[::-1]], -1).swapaxes(0, 1)
    np.testing.assert_allclose(output.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last.detach().numpy(), np.stack([end, start]), rtol=1e-5, atol=1e-6)


def test_cells_make_the_steps_of_the_layers():
    torch.manual_seed(0)
    layer, x = nn.RNN(3, 4), torch.from_numpy(normal(5, 2, 3))
    cell, h = nn.RNNCell(3, 4), torch.zeros(2, 4)
    cell.load_state_dict({name.removesuffix("_l0"): w for name, w in layer.state_dict().items()})
    for t in range(5):
        h = cell(x[t], h)
    np.testing.assert_allclose(layer(x)[0][-1].detach().numpy(), h.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_packed_sequence_ends_where_each_sequence_ends():
    torch.manual_seed(0)
    module, x = nn.LSTM(3, 4, bidirectional=True), normal(5, 3, 3)
    lengths = [2, 5, 3]
    packed = nn.utils.rnn.pack_padded_sequence(torch.from_numpy(x), lengths, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 3, 2, 1, 1] and packed.sorted_indices.tolist() == [1, 2, 0]
    output, (h, c) = module(packed)
    padded, sizes = nn.utils.rnn.pad_packed_sequence(output)
    assert sizes.tolist() == lengths and padded.shape == (5, 3, 8)
    for i, n in enumerate(lengths):
        alone, (alone_h, alone_c) = module(torch.from_numpy(x[:n, i]))
        np.testing.assert_allclose(padded[:n, i].detach().numpy(), alone.detach().numpy(), rtol=1e-5, atol=1e-6)
        assert not padded[n:, i].any()
        np.testing.assert_allclose(h[:, i].detach().numpy(), alone_h.detach().numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(c[:, i].detach().numpy(), alone_c.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_wrong_shapes_are_refused():
    module = nn.LSTM(3, 4)
    with pytest.raises(RuntimeError, match=r"Expected 3, got 2"):
        module(torch.zeros(5, 2, 2))
    with pytest.raises(RuntimeError, match=r"Expected hidden size \(1, 2, 4\), got \[1, 3, 4\]"):
        module(torch.zeros(5, 2, 3), (torch.zeros(1, 3, 4), torch.zeros(1, 2, 4)))


# Attention -----------------------------------------------------------------------------------------------------------

def test_two_heads_attend_each_with_its_share():
    torch.manual_seed(0)
    module, x = nn.MultiheadAttention(6, 2, batch_first=True), normal(1, 4, 6)
    out, weights = module(*[torch.from_numpy(x)] * 3, average_attn_weights=False)
    w = arrays(module)
    q, k, v = np.split(x[0] @ w["in_proj_weight"].T + w["in_proj_bias"], 3, -1)
    heads, found = [], []
    for part in (slice(0, 3), slice(3, 6)):
        scores = np.exp(q[:, part] @ k[:, part].T / np.sqrt(3))
        heads.append(scores / scores.sum(-1, keepdims=True))
        found.append(heads[-1] @ v[:, part])
    np.testing.assert_allclose(weights[0].detach().numpy(), np.stack(heads), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out[0].detach().numpy(), np.concatenate(found, -1) @ w["out_proj.weight"].T + w["out_proj.bias"], rtol=1e-4, atol=1e-5)


def test_hidden_keys_get_no_weight():
    module = nn.MultiheadAttention(4, 2)
    x = torch.from_numpy(normal(3, 2, 4))
    hidden = torch.tensor([[False, False, True], [False, True, True]])
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    _, weights = module(x, x, x, key_padding_mask=hidden, attn_mask=mask)
    assert not weights[0, :, 2].any() and not weights[1, :, 1:].any() and not weights[0, 0, 1:].any()
    np.testing.assert_allclose(weights.sum(-1).detach().numpy(), 1, rtol=1e-5)
    out, nothing = module(x, x, x, need_weights=False, attn_mask=mask, is_causal=True)
    assert nothing is None
    np.testing.assert_allclose(out.detach().numpy(), module(x, x, x, attn_mask=mask)[0].detach().numpy(), rtol=1e-4, atol=1e-5)


# Alignments ----------------------------------------------------------------------------------------------------------

def test_ctc_adds_up_all_alignments():
    """Two frames, the letter 1: the paths 11, 1- and -1."""
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], np.float32)
    loss = nn.functional.ctc_loss(torch.from_numpy(np.log(probabilities))[:, None], torch.tensor([[1]]), (2,), (1,), reduction="none")
    np.testing.assert_allclose(loss.numpy(), [-np.log(0.3 * 0.6 + 0.3 * 0.1 + 0.5 * 0.6)], rtol=1e-5)


def test_what_cannot_be_aligned_is_infinitely_unlikely():
    logs = torch.zeros(1, 1, 3).log_softmax(-1)
    assert nn.functional.ctc_loss(logs, torch.tensor([[1, 1]]), (1,), (2,)).item() == float("inf")
    assert nn.functional.ctc_loss(logs, torch.tensor([[1, 1]]), (1,), (2,), zero_infinity=True).item() == 0
