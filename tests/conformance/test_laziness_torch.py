"""Random programs give on Rushlight what they give on PyTorch: values, shapes, strides, versions, requires_grad, gradients, exceptions.

The programs are tests/programs.py's.  PyTorch runs each with every value looked at after every call; Rushlight once like that and once lazily.
"""
import sys
from pathlib import Path

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rushlight

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import programs

torch.set_num_threads(1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(programs.strategy(st, programs.available(rushlight)))
def test_a_program_gives_what_pytorch_gives(program):
    wanted = programs.run(torch, program, watch=True)
    for watch in (False, True):
        difference = programs.difference(programs.run(rushlight, program, watch), wanted, exact=False)
        assert difference is None, f"{'watched' if watch else 'lazy'}, {difference}\n{programs.listing(program)}"
