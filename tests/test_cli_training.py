"""Training runs of every kind: they learn, stop and go on, and are the same for the same seed."""
import csv
import errno
import functools
import os
import re
import signal

import pytest
import safetensors

import rushlight as torch
from rushlight.cli import networks, runs, settings, train
from rushlight.cli.errors import CommandError
from rushlight.cli.main import main
from rushlight.cli.trigrams import Trigrams
from rushlight.datasets import Characters

SMALL = ["--batch-size", "128"]


@pytest.fixture(autouse=True)
def as_many_threads_afterwards():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("".join(f"{i} times {j} is {i * j};\n" for i in range(12) for j in range(12)))
    return file


def metrics(folder):
    """The measured numbers, without the speed."""
    with open(folder / "metrics.csv") as file:
        return [[value for name, value in row.items() if not name.endswith("_per_second")] for row in csv.DictReader(file)]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def stopped_after(steps, monkeypatch):
    """As if Ctrl-C came during that step."""
    class Interrupts(train.Interrupts):
        left = steps

        @property
        def signal(self):
            self.left -= 1
            return signal.SIGINT if self.left <= 0 else None

        @signal.setter
        def signal(self, value):
            pass
    monkeypatch.setattr(train, "Interrupts", Interrupts)


# Digits --------------------------------------------------------------------------------------------------------------

def test_a_recurrent_network_learns_digits_row_by_row(tmp_path):
    assert main(["train", "digits", "--model", "rnn", "--epochs", "2", *SMALL, "--out", str(tmp_path / "rnn")]) == 0
    first, second = metrics(tmp_path / "rnn")
    assert float(second[2]) < 0.9 * float(first[2])
    assert "unrolled over 8 times" in (tmp_path / "rnn" / "report.html").read_text()


@pytest.mark.parametrize("model, style", [("mlp", "neurons"), ("cnn", "volumes"), ("rnn", "unrolled"), ("vit", "attention")])
def test_every_network_for_digits_is_drawn_in_its_own_way(model, style):
    network = networks.DIGITS[model]()
    images = torch.rand(3, 8, 8)
    assert network(images).shape == (3, 10) and torch.draw(network, images, outputs="0123456789").style == style


def test_a_run_that_was_stopped_within_an_epoch_goes_on_bit_for_bit(tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    order = ["train", "digits", "--model", "cnn", "--epochs", "2", "--seed", "5", *SMALL]  # dropout and batch norm: all there is to keep
    assert main([*order, "--out", str(whole)]) == 0
    with monkeypatch.context() as patched:
        stopped_after(17, patched)  # of 12 an epoch
        assert main([*order, "--out", str(parts)]) == 130
    state = runs.load_checkpoint(parts)["training"]
    assert (state["epoch"], state["step"]) == (1, 5) and weights(parts) != weights(whole)
    torch.manual_seed(99)
    assert main(["train", "--resume", str(parts)]) == 0
    assert weights(parts) == weights(whole) and metrics(parts) == metrics(whole)
    assert runs.load_checkpoint(parts)["history"]["losses"] == runs.load_checkpoint(whole)["history"]["losses"]


def test_the_number_of_threads_changes_nothing(tmp_path):
    for threads in ("1", "2"):
        assert main(["train", "digits", "--model", "cnn", "--epochs", "1", "--threads", threads, *SMALL, "--out", str(tmp_path / threads)]) == 0
    assert weights(tmp_path / "1") == weights(tmp_path / "2")


def test_a_run_that_has_ended_goes_on_with_more_epochs(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main(["train", "digits", "--epochs", "1", *SMALL, "--out", run]) == 0
    assert main(["train", "--resume", run]) == 1
    assert "has ended after epoch 1; --epochs with a larger number goes on" in capsys.readouterr().err
    assert main(["train", "--resume", run, "--epochs", "3"]) == 0
    assert [row[0] for row in metrics(tmp_path / "run")] == ["1", "2", "3"]
    assert runs.load_settings(tmp_path / "run").epochs == 3


@pytest.mark.parametrize("damage, message", [
    (lambda folder: (folder / "checkpoint.pt").write_bytes((folder / "checkpoint.pt").read_bytes()[:-500]), "checkpoint.pt is damaged"),
    (lambda folder: _flip(folder / "checkpoint.pt"), "checkpoint.pt is damaged"),
    (lambda folder: (folder / "checkpoint.pt").write_bytes(b"cos\nsystem\n(S'exit 3'\ntR."), "checkpoint.pt is damaged or was not written by rushlight train"),
    (lambda folder: (folder / "checkpoint.pt").unlink(), "stopped before its first checkpoint"),
    (lambda folder: torch.save({"format": 1, "training": {}}, folder / "checkpoint.pt"), "checkpoint.pt is damaged or was not written by rushlight train"),
    (lambda folder: torch.save({"format": 2}, folder / "checkpoint.pt"), "is of format 2; this version of Rushlight goes on with format 1"),
    (lambda folder: (folder / "settings.toml").write_text("lr = ["), "settings.toml is no TOML"),
    (lambda folder: (folder / "settings.toml").unlink(), "is no run folder: settings.toml is missing"),
], ids=["cut short", "a bit", "hostile", "missing", "other content", "newer", "settings damaged", "settings missing"])
def test_a_damaged_run_does_not_go_on(stopped_run, damage, message, capsys):
    damage(stopped_run)
    assert main(["train", "--resume", str(stopped_run)]) == 1
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert main(["train", "digits", "--epochs", "1", *SMALL, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def stopped_run(one_epoch, tmp_path):
    """A copy of a run that could go on."""
    copy = tmp_path / "run"
    copy.mkdir()
    for file in one_epoch.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    settings_file = copy / "settings.toml"
    settings_file.write_text(settings_file.read_text().replace("epochs = 1", "epochs = 2"))
    return copy


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_full_disk_ends_a_run_with_what_it_had(stopped_run, monkeypatch, capsys):
    before = (stopped_run / "checkpoint.pt").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert main(["train", "--resume", str(stopped_run)]) == 1
    assert "could not be written: No space left on device; the one saved before is still there" in capsys.readouterr().err
    assert (stopped_run / "checkpoint.pt").read_bytes() == before
    assert main(["train", "--resume", str(stopped_run)]) == 0


# Settings ------------------------------------------------------------------------------------------------------------

def test_the_command_line_counts_more_than_the_file_and_the_run_keeps_what_was_used(tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text('task = "digits"\nmodel = "rnn"\nepochs = 7\nlr = 1\nbatch-size = 500\n')
    assert main(["train", "--config", str(config), "--epochs", "1", "--lr", "0.001", "--out", str(tmp_path / "run")]) == 0
    kept = runs.load_settings(tmp_path / "run")
    assert kept == settings.Settings("digits", "rnn", None, epochs=1, lr=0.001, batch_size=500, seed=0, threads=None)
    assert main(["train", "--config", str(tmp_path / "run/settings.toml"), "--out", str(tmp_path / "again")]) == 0
    assert weights(tmp_path / "again") == weights(tmp_path / "run")


@pytest.mark.parametrize("content, message", [
    ('epoch = 1', "there is no setting 'epoch'; did you mean epochs?"),
    ('zzz = 1', "there is no setting 'zzz'; there are task, file, model, epochs, lr, batch-size, seed, threads, out"),
    ('epochs = 0', "epochs should be a positive whole number, not 0"),
    ('epochs = 2.5', "epochs should be a positive whole number, not 2.5"),
    ('epochs = "2"', "epochs should be a positive whole number, not '2'"),
    ('lr = nan', "lr should be a positive number, not nan"),
    ('lr = true', "lr should be a positive number, not True"),
    ('seed = 1e3', "seed should be a whole number of at most 64 bits, not 1000.0"),
    ('model = ["cnn"]', "model should be a text, not ['cnn']"),
    ('model = "gpt"', "there is no model 'gpt' for digits; there are mlp, cnn, rnn, vit"),
    ('task = "music"', "there is no task 'music'; there are digits and text"),
    ('file = "a.txt"', "digits come with the package, so there is no use for the file"),
    ('lr = ', "is no TOML: "),
])
def test_a_wrong_setting_in_the_file_is_named(tmp_path, content, message, capsys):
    config = tmp_path / "mine.toml"
    config.write_text(content if content.startswith("task") else 'task = "digits"\n' + content)
    assert main(["train", "--config", str(config)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("given, message", [
    (["--lr", "1"], "--lr cannot be given with --resume"), (["digits"], "TASK cannot be given"), (["--batch-size", "3"], "--batch-size cannot be given"),
    (["--out", "x"], "--out cannot be given"), (["--config", "x"], "--config cannot be given"), (["text", "f"], "TASK cannot be given"),
])
def test_a_run_that_goes_on_keeps_its_settings(stopped_run, given, message, capsys):
    assert main(["train", *given, "--resume", str(stopped_run)]) == 1
    assert message in capsys.readouterr().err


# Text ----------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def text_run(text, tmp_path_factory):
    """The folder of a run for each model, made once."""
    folder = tmp_path_factory.mktemp("texts")

    @functools.cache
    def run(model):
        assert main(["train", "text", str(text), "--model", model, "--epochs", "2", "--batch-size", "8", "--out", str(folder / model)]) == 0
        return folder / model
    return run


@pytest.mark.parametrize("model, style", [("rnn", "unrolled"), ("lstm", "unrolled"), ("gru", "unrolled"), ("gpt", "attention")])
def test_every_network_for_text_is_drawn_in_its_own_way(model, style):
    network = networks.TEXT[model](5)
    text = torch.randint(0, 5, (2, 9))
    logits, state = network(text)
    assert logits.shape == (2, 9, 5) and network(text[:, :1], state)[0].shape == (2, 1, 5)
    assert torch.draw(network, text, outputs="abcde").style == style


@pytest.mark.parametrize("model", ["lstm", "gpt"])
def test_a_text_is_learned_and_gone_on_with(text_run, text, model, capsys):
    folder = text_run(model)
    first, second = metrics(folder)
    assert float(second[4]) < float(first[4])  # held out
    page = (folder / "report.html").read_text()
    assert "3-gram model" in page and "Where it was surprised" in page and {"gpt": "attention of 2 layers", "lstm": "unrolled over 24 times"}[model] in page
    capsys.readouterr()
    outputs = []
    for seed in ("1", "1", "2"):
        assert main(["generate", str(folder), "--prompt", "3 times", "--length", "40", "--seed", seed]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]
    assert all(output.startswith("3 times") and len(output) == 7 + 40 + 1 for output in outputs)
    assert set("".join(outputs)) <= set(text.read_text())


def test_a_network_that_diverges_is_reported_and_says_nothing(tmp_path, text, capsys):
    folder = str(tmp_path / "run")
    assert main(["train", "text", str(text), "--model", "gpt", "--epochs", "1", "--lr", "1e30", "--out", folder]) == 0
    assert "the learning rate is too high" in " ".join(capsys.readouterr().out.split())
    assert "nan" not in re.sub("nan</b>|sans", "", (tmp_path / "run" / "report.html").read_text().split("<h2>Learning")[1])
    assert main(["generate", folder]) == 1
    assert "the network has diverged while it was trained" in capsys.readouterr().err


def test_a_run_stopped_within_its_first_epoch_has_its_report_too(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stopped_after(2, patched)
        assert main(["train", "digits", *SMALL, "--epochs", "1", "--out", str(tmp_path / "run")]) == 130
    assert metrics(tmp_path / "run") == [] and "0 epochs of 1, then stopped" in (tmp_path / "run" / "report.html").read_text()
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    assert len(metrics(tmp_path / "run")) == 1


def test_a_text_run_goes_on_and_only_with_the_same_text(tmp_path, text, capsys):
    mine = tmp_path / "mine.txt"
    mine.write_text(text.read_text())
    run = str(tmp_path / "run")
    assert main(["train", "text", str(mine), "--model", "rnn", "--epochs", "1", "--out", run]) == 0
    mine.write_text(text.read_text() + "more")
    assert main(["train", "--resume", run, "--epochs", "2"]) == 1
    assert "mine.txt is not what it was when the run" in capsys.readouterr().err
    mine.unlink()
    assert main(["train", "--resume", run, "--epochs", "2"]) == 1
    assert "mine.txt could not be read: No such file or directory" in capsys.readouterr().err
    mine.write_text(text.read_text())
    assert main(["train", "--resume", run, "--epochs", "2"]) == 0


@pytest.mark.parametrize("content, message", [
    (None, "could not be read: No such file or directory"),
    (b"abc\0def" * 1000, "is no text: it has zero bytes, as programs and pictures do"),
    (b"good so far " * 100 + b"\xff", "is no text in UTF-8: byte 1,200 is 0xff"),
    (b"x" * 999, "has 999 characters; at least 1,000 are needed, as a tenth is held out"),
    (b"", "has 0 characters"),
], ids=["missing", "zero bytes", "no UTF-8", "short", "empty"])
def test_a_file_that_is_no_text_leaves_no_folder(tmp_path, monkeypatch, capsys, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    assert main(["train", "text", "a.txt"]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "runs").exists()


def test_a_prompt_of_unknown_characters_and_a_run_of_another_task_are_refused(text_run, one_epoch, capsys):
    folder = text_run("gpt")
    capsys.readouterr()
    assert main(["generate", str(folder), "--prompt", "日 and ß"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "--prompt: the network has never seen 'a', 'd', 'n', 'ß', '日'" in err
    assert main(["generate", str(one_epoch)]) == 1
    assert "learned digits, not text: it is for rushlight predict" in capsys.readouterr().err
    assert main(["predict", str(folder), "a.png"]) == 1
    assert "learned text, not digits: it is for rushlight generate" in capsys.readouterr().err
    assert main(["generate", str(folder), "--temperature", "0", "--length", "5"]) == 0
    assert len(capsys.readouterr().out) == 6


def test_a_model_is_whole_in_itself(one_epoch):
    with safetensors.safe_open(one_epoch / "model.safetensors", framework="np") as file:
        assert '"task": "digits"' in file.metadata()["rushlight"] and "5.weight" in file.keys()


def test_a_text_network_goes_on_from_its_state_as_if_it_read_everything_at_once():
    for model in ("lstm", "gpt"):
        torch.manual_seed(0)
        network = networks.TEXT[model](11).eval()
        text = torch.randint(0, 11, (2, 20))
        with torch.no_grad():
            whole, _ = network(text)
            _, state = network(text[:, :13])
            rest, _ = network(text[:, 13:], state)
        assert (rest - whole[:, 13:]).abs().max().item() < 1e-5


# What counting can do ------------------------------------------------------------------------------------------------

def test_trigram_probabilities_are_a_distribution_after_any_two_characters():
    codes = Characters("the cat sat on the mat and that was that; " * 30).codes.numpy()
    size = int(codes.max()) + 3  # two characters that never came
    model = Trigrams(codes, size)
    for a, b in [(codes[0], codes[1]), (size - 1, codes[0]), (codes[0], size - 1), (size - 1, size - 1)]:
        total = sum(model.probabilities([a, b, c])[0] for c in range(size))
        assert abs(total - 1) < 1e-12
        assert all(model.probabilities([a, b, c])[0] > 0 for c in range(size))


def test_trigram_probabilities_by_hand():
    """abab + c: after "ab" came a twice and c once; lower orders count what they follow."""
    model = Trigrams([0, 1, 0, 1, 0, 1, 2], 3)
    d3, d2, d1 = (order.discount for order in reversed(model.orders))
    one = [(max(n - d1, 0) + d1 * 3 / 3) / 3 for n in (1, 1, 1)]  # each follows one kind of character
    after_b = [(max(1 - d2, 0) + d2 * 2 * one[0]) / 2, d2 * 2 * one[1] / 2, (max(1 - d2, 0) + d2 * 2 * one[2]) / 2]  # ba after one kind, bc after one
    expected = [(2 - d3 + d3 * 2 * after_b[0]) / 3, d3 * 2 * after_b[1] / 3, (1 - d3 + d3 * 2 * after_b[2]) / 3]
    assert [round(model.probabilities([0, 1, c])[0], 12) for c in range(3)] == [round(p, 12) for p in expected]


def test_new_settings_are_written_and_read_back(tmp_path):
    made = settings.Settings("text", "gpt", '/odd "name"\\ ü.txt', 3, 1e-05, 7, -5, 2)
    (tmp_path / "settings.toml").write_text(settings.written(made))
    assert runs.load_settings(tmp_path) == made
    with pytest.raises(CommandError, match="what to train"):
        settings.settings_of({})
