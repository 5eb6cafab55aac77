"""Every report and every kind of drawing, opened in a browser: nothing is logged, fetched, empty, clipped or drawn over."""
import os
from pathlib import Path

import pytest
from browser import Browser, found

import rushlight as torch
from rushlight import nn
from rushlight.cli.main import main

pytestmark = pytest.mark.skipif(found() is None, reason="there is no Chromium; make test-pages installs one")

READERS = [(1280, False), (1280, True), (400, False)]  # width of the window, dark or light
LAYOUT = """(() => {
    const problems = [], say = (what, element) => problems.push(what + ": " + (element.textContent || element.tagName).trim().slice(0, 60));
    if (document.documentElement.scrollWidth > innerWidth + 1) problems.push("the page is wider than its window: " + document.documentElement.scrollWidth);
    for (const figure of document.querySelectorAll("svg, table, pre, h1, h2, p")) {
        const box = figure.getBoundingClientRect();
        if (box.width < 2 || box.height < 2) say("empty", figure);
    }
    for (const svg of document.querySelectorAll("svg")) {
        const frame = svg.getBoundingClientRect();
        const texts = [...svg.querySelectorAll("text")].filter(t => t.textContent).map(t => [t, t.getBoundingClientRect()]);
        for (const [t, box] of texts)
            if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2) say("clipped", t);
        for (let i = 0; i < texts.length; i++) for (let j = i + 1; j < texts.length; j++) {
            const [a, b] = [texts[i][1], texts[j][1]];
            const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left), high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (wide > 1 && high > 1 && wide * high > 0.3 * Math.min(a.width * a.height, b.width * b.height))
                problems.push("over each other: " + texts[i][0].textContent + " | " + texts[j][0].textContent);
        }
    }
    const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(v => linear(v / 255)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
    const paper = light(getComputedStyle(document.body).backgroundColor);
    for (const element of document.querySelectorAll("h1, p, th, td, svg text:not(.on-colour)")) {
        const ink = light(getComputedStyle(element)[element.tagName == "text" ? "fill" : "color"]);
        if ((Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05) < 3.5) say("hardly to be seen", element);
    }
    return [...new Set(problems)];
})()"""


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


def check(browser, path):
    """The page for each kind of reader; with PAGES set to a folder, pictures of it are left there."""
    for width, dark in READERS:
        page = browser.open(path.as_uri(), width=width, dark=dark)
        assert page.evaluate("document.title") and page.evaluate("document.querySelectorAll('svg').length") >= 1
        if "PAGES" in os.environ:
            page.screenshot(Path(os.environ["PAGES"]) / f"{path.parent.name}-{path.stem}-{width}{'-dark' if dark else ''}.png")
        assert page.problems == [], (width, dark)
        assert page.evaluate(LAYOUT) == [], (width, dark)


@pytest.mark.parametrize("model", ["mlp", "cnn", "rnn", "vit"])
def test_the_report_of_digits(browser, folder, model):
    assert main(["train", "digits", "--model", model, "--epochs", "2", "--out", str(folder / model)]) == 0
    check(browser, folder / model / "report.html")


@pytest.mark.parametrize("model", ["rnn", "lstm", "gru", "gpt"])
def test_the_report_of_text(browser, folder, model):
    file = folder / "text.txt"
    file.write_text("".join(f"{i} times {j} is {i * j};\n" for i in range(30) for j in range(30)))
    assert main(["train", "text", str(file), "--model", model, "--epochs", "2", "--out", str(folder / f"text-{model}")]) == 0
    check(browser, folder / f"text-{model}" / "report.html")


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return (x + self.second(self.norm(self.first(x)).relu())).relu()


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.read, self.tag = nn.Embedding(30, 8), nn.GRU(8, 20, 2, bidirectional=True, batch_first=True), nn.Linear(40, 5)

    def forward(self, words):
        return self.tag(self.read(self.embed(words))[0])


def convolutional():
    return nn.Sequential(nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), Residual(16), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 49, 10))


MODELS = {
    "neurons": lambda: (nn.Sequential(nn.Linear(30, 50), nn.Tanh(), nn.Linear(50, 3)), torch.randn(2, 30)),
    "volumes": lambda: (convolutional(), torch.rand(1, 3, 32, 32)),
    "unrolled": lambda: (Tagger(), torch.randint(0, 30, (2, 40))),
    "attention": lambda: (nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 3), torch.randn(2, 12, 16)),
    "modules": lambda: (nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 3), torch.randn(2, 12, 16)),
}


@pytest.mark.parametrize("style", MODELS)
def test_a_model_drawn_in_each_style(browser, folder, style):
    model, x = MODELS[style]()
    torch.draw(model, x, style=style).save(folder / f"{style}.html")
    check(browser, folder / f"{style}.html")


def test_the_graph_of_a_loss(browser, folder):
    model = convolutional()
    loss = nn.functional.cross_entropy(model(torch.rand(2, 3, 32, 32)), torch.tensor([1, 2]))
    torch.draw(loss, model).save(folder / "graph.html")
    check(browser, folder / "graph.html")
