"""uint16, uint32 and uint64: held, compared, converted, sorted and saved to the last bit; mixed with no other integers."""
import io
import operator
import pickle

import numpy as np
import pytest

import rushlight as torch

WIDE = ("uint16", "uint32", "uint64")


def numbers(name):
    ends = np.iinfo(name)
    return np.array([0, 1, 7, ends.max // 2, ends.max // 2 + 1, ends.max - 1, ends.max], name)


@pytest.mark.parametrize("name", WIDE)
def test_a_numpy_array_is_shared_and_comes_back_as_it_was(name):
    a = numbers(name)
    t = torch.from_numpy(a)
    assert t.dtype is getattr(torch, name) and t.numpy() is not a and t.numpy().dtype == a.dtype
    t[0] = 5
    assert a[0] == 5 and t.tolist() == a.tolist() and t[-1].item() == np.iinfo(name).max
    assert torch.tensor(a.tolist(), dtype=t.dtype).tolist() == a.tolist()


@pytest.mark.parametrize("name", WIDE)
def test_the_upper_half_is_larger_than_the_lower(name):
    a = numbers(name)
    t, turned = torch.from_numpy(a), torch.from_numpy(a[::-1].copy())
    for compare in (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge):
        assert compare(t, turned).tolist() == compare(a, a[::-1]).tolist()
    assert torch.maximum(t, turned).tolist() == np.maximum(a, a[::-1]).tolist()
    assert t.max().item() == a.max() and turned.argmax().item() == 0 and (t // 2).tolist() == (a // 2).tolist()
    assert turned.sort()[0].tolist() == a.tolist() and t.argsort(descending=True).tolist() == list(range(6, -1, -1))


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("other", ["float32", "float64", "int8", "int32", "int64", "uint8", "uint16", "uint64", "bool"])
def test_conversions_are_those_of_c(name, other):
    assert torch.from_numpy(numbers(name)).to(getattr(torch, other)).tolist() == numbers(name).astype(other).tolist()


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_floats_reach_the_upper_half(kind):
    x = torch.tensor([0.0, 1.9, 3e9, 2.0 ** 63, 1.5 * 2.0 ** 63], dtype=getattr(torch, kind))
    assert x[:3].to(torch.uint32).tolist() == [0, 1, 3_000_000_000]
    assert x.to(torch.uint64).tolist() == [0, 1, 3_000_000_000, 2 ** 63, 3 * 2 ** 62]
    assert torch.tensor([-1.0], dtype=x.dtype).to(torch.uint64).item() == 2 ** 64 - 1


def test_other_integers_do_not_mix_with_them_but_numbers_and_floats_do():
    a = torch.tensor([1, 2], dtype=torch.uint32)
    for other in (torch.int64, torch.uint8, torch.bool, torch.uint64):
        with pytest.raises(RuntimeError, match="Promotion for uint16, uint32, uint64 types is not supported"):
            a * torch.ones(2, dtype=other)
    assert (a * 3).dtype is torch.uint32 and (a * 0.5).tolist() == [0.5, 1.0] and torch.promote_types(torch.uint16, torch.float16) is torch.float16


def test_they_are_shown_and_indexed_like_others():
    a = torch.tensor([[1, 300], [2 ** 16 - 1, 0]], dtype=torch.uint16)
    assert repr(a) == "tensor([[    1,   300],\n        [65535,     0]], dtype=torch.uint16)"
    assert a[:, 1].tolist() == [300, 0] and a[a > 2].tolist() == [300, 65535] and a[torch.tensor([1])].tolist() == [[65535, 0]]
    assert torch.iinfo(torch.uint64).max == torch.tensor([2 ** 64 - 1], dtype=torch.uint64).item()
    with pytest.raises(ValueError, match="Overflow"):
        torch.tensor([2 ** 64], dtype=torch.uint64)


@pytest.mark.parametrize("name", WIDE)
def test_they_are_saved(name):
    t = torch.from_numpy(numbers(name))
    file = io.BytesIO()
    torch.save({"whole": t, "part": t[2:]}, file)
    file.seek(0)
    for made in (torch.load(file), pickle.loads(pickle.dumps({"whole": t, "part": t[2:]}))):
        assert made["whole"].dtype is t.dtype and made["whole"].tolist() == t.tolist() and made["part"].tolist() == t[2:].tolist()
        assert made["whole"].untyped_storage() == made["part"].untyped_storage()
