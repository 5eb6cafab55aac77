"""Every layer in PyTorch's own module database: its samples, with PyTorch's weights, in training and in evaluation.

    python -m pytest tests/conformance/test_module_database.py -k LSTM
    python tests/conformance/test_module_database.py [NAME ...]         what differs, without stopping

Compared are the outputs, the gradients of all inputs and parameters for the same random weights of the outputs, and the state afterwards; in
float64, where what differs is no rounding.
"""
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.testing._internal.common_modules import module_db

import rushlight

MOST = 60  # samples of a layer; of more, every second or third is taken
DTYPES = {getattr(torch, name): getattr(rushlight, name) for name in
          "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128".split()}


def ours_of(value, seen):
    """A PyTorch value as Rushlight's: tensors with their numbers and flags, functions and modules by name, containers part by part."""
    if isinstance(value, torch.Tensor):
        if id(value) not in seen:
            made = rushlight.from_numpy(value.detach().numpy().copy())
            made = rushlight.nn.Parameter(made, value.requires_grad) if isinstance(value, torch.nn.Parameter) else made.requires_grad_(value.requires_grad)
            seen[id(value)] = made, value
        return seen[id(value)][0]
    if isinstance(value, torch.nn.TransformerEncoderLayer):
        return rushlight.nn.TransformerEncoderLayer(value.self_attn.embed_dim, value.self_attn.num_heads, value.linear1.out_features, value.dropout.p,
                                                    ours_of(value.activation, seen), bias=value.linear1.bias is not None, batch_first=value.self_attn.batch_first, norm_first=value.norm_first)
    if isinstance(value, torch.nn.Module):
        return getattr(rushlight.nn, type(value).__name__)()
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        return rushlight.nn.utils.rnn.PackedSequence(*(ours_of(part, seen) for part in value))
    if isinstance(value, (tuple, list)):
        return type(value)(ours_of(part, seen) for part in value)
    if isinstance(value, dict):
        return {key: ours_of(part, seen) for key, part in value.items()}
    if isinstance(value, torch.dtype):
        return DTYPES[value]
    if isinstance(value, torch.device):
        return rushlight.device(str(value))
    if isinstance(value, torch.nn.LinearCrossEntropyOptions):
        return rushlight.nn.LinearCrossEntropyOptions(**{name: ours_of(getattr(value, name), seen) for name in type(value).__dataclass_fields__})
    if value in (torch.relu, torch.nn.functional.relu, torch.nn.functional.gelu, torch.nn.functional.pairwise_distance):
        return getattr(rushlight.nn.functional, value.__name__)
    return value


def tensors_in(value):
    if isinstance(value, (torch.Tensor, rushlight.Tensor)):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for part in value for t in tensors_in(part)] if isinstance(value, (tuple, list)) else []


def observed(library, module, args, kwargs):
    """What a run of the module shows, by name."""
    outputs = tensors_in(module(*args, **kwargs))
    random, total = np.random.default_rng(3), 0
    for t in outputs:
        if t.dtype in (library.float32, library.float64) and t.requires_grad:
            total = total + (t * library.from_numpy(random.normal(size=tuple(t.shape))).to(t.dtype)).sum()
    inputs = tensors_in([args, kwargs])
    if isinstance(total, library.Tensor):
        total.backward()
    seen = {f"output {i}": t for i, t in enumerate(outputs)}
    seen |= {f"gradient of input {i}": t.grad for i, t in enumerate(inputs) if t.requires_grad}
    seen |= {f"gradient of {name}": p.grad for name, p in module.named_parameters()}
    return seen | {f"{name} afterwards": t for name, t in module.state_dict().items()}


def check(info, sample, training, seed=0):
    given = {}
    constructor = (ours_of(sample.constructor_input.args, given), ours_of(sample.constructor_input.kwargs, given))
    torch.manual_seed(seed)
    theirs = info.module_cls(*sample.constructor_input.args, **sample.constructor_input.kwargs).train(training).double()
    rushlight.manual_seed(seed)
    ours = getattr(rushlight.nn, info.name.rpartition(".")[2])(*constructor[0], **constructor[1]).train(training).double()
    assert repr(ours) == repr(theirs)
    state = {name: rushlight.from_numpy(t.numpy().copy()) for name, t in theirs.state_dict().items() if not torch.nn.parameter.is_lazy(t)}
    if len(state) == len(theirs.state_dict()):
        ours.load_state_dict(state)
    forward = sample.forward_input
    args, kwargs = ours_of(forward.args, given), ours_of(forward.kwargs, given)
    for t in tensors_in([forward.args, forward.kwargs]):
        if t.requires_grad and not t.is_leaf:  # what the database computed from another tensor
            t.retain_grad()
    torch.manual_seed(seed)
    expected = observed(torch, theirs, forward.args, forward.kwargs)
    rushlight.manual_seed(seed)
    got = observed(rushlight, ours, args, kwargs)
    assert list(got) == list(expected)
    for name, wanted in expected.items():
        assert (got[name] is None) == (wanted is None), f"{name}: {got[name]} for {wanted}"
        if wanted is not None:
            mine, wanted = got[name].detach().numpy(), wanted.detach().numpy()
            assert mine.shape == wanted.shape and mine.dtype == wanted.dtype, f"{name}: {mine.dtype}{mine.shape} for {wanted.dtype}{wanted.shape}"
            np.testing.assert_allclose(mine, wanted, rtol=1e-9, atol=1e-9 * max(1, np.abs(wanted).max(initial=0)), err_msg=name)


def samples(info, training):
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = info.module_inputs_func(info, device="cpu", dtype=torch.float64, requires_grad=True, training=training)
    return made[::max(1, -(-len(made) // MOST))]


DATABASE = {info.name: info for info in module_db}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", DATABASE)
def test_a_layer_agrees_with_pytorch_on_its_samples(name, training):
    for number, sample in enumerate(samples(DATABASE[name], training)):
        try:
            check(DATABASE[name], sample, training)
        except Exception as error:
            error.add_note(f"sample {number}: {sample.desc}, constructed with {sample.constructor_input}")
            raise


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or DATABASE:
        for training in (True, False):
            tried = samples(DATABASE[name], training)
            for number, sample in enumerate(tried):
                try:
                    check(DATABASE[name], sample, training)
                except Exception as error:
                    print(f"{name}{' training' if training else ''} {number} of {len(tried)}: {sample.desc} {type(error).__name__}: {' '.join(str(error).split())[:300]}"
                          f"   {sample.constructor_input.args} {sample.constructor_input.kwargs}"[:500], flush=True)
