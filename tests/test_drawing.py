"""Drawings: of models at work, of graphs, and of numbers."""
import doctest
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import rushlight as torch
from rushlight import drawing, nn
from rushlight.drawing import charts, styles
from rushlight.drawing.graph import calls_of
from rushlight.drawing.tracing import traced

F = nn.functional


def elements(svg, name):
    """The elements of a drawing, which has to be well-formed."""
    return [element for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("}" + name)]


def words(svg):
    return ["".join(element.itertext()) for element in elements(svg, "text")]


def names_of_elements(svg):
    return [element.get("class") for element in ElementTree.fromstring(svg).iter()]


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 30), nn.ReLU(), nn.Dropout(0.5), nn.Linear(30, 3))


class Tagger(nn.Module):
    def __init__(self, kind=nn.LSTM, batch_first=True, **settings):
        super().__init__()
        self.embed, self.read = nn.Embedding(7, 5), kind(5, 6, batch_first=batch_first, **settings)
        self.tag = nn.Linear(6 * (1 + self.read.bidirectional), 7)

    def forward(self, text):
        x = self.embed(text)
        return self.tag(self.read(x)[0])


class Looker(nn.Module):
    def __init__(self, causal=True, heads=2):
        super().__init__()
        self.causal, self.heads = causal, heads
        self.split = nn.Linear(4, 12)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.split(x).chunk(3, -1))
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal).transpose(1, 2).flatten(2)


# Models --------------------------------------------------------------------------------------------------------------

def test_layers_of_neurons_are_drawn_at_work():
    drawn = torch.draw(net(), torch.rand(2, 4, 4), outputs="abc")
    assert drawn.style == "neurons" and names_of_elements(drawn.svg).count("neuron") == 14 + 14 + 3
    assert {"a", "b", "c", "16", "30", "3", "input", "ReLU", "output"} <= set(words(drawn.svg))
    assert drawn._repr_svg_() == drawn.svg and "style 'neurons'" in repr(drawn)


def test_the_text_of_a_model_is_its_tree_with_shapes_and_parameters():
    assert str(torch.draw(net(), torch.rand(2, 4, 4))) == """\
Sequential                                                 (2, 4, 4) → (2, 3)   603
├─ 0  Flatten(start_dim=1, end_dim=-1)                     (2, 16)
├─ 1  Linear(in_features=16, out_features=30, bias=True)   (2, 30)              510
├─ 2  ReLU                                                 (2, 30)
├─ 3  Dropout(p=0.5, inplace=False)                        (2, 30)
└─ 4  Linear(in_features=30, out_features=3, bias=True)    (2, 3)                93"""


def test_shrinking_volumes_say_what_made_them():
    model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 9, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(36, 4))
    drawn = torch.draw(model, torch.rand(3, 1, 14, 14), outputs="wxyz")
    assert drawn.style == "volumes"
    said = words(drawn.svg)
    for expected in ("1 × 14 × 14", "input", "6 × 10 × 10", "conv 5×5", "6 × 5 × 5", "max pooling", "9 × 2 × 2", "conv 3×3", "step 2", "4", "linear", "w", "z"):
        assert expected in said, expected
    assert "36" not in said  # flattening is no volume of its own


def test_a_recurrent_network_is_unrolled_and_its_gradient_comes_back():
    drawn = torch.draw(Tagger(), torch.tensor([[0, 1, 2, 3, 4, 5]]), outputs="abcdefg")
    said = words(drawn.svg)
    assert drawn.style == "unrolled" and {"a", "b", "c", "d", "e", "f", "input", "state", "answer", "gradient", "LSTM 5 → 6, 6 times"} <= set(said)
    assert names_of_elements(drawn.svg).count("fill-second") >= 7  # a band, and a head at each time


@pytest.mark.parametrize("kind, settings", [(nn.RNN, {}), (nn.GRU, {"num_layers": 2, "bidirectional": True}), (nn.LSTM, {"batch_first": False})])
def test_every_recurrent_layer_is_drawn(kind, settings):
    model = Tagger(kind, **settings)
    trace = traced(model, torch.randint(0, 7, (3, 40)))
    [recurrence] = trace.recurrences
    gradient = recurrence.gradient
    times = 40 if settings.get("batch_first", True) else 3
    assert type(recurrence.module) is kind and gradient.shape == (times,) and (gradient >= 0).all() and gradient.max() > 0
    assert recurrence.inputs.shape == (times, 5) and recurrence.states.shape == (times, 6 * (1 + model.read.bidirectional))
    assert ("the last 24 of 40 times" in drawing.draw(model, torch.randint(0, 7, (3, 40))).svg) == (times == 40)


def test_the_gradient_of_a_state_that_forgets_is_what_the_chain_rule_says():
    model = nn.RNN(1, 1, batch_first=True, nonlinearity="relu", bias=False)
    for weight, value in ((model.weight_ih_l0, 3.0), (model.weight_hh_l0, 0.5)):
        with torch.no_grad():
            weight.fill_(value)
    for x in (torch.ones(1, 4, 1), torch.ones(4, 1)):  # with a batch and without
        np.testing.assert_allclose(traced(model, x).recurrences[0].gradient, [3 / 8, 3 / 4, 3 / 2, 3])


def test_a_loop_of_cells_and_layers_over_each_other_are_unrolled_too():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.over = nn.GRUCell(3, 4), nn.LSTMCell(4, 2), nn.RNN(2, 5)

        def forward(self, x):
            h, state, shown = None, None, []
            for part in x:
                h = self.first(part, h)
                state = self.second(h, state)
                shown.append(state[0])
            return self.over(torch.stack(shown))[0][-1]
    drawn = torch.draw(Loop(), torch.randn(7, 2, 3))
    assert drawn.style == "unrolled" and "GRUCell 3 → 4, 7 times" in words(drawn.svg)
    first, second, over = traced(Loop(), torch.randn(7, 2, 3)).recurrences
    assert [r.states.shape for r in (first, second, over)] == [(7, 4), (7, 2), (7, 5)]
    assert all((r.gradient > 0).any() for r in (first, second, over))


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_seen_where_it_is_called(causal):
    model, x = Looker(causal), torch.randn(2, 5, 4)
    before, expected = F.scaled_dot_product_attention, model(x)
    trace = traced(model, x)
    [weights] = trace.attention
    assert F.scaled_dot_product_attention is before and (trace.root.output == expected).all()
    assert weights.shape == (2, 5, 5)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
    assert (np.triu(weights, 1) == 0).all() == causal
    value = model.split(x).chunk(3, -1)[2].unflatten(-1, (2, -1)).transpose(1, 2).detach().numpy()[0]
    np.testing.assert_allclose((weights @ value).transpose(1, 0, 2).reshape(5, 4), expected[0].detach().numpy(), rtol=1e-4, atol=1e-6)
    drawn = torch.draw(model, x)
    assert drawn.style == "attention" and {"layer 1", "head 1", "head 2"} <= set(words(drawn.svg))


@pytest.mark.parametrize("mask", [torch.tensor([[True, False, True]] * 3), torch.tensor([[0.0, float("-inf"), 1.0]] * 3)])
def test_masks_of_attention_are_heeded(mask):
    class Masked(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)
    x = torch.randn(1, 2, 3, 4)
    [weights] = traced(Masked(), x).attention
    np.testing.assert_allclose(weights @ x[0].numpy(), Masked()(x)[0].numpy(), rtol=1e-4, atol=1e-6)
    assert (weights[..., 1] == 0).all()


def test_attention_of_a_transformer_is_seen_and_the_result_is_the_same():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 4, 16, batch_first=True), 3, enable_nested_tensor=False).eval()
    x = torch.randn(2, 5, 8)
    trace = traced(model, x)
    assert [weights.shape for weights in trace.attention] == [(4, 5, 5)] * 3
    assert (trace.root.output - model(x)).abs().max().item() < 1e-5


@pytest.mark.parametrize("average", [True, False])
def test_a_model_that_reads_the_weights_of_its_attention_gets_what_it_asked_for(average):
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.MultiheadAttention(6, 2)

        def forward(self, x):
            found, weights = self.attend(x, x, x, None, True, average_attn_weights=average)
            _, none = self.attend(x, x, x, need_weights=False)
            return found * weights.sum() + (none is None)
    model, x = Reader().eval(), torch.randn(4, 3, 6)
    trace = traced(model, x)
    assert [weights.shape for weights in trace.attention] == [(2, 4, 4)] * 2
    assert (trace.root.output - model(x)).abs().max().item() < 1e-4


def test_any_model_is_drawn_as_the_tree_of_its_modules():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.ModuleDict({"a": nn.Linear(3, 3), "b<&>": nn.LayerNorm(3)})
            self.never = nn.Linear(99, 99)

        def forward(self, x, *, twice):
            return {"out": [self.inner["b<&>"](self.inner["a"](self.inner["a"](x))) * (2 if twice else 1)]}
    drawn = torch.draw(Odd(), {"x": torch.ones(1, 3), "twice": True})
    assert drawn.style == "modules" and "b<&>" in str(drawn) and str(drawn).count("a  Linear") == 2 and "never" not in str(drawn)
    assert "(1, 3) → (1, 3)" in words(drawn.svg) and any(word.startswith("b<&>LayerNorm") for word in words(drawn.svg))


def test_looking_changes_nothing():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 2))
    model[2].eval()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(0)
    numbers = torch.get_rng_state()
    torch.draw(model, torch.randn(2, 1, 4, 4, generator=torch.Generator()))
    assert all((tensor == state[name]).all() for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, True, True, False, True, True]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert (torch.get_rng_state() == numbers).all() and all(parameter.grad is None for parameter in model.parameters())


def test_an_error_inside_the_model_comes_out_and_leaves_no_hooks():
    model, before = net(), F.scaled_dot_product_attention
    with pytest.raises(RuntimeError, match="17"):
        torch.draw(model, torch.zeros(1, 17))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules()) and model.training
    assert F.scaled_dot_product_attention is before


@pytest.mark.parametrize("call, error, message", [
    (lambda: torch.draw(3), TypeError, "draw: expected a Module with an input, or a tensor, but got int"),
    (lambda: torch.draw(net()), TypeError, "draw: Sequential can only be drawn at work; give it an input"),
    (lambda: torch.draw(net(), torch.rand(1, 16), style="cubist"), ValueError, "there is no style 'cubist'; there are neurons, volumes"),
    (lambda: torch.draw(net(), torch.rand(1, 16), style="volumes"), ValueError, "nothing to show in the style 'volumes'; it can be drawn as neurons, modules"),
    (lambda: torch.draw(torch.ones(2)).save("a.png"), ValueError, "a.png should end in .svg, .html or .txt"),
])
def test_what_cannot_be_drawn_is_said(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_drawing_is_saved_as_its_name_says(tmp_path):
    drawn = torch.draw(net(), torch.rand(1, 16))
    for name in ("a.svg", "a.html", "a.txt"):
        drawn.save(tmp_path / name)
    assert (tmp_path / "a.svg").read_text() == drawn.svg and (tmp_path / "a.txt").read_text() == str(drawn) + "\n"
    page = (tmp_path / "a.html").read_text()
    assert page.startswith("<!doctype html>") and drawn.svg in page and "http" not in page.replace("http://www.w3.org/2000/svg", "")


# Graphs --------------------------------------------------------------------------------------------------------------

def test_the_graph_of_a_loss_is_drawn_with_the_models_names():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    drawn = torch.draw(F.mse_loss(model(torch.ones(4, 2)), torch.zeros(4, 1)), model)
    assert drawn.style == "graph" and str(drawn) == """\
result  a number
└─ mse_loss
   └─ addmm
      ├─ tanh
      │  └─ addmm
      │     ├─ 0.weight  3 × 2
      │     └─ 0.bias  3
      ├─ 2.weight  1 × 3
      └─ 2.bias  1"""
    assert names_of_elements(drawn.svg).count("leaf") == 4 and names_of_elements(drawn.svg).count("way") == 8


def test_a_call_that_is_read_twice_stands_once():
    x = torch.ones(3, requires_grad=True)
    shared = x.exp()
    drawn = torch.draw((shared * shared.sin()).sum())
    assert str(drawn).count("exp  #1") == 2 and str(drawn).count("as above") == 1 and str(drawn).count("leaf  3") == 1
    assert names_of_elements(drawn.svg).count("box") == 4
    boxes = [(float(e.get("x")), float(e.get("y")), float(e.get("width"))) for e in elements(drawn.svg, "rect")]
    rows = {}
    for x_, y, width in boxes:
        rows.setdefault(y, []).append((x_, x_ + width))
    assert all(a[1] <= b[0] for row in rows.values() for a, b in zip(sorted(row), sorted(row)[1:]))


def test_tensors_without_a_graph_are_drawn_too():
    assert str(torch.draw(torch.zeros(2, 3))) == "leaf\n2 × 3".replace("\n", "  ")
    assert names_of_elements(torch.draw(torch.zeros(2, requires_grad=True)).svg).count("leaf") == 1


def test_a_long_graph_is_cut_and_says_so():
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(320):
        y = y.sin()
    calls, more = calls_of(y)
    assert len(calls) == 301 and more
    drawn = torch.draw(y)
    assert "and more calls" in drawn.svg and str(drawn).endswith("and more calls") and "more" not in str(torch.draw(y.detach()))


def test_the_examples_of_the_docstrings_are_true():
    for module in (styles, charts):
        done = doctest.testmod(module, extraglobs={"torch": torch, "nn": nn})
        assert done.attempted and not done.failed


# Numbers -------------------------------------------------------------------------------------------------------------

def test_a_network_is_drawn_with_a_circle_for_each_neuron_and_a_line_for_each_weight():
    svg = drawing.feedforward([3, 4, 2], outputs="ab", captions=["in", "hidden", "out"])
    assert svg.count('class="neuron"') == 9 and svg.count("<line") == 3 * 4 + 4 * 2
    assert "hidden" in svg and ">b</text>" in svg
    assert drawing.feedforward([100, 2]).count('class="neuron"') == 16


def test_charts_survive_empty_single_and_infinite_values():
    for xs, ys in [([], []), ([1], [2.0]), ([1, 2, 3], [1.0, float("nan"), float("inf")])]:
        svg = drawing.curves([drawing.Curve("a", xs, ys)], "step", "loss")
        assert svg.startswith("<svg") and "nan" not in svg and "inf" not in svg
    assert ">7</text>" in drawing.confusion_matrix([[3, 7], [0, 0]], "ab")


def test_counted_things_have_whole_numbers_on_their_axis():
    svg = drawing.curves([drawing.Curve("a", [1, 2, 3], [0.0, 1.0, 2.0])], "epoch", "loss")
    assert ">2</text>" in svg and ">1.5</text>" in drawing.curves([drawing.Curve("a", [1.0, 3.0], [0.0, 1.0])], "time", "loss")
    assert [word for word in words(svg) if "." in word] == ["0.5", "1.5"]  # of the loss


def test_drawings_survive_numbers_that_are_none():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    svg = torch.draw(model, torch.rand(1, 1, 4, 4), outputs="ab").svg
    assert "nan" not in svg.lower().replace("nan-serif", "")
    with torch.no_grad():
        model[0].weight.fill_(0.0)
        model[0].bias.fill_(0.0)
    assert "nan" not in torch.draw(model, torch.zeros(1, 1, 4, 4), outputs="ab").svg
    assert "abcd" not in words(torch.draw(net(), torch.rand(1, 16), outputs=["abcd"]).svg)  # names of something else
    for model, x in ((net(), torch.rand(1, 16)), (Tagger(), torch.zeros(1, 4, dtype=torch.int64)), (Looker(), torch.rand(1, 3, 4))):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(float("nan"))
        assert "nan" not in torch.draw(model, x, outputs="abcdefg"[:len(x) * 3]).svg.replace("nan-serif", "")
