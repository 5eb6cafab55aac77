"""The rushlight command, as a user meets it."""
import csv
import errno
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

import rushlight
from rushlight.cli import images, runs
from rushlight.cli.digits import make_model
from rushlight.cli.main import main
from rushlight.datasets import digits


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run, made once."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert main(["train", "digits", "--out", str(folder)]) == 0
    return folder


# ---------------------------------------------------------------------------------------------------------------------
# Training

def test_the_digits_are_learned_to_97_percent(run):
    with open(run / "metrics.csv") as file:
        epochs = list(csv.DictReader(file))
    assert len(epochs) == 20 and float(epochs[-1]["held_out_accuracy"]) >= 0.97
    assert float(epochs[-1]["loss"]) < 0.1 * float(epochs[0]["loss"])


def test_the_report_is_one_page_that_needs_nothing_else(run):
    page = (run / "report.html").read_text()
    assert page.count("<svg") >= 5 and "What was taken for what" in page and "The network at work" in page
    links = re.findall(r'(?:src|href)="[^"]*"|url\([^)]*\)|@import', page)
    assert links == [] and f"rushlight {rushlight.__version__}" in page


def test_the_same_seed_gives_the_same_file(tmp_path):
    for name in ("a", "b"):
        assert main(["train", "digits", "--epochs", "1", "--seed", "3", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["train", "digits", "--epochs", "1", "--out", str(tmp_path)]) == 1
    assert "exists already and is not empty; choose another folder with --out" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.txt"]


def test_runs_without_a_name_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "digits-4").mkdir(parents=True)
    assert runs.new_run(None, "digits").name == "digits-5"


def start_training(folder):
    """A training of many epochs in a process of its own, after its first checkpoint."""
    process = subprocess.Popen([sys.executable, "-m", "rushlight.cli.main", "train", "digits", "--epochs", "100000", "--out", str(folder)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (folder / "metrics.csv").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    return process


def test_ctrl_c_saves_model_metrics_and_report_and_exits_with_130(tmp_path):
    process = start_training(tmp_path / "run")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors == ""
    assert sorted(entry.name for entry in (tmp_path / "run").iterdir()) == ["checkpoint.pt", "metrics.csv", "model.safetensors", "report.html", "settings.toml"]
    assert "then stopped" in (tmp_path / "run/report.html").read_text()
    runs.load_model(tmp_path / "run", "digits", make_model)


def test_a_killed_training_leaves_a_whole_model(tmp_path):
    process = start_training(tmp_path / "run")
    time.sleep(0.1)
    process.kill()
    process.communicate()
    runs.load_model(tmp_path / "run", "digits", make_model)
    assert runs.load_checkpoint(tmp_path / "run")["training"]["epoch"] >= 1


def test_a_full_disk_while_saving_keeps_the_file_that_was_there(tmp_path, monkeypatch):
    runs.write_whole(tmp_path / "file", "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(runs.CommandError, match="file could not be written: No space left on device; the one saved before is still there"):
        runs.write_whole(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Predicting

def png(pixels, colour=0, depth=8, palette=b"", transparency=b"", filters=(0,), interlaced=0):
    """A PNG of (H, W, channels) bytes whose rows use `filters` in turn."""
    height, width, channels = pixels.shape
    rows, above = b"", np.zeros(width * channels, int)
    for i, row in enumerate(pixels.reshape(height, -1).astype(int)):
        kind = filters[i % len(filters)]
        left, corner = (np.concatenate([np.zeros(channels, int), other[:-channels]]) for other in (row, above))
        estimate = left + above - corner
        distances = np.abs(np.array([left, above, corner]) - estimate)
        guess = [0 * row, left, above, (left + above) // 2, np.choose(distances.argmin(axis=0), [left, above, corner])][kind]
        packed = np.packbits(((row[:, None] >> np.arange(depth - 1, -1, -1)) & 1).ravel()) if depth < 8 else ((row - guess) & 255).astype(np.uint8)
        rows, above = rows + bytes([kind if depth == 8 else 0]) + packed.tobytes(), row
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)), (b"PLTE", palette), (b"tRNS", transparency),
             (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return images.PNG_SIGNATURE + b"".join(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
                                           for kind, content in parts if content or kind == b"IEND")


def digit(number, index=3):
    everything, labels = digits.load()
    return everything[np.flatnonzero(labels == number)[index]]


def drawn(number, side=200):
    """A digit as a drawing program would save it: large, dark on white, off the middle."""
    large = np.kron(digit(number), np.ones((12, 12))) / digits.INK
    page = np.zeros((side, side))
    page[40:40 + 96, 60:60 + 96] = large
    return (255 * (1 - page)).astype(np.uint8)


def predicted(run, path, capsys):
    assert main(["predict", str(run), str(path)]) == 0
    return [int(line.split()[1]) for line in capsys.readouterr().out.splitlines() if re.match(r"\s*\d+\s+\d\s", line)]


@pytest.mark.parametrize("number", [0, 4, 7])
def test_png_npy_and_csv_files_are_classified(run, tmp_path, capsys, number):
    grey = drawn(number)[..., None]
    (tmp_path / "drawn.png").write_bytes(png(grey, filters=(0, 1, 2, 3, 4)))
    (tmp_path / "colour.png").write_bytes(png(np.repeat(grey, 3, axis=2), colour=2, filters=(4, 3, 2, 1)))
    np.save(tmp_path / "one.npy", digit(number))
    np.savetxt(tmp_path / "one.csv", digit(number), fmt="%d", delimiter=",")
    for name in ("drawn.png", "colour.png", "one.npy", "one.csv"):
        assert predicted(run, tmp_path / name, capsys) == [number], name


def test_many_images_give_many_lines(run, tmp_path, capsys):
    rows = np.array([digit(number).ravel() for number in range(10)])
    np.save(tmp_path / "all.npy", rows)
    (tmp_path / "all.csv").write_text(",".join(f"pixel{i}" for i in range(64)) + "\n" + "\n".join(",".join(map(str, row)) for row in rows))
    assert predicted(run, tmp_path / "all.npy", capsys) == list(range(10)) == predicted(run, tmp_path / "all.csv", capsys)


@pytest.mark.parametrize("colour, channels, depth", [(0, 1, 8), (2, 3, 8), (4, 2, 8), (6, 4, 8), (3, 1, 8), (3, 1, 4), (0, 1, 1), (0, 1, 2)])
@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (0, 1, 2, 3, 4)])
def test_every_kind_of_png_row_is_decoded(tmp_path, colour, channels, depth, filters):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 2**depth, (9, 11, channels))
    palette = random.integers(0, 256, (2**depth, 3)).astype(np.uint8)
    transparency = bytes(random.integers(0, 256, 3).astype(np.uint8))
    path = tmp_path / "a.png"
    path.write_bytes(png(pixels, colour, depth, palette.tobytes() if colour == 3 else b"", transparency if colour == 3 else b"", filters))
    alpha = np.ones((9, 11))
    colours = pixels / (2**depth - 1)
    if colour == 3:
        colours = palette[pixels[..., 0]] / 255
        alpha = np.concatenate([np.frombuffer(transparency, np.uint8)[:2**depth] / 255, np.ones(max(0, 2**depth - 3))])[pixels[..., 0]]
    elif colour in (4, 6):
        colours, alpha = colours[..., :-1], colours[..., -1]
    grey = colours[..., 0] if colours.shape[-1] == 1 else colours @ [0.299, 0.587, 0.114]
    [decoded] = images.read_png(path)
    np.testing.assert_allclose(decoded, grey * alpha + 1 - alpha, atol=1e-12)


GOOD = png(np.zeros((9, 9, 1)))


@pytest.mark.parametrize("name, content, message", [
    ("a.txt", b"", "its name should end in .png, .csv or .npy"),
    ("a.png", b"hello", "is no usable PNG image: it does not begin like one"),
    ("a.png", GOOD[:-20], "is no usable PNG image: it ends too early"),
    ("a.png", GOOD[:50] + b"?" + GOOD[51:], "is no usable PNG image: its IDAT part is damaged"),
    ("a.png", png(np.zeros((9, 9, 1)), interlaced=1), "is no usable PNG image: it is interlaced"),
    ("a.png", png(np.full((9, 9, 1), 7), colour=3, palette=b"abc"), "is no usable PNG image: it uses colours that its palette lacks"),
    ("a.npy", b"not an array", "is no usable NPY image: it is no array of numbers"),
    ("a.csv", b"1,2\n3\n", "is no usable CSV image: not every line is numbers, or lines differ in length"),
    ("a.csv", b"", "is no usable CSV image: it is empty"),
    ("a.csv", b"1,2\n3,4\n", r"a shape of \(1, 2, 2\) is neither one image of at least 8 x 8 nor a stack of them"),
    ("a.csv", b"\xff\xfe", "is no usable CSV image: it is no text"),
], ids=["other name", "no png", "cut short", "damaged", "interlaced", "palette", "no npy", "ragged", "empty", "too small", "no text"])
def test_a_file_that_is_no_image_is_named_with_the_reason(run, tmp_path, capsys, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert main(["predict", str(run), str(tmp_path / name)]) == 1
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("damage, message", [
    (lambda folder: None, "there is no such folder"),
    (lambda folder: folder.mkdir(), "model.safetensors is missing"),
    (lambda folder: (folder.mkdir(), (folder / "model.safetensors").write_bytes(b"nonsense")), "is damaged or was not written by rushlight train"),
    (lambda folder: folder.write_text("x"), "is no run folder but a file"),
], ids=["missing", "empty", "nonsense", "a file"])
def test_a_missing_or_damaged_run_is_named_with_the_reason(tmp_path, capsys, damage, message):
    damage(tmp_path / "run")
    np.save(tmp_path / "one.npy", digit(3))
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "one.npy")]) == 1
    assert message in capsys.readouterr().err


def test_a_model_cut_short_is_damaged(run, tmp_path, capsys):
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:-100])
    np.save(tmp_path / "one.npy", digit(3))
    assert main(["predict", str(tmp_path), str(tmp_path / "one.npy")]) == 1
    assert "model.safetensors is damaged" in capsys.readouterr().err


def test_the_version_and_wrong_arguments(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0 and capsys.readouterr().out == f"rushlight {rushlight.__version__}\n"
    with pytest.raises(SystemExit) as exit:
        main(["train", "digits", "--epochs", "0"])
    assert exit.value.code == 2 and "argument --epochs: invalid positive whole number value: '0'" in capsys.readouterr().err
