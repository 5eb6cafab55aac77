"""Saving and loading: what comes back, what is refused, and what is left when saving fails."""
import base64
import copy
import io
import os
import pickle
import resource
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from collections import Counter, OrderedDict

import pytest

import rushlight as torch
from rushlight import serialization
from rushlight.serialization import safetensors
from rushlight.serialization.archive import ArchiveWriter


def again(obj, **how):
    file = io.BytesIO()
    torch.save(obj, file)
    file.seek(0)
    return torch.load(file, **how)


def archive_with(path, content, **records):
    """A file of the right form around any pickle."""
    with open(path, "wb") as file, ArchiveWriter(file, "x") as archive:
        archive.add("data.pkl", content)
        for name, record in {"version": b"3", **records}.items():
            archive.add(name.replace("_", "/"), record)
    return path


# A tensor of storage "0", called as PyTorch's files call it: (elements claimed, offset, size, stride)
def tensor_pickle(count, offset, size, stride, key=b"0", kind=b"FloatStorage"):
    def integer(n):
        return pickle.BININT + struct.pack("<i", n)

    def ints(numbers):
        return pickle.MARK + b"".join(map(integer, numbers)) + pickle.TUPLE
    text = b"".join(pickle.BINUNICODE + struct.pack("<I", len(s)) + s for s in (b"cpu",))
    storage = (pickle.MARK + b"X\x07\0\0\0storage" + b"ctorch\n" + kind + b"\n" + b"X" + struct.pack("<I", len(key)) + key + text + integer(count)
               + pickle.TUPLE + pickle.BINPERSID)
    return (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + pickle.MARK + storage + integer(offset) + ints(size) + ints(stride) + pickle.NEWFALSE
            + b"ccollections\nOrderedDict\n)R" + pickle.TUPLE + pickle.REDUCE + b".")


# What PyTorch 2.13 wrote for {"x": bfloat16 [[1, 2], [3, 4]], "row": its second row, "p": Parameter([0.5])}, compressed
FROM_PYTORCH = """
eNqlVV1P01AYPu2+apExEEFAQbyaiY51H2X4taWS3vSCMWNCiElTuuPaWNad7gzURENiQLn1Qr3yF3jv7/DORO+8MjEx8Rd4TgulLW5EeJfuTZfzvM/z9n2frq7E4gBwHDgWGTAGNE
c3zC240NSwlus8sWQpDdZDscO+QCC7xhDAU8To2CaInNrDptXlVQdu9EyrqWLY7tqOulXgEZvNrqXI4S45qbUginkQXpItW8OC+MD7nUdxt2YeJdZiJOudHkoqcYxSqwpQWIXdQxxJ
zB46t6/rtmVBHZt2u8uvOE3owOayqWMe8dcbaAij8w007FZx7G2UNogEI2bEjYThVhxZpfV2UUZhdtHovkFBYxhdaKBxV0IHXezTVkdztE2IocOjCa/qQTNuL34nk24ZAV0ifAxGU7
QDQjVNv2Y8vssYXWmg2TfuzdxrdLWB5nu5upLihr8urz8ieHrV+85qEsz5s8o9tp1NDatb0OmSRyJLM5GRhUKgJJ9/f39FNdKrP8k0WDwiOZifqllmq70J21iWioN4+oVYogKq2+gn
SyjYgQJGQdUXsPEMQ5vOWpZun4b3MCwTYwtSDbt3f0wlCUtyoIY0uBdyxUJelm6dQcBOFdRqtZ0aVdD6lnlHKbkTFNwJKxBkqXJqBaRglXLP/7n2nhCC+EDukcAE/P060/Mv8pT9y8
fWw5PnPwsKRwvott6Fjkk28LlGza+aTVnK/aeYfFkUhHylXCiKwpK4mC8XlkpCSSyJhQJJFfopFivlRdcm4y9/ZYmOrKuSoWJ9nUGfZo4pj75Ho+igASdDyE8M6OfsaJGgiabDxmHB
AOdG6wSNMBqq8zZQxzdgFB7c4nQIPhEDEe9EscEtDGM/RLFCFBvcoZEQdjwOolt7bACB0c6Gew6A/710dSWZvHG4orGbPpKL5CHWy5WElwmO/hOC+ynv3nv7JpIehnPPe2f/AkfYsB
4=
"""


def test_a_file_of_pytorchs_is_loaded_with_what_its_tensors_share():
    found = torch.load(io.BytesIO(zlib.decompress(base64.b64decode(FROM_PYTORCH))))
    assert found["x"].dtype is torch.bfloat16 and found["x"].tolist() == [[1, 2], [3, 4]] and type(found["p"]) is torch.nn.Parameter
    found["row"][0] = 9
    assert found["x"].tolist() == [[1, 2], [9, 4]]


@pytest.mark.parametrize("how", [{}, {"weights_only": True}, {"weights_only": False}], ids=["default", "weights only", "anything"])
def test_everything_plain_comes_back_as_it_was(how):
    plain = {"numbers": [0, -1, 255, 65536, -2**31, 2**31, 2**100, 1.5, 1j], "none": None, "bits": (True, False), "text": "Übung", "bytes": b"\0x",
             "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), "set": {1, 2}, "frozen": frozenset({3}), "array": bytearray(b"y"), 5: [[[]]],
             "ordered": OrderedDict(b=1, a=2), "counter": Counter("aab"), "size": torch.Size([2, 3]), "dtype": torch.bfloat16,
             "device": torch.device("cuda:1"), "layout": torch.strided, (1, "pair"): 0}
    plain["itself"] = plain["numbers"]
    found = again(plain, **how)
    assert found == plain and list(map(type, found.values())) == list(map(type, plain.values()))
    assert found["itself"] is found["numbers"]


def test_tensors_of_every_dtype_and_layout_come_back_bit_by_bit():
    base = torch.tensor([[0.0, -0.0, float("inf")], [float("nan"), 1e-40, -3.5]])
    tensors = [base.to(dtype) for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128)]
    tensors += [torch.tensor([[0, 1, 2]]).to(dtype) for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)]
    tensors += [base.t(), base[:, 1:], base[:, :1].expand(2, 7), torch.tensor(7), torch.empty(0, 3), torch.empty(2, 0)]
    for tensor, found in zip(tensors, again(tensors)):
        assert (found.dtype, found.shape, found.stride(), found.storage_offset()) == (tensor.dtype, tensor.shape, tensor.stride(),
                                                                                     tensor.storage_offset())
        assert found._array().tobytes() == tensor._array().tobytes()


def test_what_shared_memory_still_does_and_what_was_pending_has_run():
    base = torch.arange(6.0) * 2
    first, second, alone = again((base, base[2:4], base.clone()))
    second += 100
    assert first.tolist() == [0, 2, 104, 106, 8, 10] and alone.tolist() == [0, 2, 4, 6, 8, 10]
    with pytest.raises(RuntimeError, match="Cannot save multiple tensors or storages that view the same data as different types"):
        again((base, base.view(torch.int32)))


def test_parameters_buffers_and_leaves_stay_what_they_are():
    parameter = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    noted = torch.nn.Parameter(torch.ones(1))
    noted.note = "kept"
    found = again([parameter, noted, torch.nn.Buffer(torch.ones(1), persistent=False), torch.ones(1, requires_grad=True)])
    assert [type(t) for t in found] == [torch.nn.Parameter, torch.nn.Parameter, torch.nn.Buffer, torch.Tensor]
    assert [t.requires_grad for t in found] == [False, True, False, True] and found[1].note == "kept" and not found[2].persistent
    for copied in (copy.deepcopy(noted), pickle.loads(pickle.dumps(noted))):
        assert type(copied) is torch.nn.Parameter and copied.requires_grad
    made = again(parameter * torch.ones(2, requires_grad=True))  # its history stays behind
    assert made.is_leaf and made.requires_grad and made.tolist() == [1, 1]


def test_a_training_run_goes_on_where_it_was_saved(tmp_path):
    def start():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        return net, torch.optim.AdamW(net.parameters(), lr=0.05)

    def step(net, optimizer):
        optimizer.zero_grad()
        loss = net(torch.rand(5, 3)).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()
    net, optimizer = start()
    step(net, optimizer)
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, tmp_path / "run.pt")
    expected = [step(net, optimizer) for _ in range(3)]
    other, its_optimizer = start()
    saved = torch.load(tmp_path / "run.pt")
    other.load_state_dict(saved["net"])
    its_optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"])
    assert [step(other, its_optimizer) for _ in range(3)] == expected


def test_a_whole_module_needs_trust(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    torch.save(net, tmp_path / "net.pt")
    with pytest.raises(pickle.UnpicklingError, match=r"net.pt was not loaded: it names rushlight\.nn\.containers\.Sequential, which is no tensor and no "
                                                     "plain container.  If you trust the file, admit that name with "
                                                     r"rushlight\.serialization\.add_safe_globals, or run whatever the file says with weights_only=False"):
        torch.load(tmp_path / "net.pt")
    wanted = serialization.get_unsafe_globals_in_checkpoint(tmp_path / "net.pt")
    assert "rushlight.nn.containers.Sequential" in wanted and "torch._utils._rebuild_parameter" not in wanted
    with serialization.safe_globals([torch.nn.Sequential, torch.nn.Linear, torch.nn.ReLU]):
        admitted = torch.load(tmp_path / "net.pt")
    assert not serialization.get_safe_globals()
    x = torch.ones(1, 2)
    for found in (admitted, torch.load(tmp_path / "net.pt", weights_only=False), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert found(x).tolist() == net(x).tolist() and found[0].weight is not net[0].weight


class Settings:
    def __init__(self, width):
        self.width = width


def test_classes_that_the_user_admits_are_made():
    with pytest.raises(pickle.UnpicklingError, match="test_serialization.Settings"):
        again(Settings(3))
    with serialization.safe_globals([Settings]):
        assert again([Settings(3)])[0].width == 3
    with serialization.safe_globals([(Settings, f"{__name__}.Settings")]):
        assert again(Settings(4)).width == 4
    with pytest.raises(TypeError, match="5 is neither a class nor a function"):
        serialization.add_safe_globals([5])


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def never_called():
    raise AssertionError("a file was obeyed")


@pytest.mark.parametrize("function, name", [(never_called, "test_serialization.never_called"), (os.system, "posix.system"), (eval, "builtins.eval"),
                                            (getattr, "builtins.getattr"), (pickle.loads, "pickle.loads")])
def test_nothing_that_a_file_names_is_called(function, name):
    with pytest.raises(pickle.UnpicklingError, match=f"it names {name}"):
        again({"weights": torch.ones(1), "extra": Evil(function, "1")})


OF_THE_STACK = {
    "calls a tensor": (tensor_pickle(1, 0, [1], [1])[:-1] + b")R.", "it wants to call"),
    "calls a device": (b"\x80\x02ctorch\ndevice\nX\x03\0\0\0cpu\x85R)R.", "it wants to call"),
    "makes a tensor of any size": (b"\x80\x02ctorch\nTensor\nJ\xff\xff\xff\x7f\x85R.", "it wants to call"),
    "makes an instance": (b"\x80\x02ctorch\nTensor\n)\x81.", "it wants to make an instance"),
    "makes a long bytearray": (b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "damaged near byte 32 .TypeError"),
    "unpacks bytes": (b"\x80\x02c_codecs\nencode\nX\x01\0\0\0xX\x03\0\0\0zip\x86R.", "bytes come as latin1, not as 'zip'"),
    "sets the state of a number": (b"\x80\x02K\x01}b.", "it wants to set the state of an instance of <class 'int'>"),
    "appends to a dictionary": (b"\x80\x02}K\x01a.", "dict is no list"),
    "claims a text of 4 GB": (b"\x80\x02X\xff\xff\xff\xffabc.", "its pickle ends too soon"),
    "claims an integer of 2 GB": (b"\x80\x02\x8b\xff\xff\xff\x7f1.", "its pickle ends too soon"),
    "takes from an empty stack": (b"\x80\x02\x86.", "its pickle is damaged near byte 3"),
    "asks for what was never kept": (b"\x80\x02h\x07.", "its pickle is damaged near byte 4"),
    "uses another opcode": (b"\x80\x02i1\n2\n.", "it uses the opcode INST, which plain data does not need"),
    "does not end": (b"\x80\x02K\x01", "its pickle ends too soon"),
    "refers to a file": (b"\x80\x02X\x04\0\0\0fileX\x0b\0\0\0/etc/passwd\x86Q.", "it refers to something that is no storage"),
}


@pytest.mark.parametrize("what", OF_THE_STACK)
def test_a_pickle_that_wants_more_than_it_may_is_refused_by_name(tmp_path, what):
    content, message = OF_THE_STACK[what]
    path = archive_with(tmp_path / "bad.pt", content, data_0=b"\0" * 4)
    with pytest.raises(pickle.UnpicklingError, match=f"load: .*bad.pt was not loaded: .*{message}"):
        torch.load(path)


def test_keys_that_take_for_ever_to_hash_are_refused(tmp_path):
    doubled = b"\x80\x02}" + b"K\x01" + b"q\x00h\x00\x86" * 64 + b"K\x01s."  # (((1, 1), (1, 1)), ...): 2**64 ones
    deep = b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s."
    for content in (doubled, deep):
        with pytest.raises(pickle.UnpicklingError, match="a key of a dictionary or set has more than 1000 parts"):
            torch.load(archive_with(tmp_path / "bad.pt", content))


@pytest.mark.parametrize("content, message", [
    (tensor_pickle(2, 0, [3], [1]), r"a tensor of size \(3,\), stride \(1,\) and offset 0 needs a storage of 3 elements, but this one has 2"),
    (tensor_pickle(2, 1, [2], [1]), "needs a storage of 3 elements"),
    (tensor_pickle(2, 0, [2**30, 2**30], [2**30, 1]), "needs a storage of 1152921504606846976 elements"),
    (tensor_pickle(2, -1, [1], [1]), r"a tensor cannot have the size \(1,\), the stride \(1,\) and the offset -1"),
    (tensor_pickle(2, 1, [2], [-1]), "a tensor cannot have"),
    (tensor_pickle(2, 0, [2], []), "a tensor cannot have"),
    (tensor_pickle(2**30, 0, [1], [1]), "storage 0 is said to have 1073741824 elements of 4 bytes, but it has 8 bytes"),
    (tensor_pickle(2, 0, [2], [1], key=b"../../x"), r"the record data/../../x is missing"),
    (tensor_pickle(2, 0, [2], [1], key=b"1"), "the record data/1 is missing"),
    (tensor_pickle(1, 0, [1], [1], kind=b"QInt8Storage"), "it names torch.QInt8Storage of PyTorch, which Rushlight does not have"),
])
def test_tensors_that_do_not_fit_their_storages_are_refused(tmp_path, content, message):
    path = archive_with(tmp_path / "bad.pt", content, data_0=struct.pack("<2f", 1, 2))
    for how in ({}, {"weights_only": False}, {"mmap": True}):
        with pytest.raises((RuntimeError, pickle.UnpicklingError), match=message) as caught:
            torch.load(path, **how)
        assert "bad.pt" in str(caught.value)


def test_damage_is_found_and_names_the_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"x": torch.arange(100.0)}, path)
    content = path.read_bytes()
    place = content.index(struct.pack("<f", 50.0))
    flipped = content[:place] + b"\xff" + content[place + 1:]
    for damaged, error, message in [
            (b"", EOFError, "is empty"), (b"PK\x03\x04", RuntimeError, "its table of contents cannot be read"),
            (content[:-30], RuntimeError, "its table of contents cannot be read"), (b"hello world, this is text", pickle.UnpicklingError, "neither a zip"),
            (flipped, RuntimeError, "the record data/0 has the checksum"), (b"X" + content[1:], pickle.UnpicklingError, "neither a zip")]:
        path.write_bytes(damaged)
        with pytest.raises(error, match=message) as caught:
            torch.load(path)
        assert "x.pt" in str(caught.value)
    with pytest.raises(FileNotFoundError, match="nothing.pt"):
        torch.load(tmp_path / "nothing.pt")
    with open(path, errors="ignore") as file, pytest.raises(TypeError, match="x.pt is open for text; open it with mode 'rb'"):
        torch.load(file)
    for wrong in (5, iter([b"x"])):
        with pytest.raises(AttributeError, match="expected a path or a file with the methods read, seek and tell"):
            torch.load(wrong)


def zip_of(path, *records, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records:
            archive.writestr(name, content)
    return path


def test_archives_that_play_tricks_are_refused(tmp_path):
    path, pickled = tmp_path / "x.pt", ("x/data.pkl", b"\x80\x02K\x01.")
    with pytest.warns(UserWarning, match="Duplicate name"):
        zip_of(path, pickled, pickled)
    with pytest.raises(RuntimeError, match="two records of one name"):
        torch.load(path)
    for records, message in [
            ([("x/data.txt", b"")], "without a data.pkl in its one folder"), ([("data.pkl", b"")], "without a data.pkl in its one folder"),
            ([pickled, ("y/data.pkl", b"")], "without a data.pkl in its one folder"), ([pickled, ("x/version", b"99")], "format version b'99'"),
            ([pickled, ("x/constants.pkl", b"")], "TorchScript archive")]:
        with pytest.raises(RuntimeError, match=message):
            torch.load(zip_of(path, *records))
    with pytest.raises(RuntimeError, match="the record data.pkl is compressed"):
        torch.load(zip_of(path, ("x/data.pkl", b"\x80\x02" + b"0" * 1000), compression=zipfile.ZIP_DEFLATED))
    content = bytearray(zip_of(path, pickled, ("x/version", b"3")).read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 20:directory + 28] = struct.pack("<2I", 2**31, 2**31)
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match="its records claim to be larger than the whole file"):
        torch.load(path)


def test_numbers_of_a_machine_of_the_other_byte_order_are_turned(tmp_path):
    path = archive_with(tmp_path / "x.pt", tensor_pickle(2, 0, [2], [1]), data_0=struct.pack(">2f", 1, -2.5), byteorder=b"big")
    assert torch.load(path).tolist() == [1, -2.5] and torch.load(path, mmap=True).tolist() == [1, -2.5]


@pytest.mark.parametrize("there", [None, b"an old file"], ids=["new", "replaced"])
def test_a_full_disk_leaves_what_was_there(tmp_path, there):
    path = tmp_path / "x.pt"
    if there:
        path.write_bytes(there)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            torch.save(torch.zeros(100_000), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(path) in str(caught.value)
    assert os.listdir(tmp_path) == (["x.pt"] if there else []) and (not there or path.read_bytes() == there)


def test_what_cannot_be_pickled_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(torch.ones(1), path)
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        torch.save({"x": torch.zeros(1), "f": lambda: 0}, path)
    assert torch.load(path).item() == 1 and os.listdir(tmp_path) == ["x.pt"]


def test_a_kill_while_saving_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(torch.ones(1), path)
    program = ("import os, sys, rushlight as torch; from rushlight.serialization import archive\n"
               "archive.ArchiveWriter.__exit__ = lambda *_: os.kill(os.getpid(), 9)\n"
               "torch.save(torch.zeros(1), sys.argv[1])")
    assert subprocess.run([sys.executable, "-c", program, path], timeout=60).returncode == -9
    assert torch.load(path).item() == 1


def test_links_permissions_and_devices_are_respected(tmp_path):
    real, link = tmp_path / "real.pt", tmp_path / "link.pt"
    torch.save(torch.ones(1), real)
    assert stat.S_IMODE(real.stat().st_mode) & 0o600 == 0o600
    real.chmod(0o640)
    link.symlink_to(real)
    torch.save(torch.zeros(1), link)
    assert link.is_symlink() and torch.load(real).item() == 0 and stat.S_IMODE(real.stat().st_mode) == 0o640
    torch.save(torch.zeros(1), "/dev/null")
    with pytest.raises(RuntimeError, match="save: the folder .*missing of x.pt does not exist"):
        torch.save(1, tmp_path / "missing" / "x.pt")
    with pytest.raises(AttributeError, match="expected a path or a file with a method write, but got int"):
        torch.save(1, 5)


def test_the_same_object_is_the_same_file(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        torch.save({"x": torch.arange(3)}, tmp_path / name / "x.pt")
    assert (tmp_path / "a/x.pt").read_bytes() == (tmp_path / "b/x.pt").read_bytes()
    assert zipfile.ZipFile(tmp_path / "a/x.pt").namelist()[0] == "x/data.pkl"


def test_storages_lie_at_multiples_of_64_and_can_be_mapped(tmp_path):
    path, tensors = tmp_path / "model.pt", [torch.arange(n) for n in (1, 7, 0, 100)]
    torch.save(tensors, path)
    with zipfile.ZipFile(path) as archive:
        for record in archive.infolist():
            header = path.read_bytes()[record.header_offset:record.header_offset + 30]
            assert (record.header_offset + 30 + sum(struct.unpack("<HH", header[26:]))) % 64 == 0
    mapped = torch.load(path, mmap=True)
    mapped[3] += 1  # only in this process
    assert [t.tolist() for t in mapped[:3]] == [t.tolist() for t in tensors[:3]] and mapped[3].sum() == 5050
    assert torch.load(path)[3].sum() == 4950
    with pytest.raises(ValueError, match="mmap=True needs the file's path"):
        torch.load(io.BytesIO(path.read_bytes()), mmap=True)


def test_files_need_no_more_than_read_seek_and_tell_or_write():
    class Sink:
        def __init__(self):
            self.parts = []

        def write(self, part):
            self.parts.append(bytes(part))
            return len(part)

    class Source:
        def __init__(self, content):
            file = io.BytesIO(content)
            self.read, self.seek, self.tell = file.read, file.seek, file.tell
    sink = Sink()
    torch.save({"x": torch.arange(5), "y": torch.ones(100)}, sink)
    content = b"".join(sink.parts)
    for how in ({}, {"weights_only": False}):
        found = torch.load(Source(content), **how)
        assert found["x"].tolist() == [0, 1, 2, 3, 4] and found["y"].sum() == 100
        with pytest.raises((RuntimeError, pickle.UnpicklingError), match="Source"):
            torch.load(Source(content[:len(content) // 2]), **how)


def test_map_location_says_where_tensors_go(tmp_path):
    saved = io.BytesIO()
    torch.save(torch.ones(2), saved)
    elsewhere = io.BytesIO()
    with zipfile.ZipFile(saved) as archive, ArchiveWriter(elsewhere, "archive") as writer:
        for name in archive.namelist():
            writer.add(name[8:], archive.read(name).replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0"))
    calls = []
    for how in ("cpu", torch.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: calls.append(location) or storage):
        elsewhere.seek(0)
        assert torch.load(elsewhere, map_location=how).tolist() == [1, 1]
    assert calls == ["cuda:0"]
    elsewhere.seek(0)
    with pytest.raises(RuntimeError, match=r"Attempting to deserialize object on a CUDA device but torch.cuda.is_available\(\) is False"):
        torch.load(elsewhere)


def test_safetensors_keep_tensors_by_name(tmp_path):
    path = tmp_path / "x.safetensors"
    tensors = {"a": torch.ones(2, 3).bfloat16(), "empty": torch.empty(0, 3), "scalar": torch.tensor(3.0), "bits": torch.tensor([True])}
    safetensors.save_file(tensors, path, metadata={"epoch": "3"})
    for found in (safetensors.load_file(path), safetensors.load(path.read_bytes())):
        assert {name: (t.dtype, t.shape, t.tolist()) for name, t in found.items()} == {n: (t.dtype, t.shape, t.tolist()) for n, t in tensors.items()}
        found["a"] += 1
    assert safetensors.metadata_of(path) == {"epoch": "3"}
    base = torch.arange(6)
    safetensors.save_file({"left": base[:3], "right": base[3:]}, path)
    assert safetensors.load_file(path)["right"].tolist() == [3, 4, 5]
    for wrong, error, message in [({"x": base, "y": base[2:]}, RuntimeError, r"share memory .*\['x', 'y'\]"), ({"x": base[::2]}, ValueError, "not contiguous"),
                                  ({"x": 3}, ValueError, "received <class 'int'>"), ({"x": torch.ones(1, dtype=torch.complex128)}, ValueError, "complex128")]:
        with pytest.raises(error, match=message):
            safetensors.save_file(wrong, path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RuntimeError, match="x.safetensors is damaged or no safetensors file"):
        safetensors.load_file(path)


def test_a_model_with_tied_weights_goes_through_safetensors(tmp_path):
    def tied():
        net = torch.nn.ModuleDict({"inner": torch.nn.Linear(2, 2), "outer": torch.nn.Linear(2, 2)})
        net["outer"].weight = net["inner"].weight
        return net
    net, other = tied(), tied()
    safetensors.save_model(net, tmp_path / "x.safetensors")
    assert safetensors.metadata_of(tmp_path / "x.safetensors") == {"outer.weight": "inner.weight"}
    assert safetensors.load_model(other, tmp_path / "x.safetensors") == (set(), [])
    assert other["outer"].weight.tolist() == net["inner"].weight.tolist()
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "bias", "weight"\n    Unexpected key\(s\) in state_dict: "inner.bias"'):
        safetensors.load_model(torch.nn.Linear(2, 2), tmp_path / "x.safetensors")


def test_functions_are_found_again_by_their_names():
    """So a module that holds one, as transformer layers hold their activation, can be pickled."""
    functional = torch.nn.functional
    for function in (functional.relu, torch.relu, functional.softmax, torch.vstack, torch.median, torch.fft.fft, torch.linalg.norm):
        assert pickle.loads(pickle.dumps(function)) is function
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8, activation=functional.gelu)
    layer.chosen = functional.relu
    again = pickle.loads(pickle.dumps(layer))
    assert again.chosen is functional.relu and again.activation is functional.gelu
    stored = io.BytesIO()
    torch.save(layer, stored)
    stored.seek(0)
    assert torch.load(stored, weights_only=False).chosen is functional.relu
