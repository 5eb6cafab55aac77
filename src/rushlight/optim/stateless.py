"""A step of an optimizer on other parameters than its own, for a while."""
from collections import defaultdict
from contextlib import contextmanager

import rushlight as torch


@contextmanager
def swap_in_optimizer_params_and_state(optimizer, swapin_parameters, swapin_optim_state):
    """Inside, the optimizer has other parameters and another state; afterwards its own again.

    `swapin_parameters`: a dictionary of tensors, in the order of the optimizer's own.  `swapin_optim_state`: what `state_dict` gives, with
    the same groups and settings; its states are used without being copied.  RuntimeError where they do not fit together.
    """
    _check(optimizer, swapin_optim_state)
    tensors, state = list(swapin_parameters.values()), defaultdict(dict)
    groups, saved = optimizer.param_groups, swapin_optim_state["param_groups"]
    if sum(len(group["params"]) for group in groups) > len(tensors):
        raise RuntimeError("swap_in_optimizer_params_and_state: there are fewer parameters than the optimizer has")
    before = optimizer.state, [dict(group) for group in groups]
    try:
        for group, other in zip(groups, saved):
            group.update(other)
            group["params"], tensors = tensors[:len(other["params"])], tensors[len(other["params"]):]
            for parameter, number in zip(group["params"], other["params"]):
                state[parameter] = dict(swapin_optim_state["state"].get(number, {}))
        optimizer.state = state
        yield
    finally:
        optimizer.state = before[0]
        for group, own in zip(groups, before[1]):
            group.clear()
            group.update(own)


def _check(optimizer, saved):
    def need(condition, what):
        if not condition:
            raise RuntimeError(f"swap_in_optimizer_params_and_state: {what}")
    need(optimizer.state, "the optimizer has no state yet")
    need(isinstance(saved, dict), "the state has to be what state_dict gives")
    state, groups = saved.get("state"), saved.get("param_groups")
    need(isinstance(state, dict), f"state has to be a dictionary by number of the parameter, but is a {type(state).__name__}")
    need(not any(isinstance(key, torch.Tensor) for key in state), "state has to be a dictionary by number of the parameter")
    need(all(isinstance(value, dict) for value in state.values()), "the state of each parameter has to be a dictionary")
    need(isinstance(groups, list), f"param_groups has to be a list, but is a {type(groups).__name__}")
    need(len(groups) == len(optimizer.param_groups), f"it has {len(groups)} groups, but the optimizer has {len(optimizer.param_groups)}")
    for i, (own, other) in enumerate(zip(optimizer.param_groups, groups)):
        need(isinstance(other, dict), f"group {i} is no dictionary")
        numbers = other.get("params")
        need(isinstance(numbers, list) and all(isinstance(n, int) for n in numbers),
             f"group {i} names its parameters by other than numbers")
        need(len(numbers) == len(own["params"]), f"group {i} has {len(numbers)} parameters, but the optimizer's has {len(own['params'])}")
        need(own.keys() == other.keys(), f"group {i} has other settings than the optimizer's: {sorted(own.keys() ^ other.keys())}")
    known = {n for group in groups for n in group["params"]}
    need(state.keys() <= known, f"there is state for {sorted(state.keys() - known)}, which are no parameters of a group")
