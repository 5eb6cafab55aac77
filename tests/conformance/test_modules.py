"""Every layer of nn against PyTorch's: initial weights from one seed, repr, state_dict keys, outputs and gradients.

A case is the constructor as text, and the arguments of a call: shapes of float inputs, or arrays.  It is evaluated once with each library.
"""
import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import rushlight

LONG = np.int64


def indices(shape, high, seed=3):
    return np.random.default_rng(seed).integers(0, high, shape).astype(LONG)


def signs(*shape):
    return np.where(np.random.default_rng(5).random(shape) < 0.5, -1.0, 1.0).astype(np.float32)


CASES = [
    ("Conv1d(3, 4, 3, padding=1)", (2, 3, 7)), ("Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False)", (2, 4, 7, 8)),
    ("Conv2d(3, 4, (3, 2), padding='same', dilation=2)", (2, 3, 7, 8)), ("Conv2d(3, 4, 3, padding=1, padding_mode='reflect')", (2, 3, 7, 8)),
    ("Conv2d(3, 4, 3, padding=1, padding_mode='circular')", (2, 3, 5, 6)), ("Conv3d(2, 3, 2, padding_mode='replicate', padding=1)", (1, 2, 4, 3, 5)),
    ("Conv2d(3, 4, 3)", (3, 7, 8)), ("ConvTranspose1d(3, 4, 3, stride=2)", (2, 3, 5)),
    ("ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2)", (2, 4, 5, 4)), ("ConvTranspose3d(2, 3, 2, dilation=2)", (1, 2, 3, 2, 4)),
    ("MaxPool1d(2)", (2, 3, 7)), ("MaxPool2d(3, stride=2, padding=1)", (2, 3, 7, 8)), ("MaxPool2d(2, ceil_mode=True)", (2, 3, 7, 8)),
    ("MaxPool3d(2)", (1, 2, 4, 5, 6)), ("AvgPool1d(3, 2, 1)", (2, 3, 7)), ("AvgPool2d(2)", (2, 3, 6, 8)),
    ("AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)", (2, 3, 7, 8)), ("AvgPool3d(2, divisor_override=3)", (1, 2, 4, 5, 6)),
    ("LPPool1d(2, 3)", (2, 3, 7)), ("LPPool2d(1.5, 2)", np.abs(np.random.default_rng(0).normal(size=(2, 3, 6, 6))).astype(np.float32)),
    ("LPPool3d(2, 2)", (1, 2, 4, 4, 4)), ("AdaptiveAvgPool1d(3)", (2, 3, 7)), ("AdaptiveAvgPool2d((1, 1))", (2, 3, 7, 8)), ("AdaptiveAvgPool2d((3, None))", (2, 3, 7, 8)),
    ("AdaptiveAvgPool3d(2)", (1, 2, 4, 5, 6)), ("AdaptiveMaxPool1d(3)", (2, 3, 7)), ("AdaptiveMaxPool2d(3)", (2, 3, 7, 8)), ("AdaptiveMaxPool3d(2)", (1, 2, 4, 5, 6)),
    ("FractionalMaxPool2d(2, output_size=3)", (2, 3, 7, 8)), ("FractionalMaxPool3d(2, output_ratio=0.5)", (1, 2, 6, 6, 6)),
    ("BatchNorm1d(3)", (4, 3)), ("BatchNorm1d(3)", (4, 3, 5)), ("BatchNorm2d(3, momentum=None)", (2, 3, 4, 5)), ("BatchNorm2d(3).eval()", (2, 3, 4, 5)),
    ("BatchNorm3d(3, affine=False)", (2, 3, 4, 5, 2)), ("BatchNorm2d(3, track_running_stats=False, bias=False)", (2, 3, 4, 5)),
    ("InstanceNorm1d(3)", (2, 3, 5)), ("InstanceNorm2d(3, affine=True, track_running_stats=True)", (2, 3, 4, 5)), ("InstanceNorm3d(3)", (3, 4, 5, 2)),
    ("LocalResponseNorm(3)", (2, 5, 4, 3)), ("GroupNorm(2, 4)", (2, 4, 3)), ("LayerNorm((4, 3))", (2, 4, 3)), ("RMSNorm(3)", (2, 4, 3)),
    *((f"{kind}Pad{dims}d({tuple(range(1, 2 * dims + 1)) if dims < 3 else 1}{', 2.5' if kind == 'Constant' else ''})", (2, 3, *(5, 6, 7)[:dims]))
      for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular") for dims in (1, 2, 3)),
    ("Upsample(scale_factor=2)", (2, 3, 4)), ("Upsample(size=(5, 7), mode='bilinear')", (2, 3, 4, 4)),
    ("Upsample(scale_factor=(1.5, 2), mode='bicubic', align_corners=True)", (2, 3, 4, 4)), ("Upsample(scale_factor=2, mode='trilinear')", (1, 2, 3, 4, 2)),
    ("UpsamplingNearest2d(scale_factor=2)", (2, 3, 4, 4)), ("UpsamplingBilinear2d(scale_factor=2)", (2, 3, 4, 4)),
    ("PixelShuffle(2)", (2, 8, 3, 4)), ("PixelUnshuffle(2)", (2, 2, 6, 4)), ("ChannelShuffle(2)", (2, 4, 3, 4)), ("Unfold(2, padding=1, stride=2)", (2, 3, 5, 6)),
    ("Fold((5, 6), 2)", (2, 12, 20)), ("PairwiseDistance(p=1)", (4, 5), (4, 5)), ("CosineSimilarity(dim=0)", (4, 5), (4, 5)),
    ("RNN(3, 5)", (7, 2, 3)), ("RNN(3, 5, 2, nonlinearity='relu', bias=False, bidirectional=True)", (4, 2, 3)), ("GRU(3, 5, 2, batch_first=True)", (2, 4, 3)),
    ("GRU(3, 5, bidirectional=True)", (4, 2, 3), (2, 2, 5)), ("LSTM(3, 5, 2)", (4, 2, 3)), ("LSTM(3, 5, proj_size=2, bidirectional=True, num_layers=2)", (4, 2, 3)),
    ("LSTM(3, 5, bias=False)", (4, 3)), ("RNNCell(3, 5)", (2, 3), (2, 5)), ("RNNCell(3, 5, nonlinearity='relu')", (3,)), ("LSTMCell(3, 5)", (2, 3)),
    ("GRUCell(3, 5, bias=False)", (2, 3), (2, 5)),
    ("MultiheadAttention(6, 2)", (4, 2, 6), (5, 2, 6), (5, 2, 6)), ("MultiheadAttention(6, 3, batch_first=True, bias=False)", (2, 4, 6), (2, 5, 6), (2, 5, 6)),
    ("MultiheadAttention(6, 2, add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=4)", (4, 2, 6), (5, 2, 3), (5, 2, 4)),
    ("TransformerEncoderLayer(6, 2, 8, dropout=0.0)", (4, 2, 6)), ("TransformerEncoderLayer(6, 2, 8, dropout=0.0, activation='gelu', norm_first=True)", (4, 2, 6)),
    ("TransformerDecoderLayer(6, 2, 8, dropout=0.0, batch_first=True)", (2, 4, 6), (2, 5, 6)),
    ("TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0), 2, nn.LayerNorm(6))", (4, 2, 6)),
    ("TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8, dropout=0.0), 2)", (4, 2, 6), (5, 2, 6)),
    ("Transformer(6, 2, 1, 1, 8, dropout=0.0)", (4, 2, 6), (5, 2, 6)),
    ("Embedding(7, 3, padding_idx=1)", indices((2, 4), 7)), ("EmbeddingBag(7, 3)", indices((2, 4), 7)), ("EmbeddingBag(7, 3, mode='max', padding_idx=2)", indices((2, 4), 7)),
    ("Linear(3, 4)", (2, 3)), ("Bilinear(3, 4, 2)", (5, 3), (5, 4)), ("Flatten()", (2, 3, 4)), ("Unflatten(1, (2, 3))", (2, 6)), ("Identity(5)", (2, 3)),
    *((name, (3, 4)) for name in ("ReLU()", "ReLU6()", "GELU()", "GELU('tanh')", "SiLU()", "Mish()", "ELU(0.5)", "CELU()", "SELU()", "Sigmoid()", "Tanh()",
                                  "Hardtanh()", "Hardsigmoid()", "Hardswish()", "Hardshrink()", "Softshrink()", "Softplus()", "Softsign()", "Tanhshrink()",
                                  "LogSigmoid()", "LeakyReLU(0.1)", "PReLU()", "PReLU(4)", "Threshold(0.1, 2.0)", "GLU()", "Softmax(1)", "Softmin(1)",
                                  "LogSoftmax(0)", "RReLU().eval()")),
    ("Softmax2d()", (2, 3, 4, 2)), ("Dropout(0.3)", (20, 5)), ("Dropout1d(0.3)", (6, 5, 2)), ("Dropout2d(0.3)", (6, 5, 2, 2)), ("Dropout3d(0.3)", (6, 5, 2, 2, 1)),
    ("AlphaDropout(0.3)", (20, 5)), ("FeatureAlphaDropout(0.3)", (6, 5, 2)),
    *((f"{name}(reduction='{reduction}')", (4, 5), (4, 5)) for name in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss") for reduction in ("mean", "sum", "none")),
    ("CrossEntropyLoss(label_smoothing=0.1)", (4, 5), indices((4,), 5)), ("NLLLoss(ignore_index=2)", (4, 5, 3), indices((4, 3), 5)),
    ("BCELoss()", np.random.default_rng(1).random((4, 5)).astype(np.float32), np.random.default_rng(2).random((4, 5)).astype(np.float32)),
    ("BCEWithLogitsLoss()", (4, 5), (4, 5)), ("PoissonNLLLoss()", (4, 5), (4, 5)), ("KLDivLoss(reduction='batchmean')", (4, 5), np.full((4, 5), 0.2, np.float32)),
    ("GaussianNLLLoss()", (4, 5), (4, 5), np.ones((4, 5), np.float32)), ("HingeEmbeddingLoss()", (4, 5), signs(4, 5)), ("SoftMarginLoss()", (4, 5), signs(4, 5)),
    ("MarginRankingLoss(0.2)", (5,), (5,), signs(5)), ("CosineEmbeddingLoss(0.1)", (4, 5), (4, 5), signs(4)), ("TripletMarginLoss(swap=True)", (4, 5), (4, 5), (4, 5)),
    ("TripletMarginWithDistanceLoss()", (4, 5), (4, 5), (4, 5)), ("MultiLabelSoftMarginLoss()", (4, 5), indices((4, 5), 2).astype(np.float32)),
    ("MultiLabelMarginLoss()", (2, 4), np.array([[3, 0, -1, 1], [0, -1, 2, 3]], LONG)), ("MultiMarginLoss(p=2)", (4, 5), indices((4,), 5)),
    ("CTCLoss()", (6, 2, 4), indices((2, 3), 3) + 1, np.array([6, 5], LONG), np.array([3, 2], LONG)),
    ("AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7])", (6, 8), indices((6,), 12)), ("LinearCrossEntropyLoss(3, 4, bias=True)", (5, 3), indices((5,), 4)),
]


def tensors_in(result):
    if isinstance(result, (tuple, list)):
        return [t for part in result for t in tensors_in(part)]
    return [] if result is None else [result]


def run(library, constructor, arguments):
    """What is compared, by name."""
    library.manual_seed(7)
    module = eval("nn." + constructor, {"nn": library.nn})
    seen = {"repr": repr(module), "names of classes": [type(m).__name__ for m in module.modules()]}
    seen |= {f"initial {name}": t.detach().numpy().copy() for name, t in module.state_dict().items()}
    random, inputs = np.random.default_rng(11), []
    for a in arguments:
        array = random.normal(size=a).astype(np.float32) if isinstance(a, tuple) else a.copy()
        inputs.append(library.from_numpy(array).requires_grad_(array.dtype == np.float32 and isinstance(a, tuple)))
    outputs = tensors_in(module(*inputs))
    total = 0
    for t in outputs:
        if t.dtype in (library.float32, library.float64):
            total = total + (t * library.from_numpy(random.normal(size=tuple(t.shape)).astype(np.float32))).sum()
    if total.requires_grad:
        total.backward()
    seen |= {f"output {i}": t.detach().numpy() for i, t in enumerate(outputs)}
    seen |= {f"gradient of input {i}": t.grad.numpy() for i, t in enumerate(inputs) if t.grad is not None}
    seen |= {f"gradient of {name}": t.grad.numpy() for name, t in module.named_parameters() if t.grad is not None}
    return seen | {f"{name} afterwards": t.detach().numpy() for name, t in module.state_dict().items()}


@pytest.mark.parametrize("constructor, arguments", [(c[0], c[1:]) for c in CASES], ids=[c[0] for c in CASES])
def test_a_layer_does_what_pytorchs_does(constructor, arguments):
    theirs, ours = (run(library, constructor, arguments) for library in (torch, rushlight))
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        if isinstance(expected, np.ndarray):
            assert ours[name].shape == expected.shape and ours[name].dtype == expected.dtype, name
            tolerance = 0 if name.startswith("initial") else 2e-5
            np.testing.assert_allclose(ours[name], expected, rtol=tolerance, atol=tolerance, err_msg=name)
        else:
            assert ours[name] == expected, name


LATER = {"SyncBatchNorm"}  # with several devices
OLD = set("Container CrossMapLRN2d".split())  # PyTorch's documentation names neither any more


def test_every_public_layer_is_there():
    layers = {name for name, kind in vars(torch.nn).items() if inspect.isclass(kind) and not name.startswith("_")}
    assert sorted(layers - set(vars(rushlight.nn)) - LATER - OLD) == []


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_of_different_lengths(kind, bidirectional):
    lengths = [2, 5, 3]
    x = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    seen = []
    for library in (torch, rushlight):
        library.manual_seed(0)
        module, pack = getattr(library.nn, kind)(4, 3, 2, bidirectional=bidirectional), library.nn.utils.rnn
        given = library.from_numpy(x.copy()).requires_grad_()
        output, last = module(pack.pack_padded_sequence(given, lengths, enforce_sorted=False))
        padded, sizes = pack.pad_packed_sequence(output)
        (padded * padded).sum().backward()
        seen.append([padded, sizes, *tensors_in(last), given.grad, *(p.grad for p in module.parameters())])
    for expected, got in zip(*seen, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
