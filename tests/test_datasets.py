"""Data sets: files of the known formats, made here, read and downloaded from a server that is here too."""
import doctest
import gzip
import hashlib
import http.server
import io
import pickle
import tarfile
import threading

import numpy as np
import pytest

import rushlight as torch
from rushlight.datasets import CIFAR10, CIFAR100, MNIST, Characters, DownloadError, FashionMNIST, TextFile, digits, python_text, read_text
from rushlight.datasets import download as downloads
from rushlight.datasets import text as texts
from rushlight.datasets import transforms as T
from rushlight.datasets.mnist import read_idx
from rushlight.utils.data import DataLoader

# A server ------------------------------------------------------------------------------------------------------------

class Server(http.server.ThreadingHTTPServer):
    """Gives `files`, names to bytes.  `cut` ends an answer after so many bytes; without `ranges` every answer is everything."""

    def __init__(self):
        self.files, self.cut, self.ranges, self.requests = {}, None, True, []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((self.path, asked))
        content = server.files.get(self.path[1:])
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:server.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()


CONTENT = bytes(range(256)) * 700
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()


def test_a_download_that_broke_off_goes_on_where_it_stopped(server, tmp_path):
    server.files["a.bin"], server.cut = CONTENT, 100_000
    with pytest.raises(DownloadError, match="the connection ended after 100,000 of 179,200 bytes; what came is kept"):
        downloads.fetched([server.address + "a.bin"], tmp_path / "a.bin", md5=MD5)
    assert not (tmp_path / "a.bin").exists() and (tmp_path / "a.bin.part").stat().st_size == 100_000
    server.cut = None
    assert downloads.fetched([server.address + "a.bin"], tmp_path / "a.bin", sha256=SHA256).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=100000-"] and not (tmp_path / "a.bin.part").exists()
    downloads.fetched([server.address + "a.bin"], tmp_path / "a.bin", md5=MD5)
    assert len(server.requests) == 2  # what is there is not fetched again


@pytest.mark.parametrize("ranges", [True, False], ids=["a server that knows ranges", "one that sends everything"])
@pytest.mark.parametrize("before", [CONTENT[:5000], CONTENT, b"", b"something else"], ids=["a beginning", "everything", "nothing", "another file's beginning"])
def test_what_is_there_of_a_file_never_spoils_it(server, tmp_path, ranges, before):
    server.files["a.bin"], server.ranges = CONTENT, ranges
    (tmp_path / "a.bin.part").write_bytes(before)
    for _ in range(2):  # the beginning of another file is found out at the end, and thrown away
        try:
            path = downloads.fetched([server.address + "a.bin"], tmp_path / "a.bin", md5=MD5, progress=False)
            break
        except DownloadError as error:
            assert before == b"something else" and "is not the file that was expected, by its MD5 hash" in str(error)
    assert path.read_bytes() == CONTENT


def test_another_address_is_tried_and_every_trouble_is_named(server, tmp_path):
    server.files |= {"wrong/a.bin": b"wrong", "right/a.bin": CONTENT}
    urls = [server.address + "missing/a.bin", "http://127.0.0.1:9/a.bin", "nonsense", server.address + "wrong/a.bin"]
    with pytest.raises(DownloadError) as caught:
        downloads.fetched(urls, tmp_path / "a.bin", md5=MD5)
    first, *troubles = str(caught.value).splitlines()
    assert first == "a.bin could not be downloaded" and len(troubles) == 4
    assert "Not Found" in troubles[0] and "refused" in troubles[1] and "unknown url type" in troubles[2] and "by its MD5 hash" in troubles[3]
    assert downloads.fetched([*urls, server.address + "right/a.bin"], tmp_path / "a.bin", md5=MD5).read_bytes() == CONTENT


def test_a_file_with_another_hash_is_fetched_anew(server, tmp_path):
    server.files["a.bin"] = CONTENT
    (tmp_path / "a.bin").write_bytes(b"old")
    assert downloads.fetched([server.address + "a.bin"], tmp_path / "a.bin", md5=MD5).read_bytes() == CONTENT


# MNIST ---------------------------------------------------------------------------------------------------------------

def idx(array):
    kind = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    return bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(array.dtype.newbyteorder(">")).tobytes()


def mnist_files(seed=0, count=7):
    random = np.random.default_rng(seed)
    files = {}
    for part, number in (("train", count), ("t10k", 3)):
        files[f"{part}-images-idx3-ubyte.gz"] = random.integers(0, 256, (number, 28, 28)).astype(np.uint8)
        files[f"{part}-labels-idx1-ubyte.gz"] = random.integers(0, 10, number).astype(np.uint8)
    return files


@pytest.mark.parametrize("dataset", [MNIST, FashionMNIST])
def test_mnist_is_downloaded_checked_and_read(server, tmp_path, monkeypatch, dataset):
    arrays = mnist_files()
    server.files = {name: gzip.compress(idx(array)) for name, array in arrays.items()}
    monkeypatch.setattr(dataset, "mirrors", [server.address + "nowhere/", server.address])
    monkeypatch.setattr(dataset, "resources", [(name, hashlib.md5(content).hexdigest()) for name, content in server.files.items()])
    with pytest.raises(RuntimeError, match=f"{dataset.__name__}: .*train-images-idx3-ubyte.gz is not there; download=True fetches it"):
        dataset(tmp_path)
    train = dataset(tmp_path, download=True, target_transform=lambda label: -label)
    count = len(server.requests)
    test = dataset(tmp_path, train=False, download=True, transform=T.ToTensor())
    assert len(server.requests) == count == 8 and (len(train), len(test)) == (7, 3)
    picture, label = train[-1]
    assert (picture == arrays["train-images-idx3-ubyte.gz"][-1]).all() and label == -int(arrays["train-labels-idx1-ubyte.gz"][-1])
    assert train.data.shape == (7, 28, 28) and train.data.dtype == torch.uint8 and train.targets.dtype == torch.int64
    x, y = next(iter(DataLoader(test, batch_size=3)))
    assert x.shape == (3, 1, 28, 28) and x.max() <= 1 and y.tolist() == arrays["t10k-labels-idx1-ubyte.gz"].tolist()
    assert repr(test) == (f"Dataset {dataset.__name__}\n    Number of datapoints: 3\n    Root location: {tmp_path}\n    Split: Test\n"
                          "    Transform: ToTensor()")
    assert test.class_to_idx[test.classes[9]] == 9


def test_files_that_torchvision_unpacked_are_read_too(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in mnist_files().items():
        (raw / name.removesuffix(".gz")).write_bytes(idx(array))
    assert len(MNIST(tmp_path, download=True)) == 7  # nothing is asked of the network


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 5)])
def test_every_idx_type_is_read(tmp_path, dtype, shape):
    array = np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    (tmp_path / "a").write_bytes(idx(array))
    read = read_idx(tmp_path / "a")
    assert read.dtype == array.dtype and read.shape == shape and (read == array).all()


@pytest.mark.parametrize("name, content, message", [
    ("a", b"", "does not begin like one"), ("a", b"PNG\r\n", "does not begin like one"), ("a", b"\0\0\x08", "does not begin like one"),
    ("a", b"\0\0\x08\x03\0\0", "is damaged"), ("a", idx(np.zeros((2, 3), np.uint8))[:-1], "announces 18 bytes for an array of shape .2, 3. and has 17"),
    ("a", b"\0\0\x08\x03" + b"\xff" * 12, "is damaged: it announces 79,228,162,458,924,105,385,300,197,391"), ("a.gz", b"abc", "could not be read"),
    ("a.gz", gzip.compress(idx(np.zeros(99, np.uint8)))[:-9], "could not be read"),
])
def test_a_damaged_idx_file_is_named_with_the_reason(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RuntimeError, match=message):
        read_idx(tmp_path / name)


def test_pictures_and_labels_that_do_not_belong_together_are_refused(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((3, 28, 28), np.uint8)))
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, np.uint8)))
    with pytest.raises(RuntimeError, match="do not belong together"):
        MNIST(tmp_path)


# CIFAR ---------------------------------------------------------------------------------------------------------------

def python2_string(text):
    return b"U" + bytes([len(text)]) + text.encode()


def python2_batch(rows, labels, key):
    """A batch as Python 2 wrote it: byte strings, and an array whose bytes are a string."""
    state = b"(K\x01(K" + bytes([len(rows)]) + b"M\x00\x0ctcnumpy\ndtype\nq\x01(U\x02u1K\x00K\x01tRq\x02"
    state += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
    state += len(rows.tobytes()).to_bytes(4, "little") + rows.tobytes() + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR" + state
    numbers = b"]" + b"".join(b"K" + bytes([label]) + b"a" for label in labels)
    return b"\x80\x02}(" + python2_string("data") + array + python2_string(key) + numbers + b"u."


def cifar_files(dataset, count=4):
    random = np.random.default_rng(1)
    names = {dataset.names: [f"kind {i}" for i in range(100)]}
    files = {dataset.about: pickle.dumps(names, protocol=2)}
    for name in (*dataset.train_files, *dataset.test_files):
        rows, labels = random.integers(0, 256, (count, 3072)).astype(np.uint8), random.integers(0, 10, count).tolist()
        files[name] = python2_batch(rows, labels, dataset.labels)
    return files


def packed(folder, files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


@pytest.mark.parametrize("dataset, batches", [(CIFAR10, 5), (CIFAR100, 1)])
def test_cifar_is_downloaded_and_read_from_the_archive_and_unpacked(server, tmp_path, monkeypatch, dataset, batches):
    files = cifar_files(dataset)
    archive = packed(dataset.base_folder, files)
    name = dataset.url.rpartition("/")[2]
    server.files[name] = archive
    monkeypatch.setattr(dataset, "url", server.address + name)
    monkeypatch.setattr(dataset, "tgz_md5", hashlib.md5(archive).hexdigest())
    with pytest.raises(RuntimeError, match="is not there; download=True fetches it"):
        dataset(tmp_path)
    train, test = dataset(tmp_path, download=True), dataset(tmp_path, train=False, transform=T.ToTensor())
    assert (len(train), len(test), len(server.requests)) == (4 * batches, 4, 1) and train.data.shape == (4 * batches, 32, 32, 3)
    rows = np.random.default_rng(1).integers(0, 256, (4, 3072)).astype(np.uint8)
    picture, label = train[2]
    assert (picture == rows[2].reshape(3, 32, 32).transpose(1, 2, 0)).all() and isinstance(label, int) and train.classes[3] == "kind 3"
    assert test[0][0].shape == (3, 32, 32)
    unpacked = tmp_path / "unpacked" / dataset.base_folder
    unpacked.mkdir(parents=True)
    for file, content in files.items():
        (unpacked / file).write_bytes(content)
    again = dataset(tmp_path / "unpacked", download=True)
    assert (again.data == train.data).all() and again.targets == train.targets and len(server.requests) == 1


def test_a_batch_that_wants_to_run_something_is_refused(tmp_path):
    files = cifar_files(CIFAR10) | {"test_batch": b"cos\nsystem\n(S'exit 3'\ntR."}
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(packed(CIFAR10.base_folder, files))
    assert len(CIFAR10(tmp_path)) == 20
    with pytest.raises(RuntimeError, match="CIFAR10: test_batch is damaged: it wants (os|posix|nt).system, which data do not need"):
        CIFAR10(tmp_path, train=False)


@pytest.mark.parametrize("change, message", [
    (lambda files: files.pop("data_batch_3"), "data_batch_3 is not in it"),
    (lambda files: files.update(data_batch_3=b"\x80\x02}."), "data_batch_3 is damaged: 'data'"),
    (lambda files: files.update(data_batch_3=files["data_batch_3"][:-40]), "data_batch_3 is damaged"),
    (lambda files: files.update(data_batch_3=python2_batch(np.zeros((4, 3072), np.uint8), [1, 2], "labels")), "2 labels and pixels of shape .4, 3072."),
    (lambda files: files.update(data_batch_3=pickle.dumps({"data": [1], "labels": [1]}, 2)), "its data is a list"),
], ids=["missing", "empty", "cut short", "counts", "no array"])
def test_a_damaged_cifar_archive_is_named_with_the_reason(tmp_path, change, message):
    files = cifar_files(CIFAR10)
    change(files)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(packed(CIFAR10.base_folder, files))
    with pytest.raises(RuntimeError, match=message):
        CIFAR10(tmp_path)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(packed(CIFAR10.base_folder, files)[:-100])
    with pytest.raises(RuntimeError, match="CIFAR10: .* is damaged"):
        CIFAR10(tmp_path)


# Text ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("length", [1, 7, 64])
def test_windows_of_a_text_are_each_characters_successors(length):
    text = "so it goes, 日本 and ß\n" * 40
    train, test = (Characters(text, part, length=length, held_out=0.25) for part in (True, False))
    assert train.text + test.text == text and len(test.text) == len(text) // 4
    assert train.vocabulary == test.vocabulary == "".join(sorted(set(text)))
    for part in (train, test):
        assert len(part) == (len(part.text) - 1) // length
        for i in (0, len(part) - 1):
            x, y = ("".join(part.vocabulary[c] for c in numbers.tolist()) for numbers in part[i])
            assert x == part.text[i * length:(i + 1) * length] and y == part.text[i * length + 1:(i + 1) * length + 1]


def test_a_text_that_is_too_short_for_a_window_says_so():
    with pytest.raises(ValueError, match="a text of 100 characters is too short: its last 10 are no window of 10 and the character after it"):
        Characters("x" * 100, train=False, length=10)
    assert len(Characters("x" * 110, train=False, length=10)) == 1
    with pytest.raises(ValueError, match="a text of 0 characters is too short"):
        Characters("")


def test_a_text_file_is_read_or_downloaded(server, tmp_path):
    content = "\ufeffone\r\ntwo\rthree\n".encode() * 50
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(tmp_path / "a.txt").startswith("one\ntwo\nthree\n")
    server.files["b.txt"] = content
    data = TextFile(tmp_path / "texts", download=True, url=server.address + "b.txt", sha256=hashlib.sha256(content).hexdigest(), length=8)
    assert data.path == tmp_path / "texts" / "b.txt" and data[0][0].shape == (8,)
    with pytest.raises(FileNotFoundError):
        TextFile(tmp_path / "none.txt")


def test_pythons_own_text_is_long_and_always_the_same():
    text = python_text()
    assert text == python_text() and len(text) > 200_000 and "The \"assert\" statement" in text.replace("'assert'", '"assert"')


def test_the_examples_of_the_docstrings_are_true():
    for module in (texts, T):
        done = doctest.testmod(module)
        assert done.attempted and not done.failed


def test_the_bundled_digits():
    images, labels = digits.load()
    assert images.shape == (1797, 8, 8) and images.max() == digits.INK and np.bincount(labels).min() > 170


# Transforms ----------------------------------------------------------------------------------------------------------

def picture(*shape, dtype=np.uint8):
    return (np.random.default_rng(3).random(shape) * 255).astype(dtype)


TRANSFORMS = [T.Resize(8), T.Resize((3, 9)), T.Resize(5, max_size=6), T.Resize((4, 4), T.InterpolationMode.NEAREST), T.CenterCrop(4), T.CenterCrop((9, 3)),
              T.RandomCrop(3, padding=2, padding_mode="reflect"), T.RandomCrop((8, 4), pad_if_needed=True, fill=9), T.RandomHorizontalFlip(),
              T.RandomVerticalFlip(1), T.Pad((1, 2), fill=7), T.Pad((1, 2, 3, 4), padding_mode="edge"), T.RandomRotation(30, fill=4),
              T.RandomRotation((45, 45), "bilinear", expand=True)]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_arrays_and_tensors_are_changed_alike_and_come_back_as_what_they_were(transform, dtype):
    array = picture(5, 7, 3, dtype=dtype)
    results = []
    for given in (array, torch.from_numpy(array.transpose(2, 0, 1).copy()), torch.from_numpy(array).permute(2, 0, 1).unsqueeze(0)):
        torch.manual_seed(4)
        results.append(transform(given))
    changed, tensor, batch = results
    assert isinstance(changed, np.ndarray) and changed.dtype == dtype and changed.flags.c_contiguous
    assert (changed == tensor.permute(1, 2, 0).numpy()).all() and (tensor.numpy() == batch[0].numpy()).all()
    torch.manual_seed(4)
    assert (transform(array[..., 0]) == changed[..., 0]).all()  # grey


def test_resizing_keeps_the_shape_of_the_longer_side():
    assert [T.Resize(10).size_for(*size) for size in [(20, 40), (40, 20), (7, 7), (1, 3)]] == [(10, 20), (20, 10), (10, 10), (10, 30)]
    assert T.Resize(10, max_size=15).size_for(20, 40) == (7, 15)
    with pytest.raises(ValueError, match="max_size = 5 must be strictly greater"):
        T.Resize(5, max_size=5)(picture(7, 9))
    flat = np.full((6, 4), 77, np.uint8)
    assert (T.Resize((13, 3))(flat) == 77).all()


def test_crops_pads_and_flips_by_hand():
    rows = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert T.CenterCrop(2)(rows).tolist() == [[1, 2], [5, 6]]  # of 0.5 rows, as Python rounds, none
    assert T.CenterCrop((1, 6))(rows).tolist() == [[0, 4, 5, 6, 7, 0]]
    assert T.RandomHorizontalFlip(1)(rows).tolist() == rows[:, ::-1].tolist() and T.RandomHorizontalFlip(0)(rows).tolist() == rows.tolist()
    assert T.Pad(1, padding_mode="symmetric")(rows[:1]).tolist() == [[0, 0, 1, 2, 3, 3]] * 3
    assert T.Pad((-1, 1, 0, -1), fill=9)(rows).tolist() == [[9, 9, 9], [1, 2, 3], [5, 6, 7]]
    assert T.Pad((-1, 1, 0, -1), fill=9)(torch.from_numpy(rows)).tolist() == [[9, 9, 9], [1, 2, 3], [5, 6, 7]]
    assert T.Pad((0, 1), fill=9)(rows[:1]).tolist() == [[9] * 4, [0, 1, 2, 3], [9] * 4]
    odd = np.arange(15, dtype=np.uint8).reshape(3, 5)  # the middle of both sides is a pixel
    assert T.RandomRotation((90, 90), expand=True)(odd).tolist() == np.rot90(odd).tolist()
    assert T.RandomRotation((180, 180))(rows).tolist() == rows[::-1, ::-1].tolist()
    with pytest.raises(ValueError, match=r"Required crop size \(4, 4\) is larger than input image size \(3, 4\)"):
        T.RandomCrop(4)(rows)


def test_random_transforms_draw_what_torchvision_draws():
    """The numbers were drawn once by torchvision 0.28, seed 11: crops of 32 of a 40 x 36 picture, and flips."""
    grid = torch.arange(40 * 36).reshape(1, 40, 36)
    torch.manual_seed(11)
    crops = [divmod(int(T.RandomCrop(32)(grid)[0, 0, 0]), 36) for _ in range(4)]
    flips = [bool(T.RandomHorizontalFlip()(grid)[0, 0, 0].item() == 35) for _ in range(8)]
    assert crops == [(0, 4), (6, 2), (5, 2), (5, 0)] and flips == [False, False, True, False, True, True, False, False]


def test_to_tensor_and_normalize():
    array = picture(4, 5, 3)
    tensor = T.ToTensor()(array)
    np.testing.assert_allclose(tensor.numpy(), array.transpose(2, 0, 1) / np.float32(255), rtol=1e-6)
    assert T.ToTensor()(array[..., 0]).shape == (1, 4, 5) and T.ToTensor()(array.astype(np.int16)).dtype == torch.int16
    normal = T.Compose([T.ToTensor(), T.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))])
    np.testing.assert_allclose(normal(array).numpy(), (tensor.numpy().T - [0.1, 0.2, 0.3]).T / np.array([0.5, 0.6, 0.7])[:, None, None], rtol=1e-5, atol=1e-6)
    assert (T.ToTensor()(array).numpy() == tensor.numpy()).all()  # nothing was changed in place
    assert repr(normal) == "Compose(\n    ToTensor()\n    Normalize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))\n)"


@pytest.mark.parametrize("call, error, message", [
    (lambda: T.ToTensor()(torch.zeros(3)), TypeError, "ToTensor: expected a NumPy array, but got Tensor"),
    (lambda: T.ToTensor()(np.zeros(3)), ValueError, r"not an array of shape \(3,\)"),
    (lambda: T.Normalize(0, 1)(torch.zeros(3, 2, 2, dtype=torch.uint8)), TypeError, "Input tensor should be a float tensor"),
    (lambda: T.Normalize(0, 1)(np.zeros((2, 2))), TypeError, "ToTensor.. before it makes one"),
    (lambda: T.Normalize(0, 0)(torch.zeros(3, 2, 2)), ValueError, "std evaluated to zero"),
    (lambda: T.Normalize(0, 1)(torch.zeros(2, 2)), ValueError, "Expected tensor to be a tensor image"),
    (lambda: T.CenterCrop(2)([1, 2]), TypeError, "CenterCrop: expected a tensor or a NumPy array, but got list"),
    (lambda: T.CenterCrop(2)(torch.zeros(3)), TypeError, r"expected a picture \(..., H, W\), but got a tensor of shape \(3,\)"),
    (lambda: T.Pad((1, 2, 3)), ValueError, "not a 3 element tuple"), (lambda: T.Pad(1, padding_mode="odd"), ValueError, "Padding mode should be"),
    (lambda: T.Resize((1, 2, 3)), ValueError, "1 or 2 values"), (lambda: T.RandomRotation(-1), ValueError, "must be positive"),
    (lambda: T.Lambda(3), TypeError, "should be callable"),
])
def test_wrong_pictures_and_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
