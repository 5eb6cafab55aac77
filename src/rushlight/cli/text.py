"""The task "text": which character comes next.

    Text(settings)   data, network, test beside what counting can do, and what the report says of them
    generate         rushlight generate RUN --prompt "..."
"""
import contextlib
import hashlib
import platform
from dataclasses import dataclass

import numpy as np

import rushlight as torch
from rushlight import nn
from rushlight.datasets import Characters, python_text, read_text

from . import networks, report, runs
from .errors import CommandError, reason
from .trigrams import Trigrams

LENGTH = 64  # characters a sample
SHORTEST = 1000  # characters a file should have: a tenth is held out
AT_ONCE = 128  # samples tested at a time
SAMPLE = 300  # characters in the report
SOURCE = "Text: the licence and the language reference that come with Python {}, Python Software Foundation License."


@dataclass
class Findings:
    """A network tested on the text that is held out: nats a character, the share guessed right, and each character's nats."""

    loss: float
    accuracy: float
    surprises: np.ndarray  # (samples, LENGTH)


class Text:
    """Nine tenths of a text to learn from, its end held out."""

    unit = "characters"

    def __init__(self, settings):
        text = python_text() if settings.file is None else _text_of(settings.file)
        self.learn, self.held_out = (Characters(text, train, LENGTH) for train in (True, False))
        self.vocabulary = self.learn.vocabulary
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()  # a run goes on only with the same text
        self.trigrams = Trigrams(self.learn.codes.numpy(), len(self.vocabulary)).loss(self.held_out.codes.numpy())
        self.about = {"task": "text", "model": settings.model, "vocabulary": self.vocabulary}
        self.introduction = (f"[bold]{len(self.learn.text):,}[/] characters to learn from, [bold]{len(self.held_out.text):,}[/] held out, "
                             f"{len(self.vocabulary)} different")

    def make_model(self):
        """An untrained network."""
        return make_model(self.about)

    @staticmethod
    def logits(model, x):
        """(N, T, symbols)"""
        return model(x)[0]

    def test(self, model):
        """What the network makes of the text that is held out, in samples that each begin without memory."""
        model.eval()
        surprises, right = [], 0
        with torch.no_grad():
            for start in range(0, len(self.held_out), AT_ONCE):
                x, y = self.held_out[start:start + AT_ONCE]
                logits = self.logits(model, x)
                right += (logits.argmax(dim=-1) == y).sum().item()
                surprises.append(nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view(y.shape).numpy())
        surprises = np.concatenate(surprises)
        return Findings(float(surprises.mean(dtype=np.float64)), right / surprises.size, surprises)

    def verdict(self, findings):
        """One line for the terminal."""
        return (f"Held-out loss [bold]{findings.loss:.4f}[/]; counting three characters at a time reaches [bold]{self.trigrams:.4f}[/]. "
                f"[bold]{100 * findings.accuracy:.1f} %[/] of the characters are guessed right")

    def page(self, model, history, settings, findings):
        """What the report shows: its title, its headline numbers, and its sections."""
        title = f"The next character, guessed {100 * findings.accuracy:.1f} % right"
        numbers = [(f"{findings.loss:.4f}", "held-out loss"), (f"{self.trigrams:.4f}", "the same for a 3-gram model"),
                   (f"{100 * findings.accuracy:.1f} %", "guessed right")]
        seen = self.held_out.text
        line = seen.find("\n") + 1  # 0 where there is none
        prompt = seen[line:max(seen.find(" ", line + 20), line + 20)]
        sample = []
        with contextlib.suppress(ValueError):  # of a network that has diverged
            sample = list(continued(model, self.vocabulary, encoded(prompt, self.vocabulary), SAMPLE, 0.7, settings.seed))
        few = np.nan_to_num(findings.surprises[:9], nan=99.0)
        sections = [report.learning(history, ("3-gram model", self.trigrams)), report.sampled(prompt, "".join(sample)),
                    report.surprising(seen[1:1 + few.size], few.ravel(), self.held_out.length),
                    report.at_work(model, self.held_out[:1][0][:, :24], [repr(c)[1:-1] if c in "\n\t" else c for c in self.vocabulary])]
        source = SOURCE.format(platform.python_version()) if settings.file is None else ""
        story = f"tested on {len(seen):,} characters that it never saw, in samples of {LENGTH} that each begin without memory"
        return report.Content(title, story, numbers, sections, source)


def _text_of(file):
    """The text of a file that is long enough; CommandError where there is none."""
    try:
        text = read_text(file)
    except OSError as error:
        raise CommandError(f"{file} could not be read: {reason(error)}") from error
    except ValueError as error:
        raise CommandError(str(error)) from error
    if len(text) < SHORTEST:
        raise CommandError(f"{file} has {len(text):,} characters; at least {SHORTEST:,} are needed, as a tenth is held out")
    return text


def make_model(about):
    """The network that a run's file tells of."""
    return networks.TEXT[about["model"]](len(about["vocabulary"]))


def encoded(prompt, vocabulary):
    """A prompt as (1, T) numbers; ValueError for characters that the network does not know."""
    numbers = {character: i for i, character in enumerate(vocabulary)}
    if unknown := sorted({character for character in prompt if character not in numbers}):
        raise ValueError(f"the network has never seen {', '.join(map(repr, unknown))}")
    return torch.tensor([[numbers[character] for character in prompt]])


def continued(model, vocabulary, text, length, temperature, seed):
    """`length` characters after `text` (1, T), one by one.

    Each is drawn by its probability to the power of 1 / temperature; at 0 it is always the likeliest.  ValueError where the network
    has diverged.
    """
    generator = torch.Generator().manual_seed(seed)
    state = None
    with torch.no_grad():
        for _ in range(length):
            logits, state = model(text, state)
            logits = logits[0, -1]
            if not logits.isfinite().all():
                raise ValueError("the network has diverged while it was trained: what it gives is no numbers")
            if temperature:
                logits = (logits - logits.max()) / temperature  # at most 0: near a temperature of 0 nothing overflows
                chosen = torch.multinomial(logits.softmax(dim=0), 1, generator=generator)
            else:
                chosen = logits.argmax()
            text = chosen.reshape(1, 1)
            yield vocabulary[text.item()]


def generate(options, console):
    """Print a prompt and what the network of a run goes on with."""
    model, about = runs.load_model(options.model, "text", make_model)
    vocabulary = about["vocabulary"]
    begin = options.prompt or ("\n" if "\n" in vocabulary else vocabulary[0])  # without a prompt, as after a line's end
    try:
        text = encoded(begin, vocabulary)
    except ValueError as error:
        raise CommandError(f"--prompt: {error}") from error
    console.out(options.prompt, end="", highlight=False)
    try:
        for character in continued(model, vocabulary, text, options.length, options.temperature, options.seed):
            console.out(character, end="", highlight=False)
    except ValueError as error:
        raise CommandError(f"{options.model}: {error}") from error
    finally:
        console.out()
