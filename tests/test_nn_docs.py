"""Every public layer says what it computes, for which shapes and after whom, and shows it: the examples run."""
import doctest
import importlib
import inspect

import pytest

import rushlight as torch
from rushlight import nn

LAYERS = {name: kind for name, kind in vars(nn).items() if inspect.isclass(kind) and not name.startswith("_")}
FILES = ["autograd.functional", "autograd.mapping", "autograd.transforms", "nn.grad", *(f"nn.utils.{name}" for name in (
    "clip_grad", "convert_parameters", "fusion", "hooked_norms", "init", "parametrizations", "parametrize", "prune", "stateless"))]


@pytest.fixture(autouse=True)
def without_compiling(monkeypatch):
    """Examples are about what is computed; on the reference interpreter they are quick."""
    monkeypatch.setattr("rushlight.runtime.plan.backend", lambda: "reference")


def run_examples(thing, name, scope):
    """How many examples there were; they all have to print what they say."""
    torch.manual_seed(0)
    found = doctest.DocTestFinder(recurse=False).find(thing, name, globs={**scope, "torch": torch, "nn": nn})
    failures, count = 0, 0
    for examples in found:
        result = doctest.DocTestRunner(verbose=False).run(examples)
        failures, count = failures + result.failed, count + result.attempted
    assert failures == 0, name
    return count


@pytest.mark.filterwarnings("ignore:NLLLoss2d:FutureWarning", "ignore:Initializing zero-element")
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_says_shapes_formula_and_source_and_its_example_runs(name):
    text = inspect.cleandoc(LAYERS[name].__doc__)
    assert "Shapes: " in text and "https://" in text, "say `Shapes:` and where it comes from"
    assert LAYERS[name].__doc__ is not LAYERS[name].__mro__[1].__doc__, "do not leave it to the base class"
    assert name in text.partition(">>>")[2], "show it in an example of its own"
    assert run_examples(LAYERS[name], name, {}) > 0


@pytest.mark.parametrize("file", FILES)
def test_examples_of_functions_run(file):
    module = importlib.import_module("rushlight." + file)
    functions = {name: f for name, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}
    assert sum(run_examples(f, name, vars(module)) for name, f in functions.items() if ">>>" in (f.__doc__ or "")) > 0
    assert [name for name, f in functions.items() if not name.startswith("_") and not f.__doc__] == []
