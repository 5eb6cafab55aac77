"""Files go both ways: PyTorch loads what is saved here, with its weights_only=True, and what PyTorch saves is loaded here."""
import io
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch as theirs

import rushlight as ours

DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()


def program(torch):
    """The same object in either library."""
    base = torch.arange(12.0).reshape(3, 4)
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.LSTM(3, 2))
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape) + number)
    optimizers = [getattr(torch.optim, name)(module[:2].parameters(), lr=0.1) for name in ("SGD", "Adam", "AdamW")]
    module[1](module[0](base)).pow(2).sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    return {
        "base": base, "row": base[1], "turned": base.t(), "wide": base[:1].expand(5, 4), "scalar": torch.tensor(3), "empty": torch.empty(0, 3),
        "dtypes": {name: torch.tensor([0, 1, 1]).to(getattr(torch, name)) for name in DTYPES},
        "parameter": torch.nn.Parameter(torch.ones(2), requires_grad=False), "leaf": torch.ones(2, requires_grad=True),
        "state": module.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "plain": [1, -5, 2**40, 2**100, 2.5, None, True, "text", b"bytes", (), (1,), (1, 2, 3, 4), {1, 2}, 1 + 2j, bytearray(b"x"), Counter("aab")],
        "ordered": OrderedDict(b=1, a=2), "size": base.shape, "dtype": torch.float16, "device": torch.device("cpu"), "layout": torch.strided,
        "views": (base.view(-1)[2:7], base[:, ::2]),
    }


def values(torch, obj):
    """An object with everything of a library's in it spelled out, so that two can be compared."""
    if isinstance(obj, torch.Tensor):
        array = obj.detach().float() if obj.dtype == torch.bfloat16 else obj.detach().resolve_conj()
        return (type(obj).__name__, str(obj.dtype), tuple(obj.shape), tuple(obj.stride()), obj.storage_offset(), obj.requires_grad,
                array.numpy().tolist())
    if isinstance(obj, dict):
        return type(obj).__name__, [(key, values(torch, value)) for key, value in obj.items()]
    if isinstance(obj, torch.Size):
        return "Size", tuple(obj)
    if isinstance(obj, (list, tuple)):
        return type(obj).__name__, [values(torch, item) for item in obj]
    return repr(obj)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("weights_only", [True, False])
def test_what_pytorch_saves_is_loaded(tmp_path, legacy, weights_only):
    theirs.save(program(theirs), tmp_path / "x.pt", _use_new_zipfile_serialization=not legacy)
    found = ours.load(tmp_path / "x.pt", weights_only=weights_only)
    there = theirs.load(tmp_path / "x.pt", weights_only=weights_only)
    assert values(ours, found) == values(theirs, there)
    found["row"][0] = 99
    assert found["base"][1, 0] == 99 and found["turned"][0, 1] == 99
    assert found["state"]._metadata == there["state"]._metadata


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_pytorch_loads_what_is_saved(tmp_path, weights_only, protocol):
    if weights_only and protocol == 4:
        pytest.skip("PyTorch's own restricted unpickler reads protocol 2 only")
    ours.save(program(ours), tmp_path / "x.pt", pickle_protocol=protocol)
    found = theirs.load(tmp_path / "x.pt", weights_only=weights_only)
    assert values(theirs, found) == values(ours, ours.load(tmp_path / "x.pt"))
    found["row"][0] = 99
    assert found["base"][1, 0] == 99 and found["turned"][0, 1] == 99
    mapped = theirs.load(tmp_path / "x.pt", weights_only=True, mmap=True) if protocol == 2 else None
    assert mapped is None or mapped["base"].tolist() == ours.load(tmp_path / "x.pt", mmap=True)["base"].tolist()


def test_the_pickles_are_equal_byte_for_byte():
    contents = []
    for torch in (ours, theirs):
        base, file = torch.arange(6.0), io.BytesIO()
        torch.save({"x": base, "v": base.view(2, 3), "p": torch.nn.Parameter(torch.ones(2, 1)), "s": base.shape, "d": torch.int8, "b": b"x"}, file)
        archive = zipfile.ZipFile(file)
        assert archive.testzip() is None
        contents.append({name: archive.read(name) for name in sorted(archive.namelist()) if "serialization_id" not in name})
    assert contents[0] == contents[1]


def test_conjugation_and_sign_that_pytorch_only_noted_are_carried_out(tmp_path):
    z = theirs.tensor([1 + 2j, 3 - 4j])
    theirs.save({"conj": z.conj(), "neg": theirs.tensor([1 + 2j, 3 - 4j]).conj().imag}, tmp_path / "x.pt")
    found = ours.load(tmp_path / "x.pt")
    assert found["conj"].tolist() == [1 - 2j, 3 + 4j] and found["neg"].tolist() == [-2, 4]


def test_a_whole_module_of_pytorchs_becomes_one_of_ours(tmp_path):
    net = theirs.nn.Sequential(theirs.nn.Conv2d(1, 2, 3), theirs.nn.ReLU(), theirs.nn.Flatten(), theirs.nn.Linear(18, 2)).eval()
    theirs.save(net, tmp_path / "net.pt")
    found = ours.load(tmp_path / "net.pt", weights_only=False)
    assert repr(found) == repr(net)
    x = np.random.default_rng(0).standard_normal((2, 1, 5, 5)).astype(np.float32)
    np.testing.assert_allclose(found(ours.tensor(x)).detach().numpy(), net(theirs.tensor(x)).detach().numpy(), rtol=1e-5, atol=1e-6)
    with ours.serialization.safe_globals([ours.nn.Sequential, ours.nn.Conv2d, ours.nn.ReLU, ours.nn.Flatten, ours.nn.Linear]):
        assert repr(ours.load(tmp_path / "net.pt", weights_only=True)) == repr(net)


def test_dtypes_that_are_missing_here_are_named(tmp_path):
    theirs.save(theirs.ones(2).to(theirs.float8_e5m2), tmp_path / "x.pt")
    with pytest.raises(Exception, match="x.pt was not loaded: it names torch.float8_e5m2 of PyTorch, which Rushlight does not have"):
        ours.load(tmp_path / "x.pt")


def test_files_without_checksums_are_loaded(tmp_path):
    before = theirs.serialization.get_crc32_options()
    theirs.serialization.set_crc32_options(False)
    try:
        theirs.save(theirs.arange(3), tmp_path / "x.pt")
    finally:
        theirs.serialization.set_crc32_options(before)
    assert ours.load(tmp_path / "x.pt").tolist() == [0, 1, 2]


def test_safetensors_files_go_both_ways(tmp_path):
    from safetensors import torch as st
    tensors = {name: theirs.tensor([0, 1, 1]).to(getattr(theirs, name)) for name in DTYPES if name != "complex128"}
    st.save_file(tensors, tmp_path / "theirs.safetensors")
    found = ours.serialization.safetensors.load_file(tmp_path / "theirs.safetensors")
    assert {name: values(ours, tensor) for name, tensor in found.items()} == {name: values(theirs, tensor) for name, tensor in tensors.items()}
    ours.serialization.safetensors.save_file(found, tmp_path / "ours.safetensors")
    back = st.load_file(tmp_path / "ours.safetensors")
    assert all(theirs.equal(back[name], tensor) for name, tensor in tensors.items())
