"""The update rules as functions of lists, which is how PyTorch's modules offer them beside the classes.

    adam(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps, amsgrad=False, beta1=0.9, beta2=0.999, lr=1e-3, ...)

One step: every parameter and every entry of its state is changed in place.  `functional_form` makes such a function of an UpdateRule; it stands
at the end of the rule's file, with PyTorch's names for the lists and settings.
"""
import rushlight as torch

# Settings that the functions take as two, and the group of an optimizer as one.
PAIRS = {"betas": ("beta1", "beta2"), "etas": ("etaminus", "etaplus"), "step_sizes": ("step_size_min", "step_size_max"), "eps": ("eps1", "eps2")}
# How PyTorch runs an update, which says nothing of what it is.
WAYS = frozenset("foreach capturable differentiable fused has_complex has_sparse_grad grad_scale found_inf".split())


def functional_form(rule, name, lists, settings, optional=(), **fixed):
    """The function `name` that makes a step of `rule`.

    `lists`: "gradients exp_avgs=exp_avg ...", the name of the list of gradients, then each list with the entry of the state that it holds.
    `settings`: what has to be given by keyword;  `optional`: what is False unless it is given;  `fixed`: what the group holds besides.
    """
    gradients, *pairs = lists.split()
    entries = dict(pair.split("=") for pair in pairs)
    arguments, needed, optional = ("params", gradients, *entries), tuple(settings.split()), tuple(optional)

    def form(*args, **kwargs):
        if len(args) > len(arguments):
            raise TypeError(f"{name}() takes {len(arguments)} lists, but {len(args)} were given; what follows them is given by keyword")
        given = dict(zip(arguments, args))
        for key, value in kwargs.items():
            if key in given:
                raise TypeError(f"{name}() got multiple values for argument '{key}'")
            if key not in (*arguments, *needed, *optional) and key not in WAYS:
                raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
            given[key] = value
        missing = [key for key in (*arguments, *needed) if key not in given]
        if missing:
            raise TypeError(f"{name}() missing required arguments: {', '.join(map(repr, missing))}")
        if given.get("grad_scale") is not None or given.get("found_inf") is not None:
            raise RuntimeError(f"{name}(): gradients have to be unscaled before (GradScaler.unscale_)")
        group = {key: given.get(key, False) for key in (*needed, *optional)} | fixed
        group.update((whole, tuple(given[part] for part in parts)) for whole, parts in PAIRS.items() if parts[0] in needed)
        _step(rule, group, given["params"], given[gradients], {entry: given[key] for key, entry in entries.items()})

    form.__name__ = form.__qualname__ = name
    form.__module__ = rule.__module__
    form.__doc__ = f"One step of {rule.__name__} on lists: ({', '.join(arguments)}, *, {', '.join((*needed, *optional))})."
    return form


def _step(rule, group, parameters, gradients, lists):
    """`rule` without an optimizer around it: what an optimizer keeps is in the caller's lists, where there is any."""
    made = rule.__new__(rule)
    made.state = {parameter: {entry: values[i] for entry, values in lists.items() if len(values) and values[i] is not None}
                  for i, parameter in enumerate(parameters)}
    made._update_batch(group, made.update_of(group), list(zip(parameters, gradients)))
    for entry, values in lists.items():  # what had no state yet has one now
        for i, parameter in enumerate(parameters):
            if len(values) and values[i] is None and isinstance(made.state[parameter].get(entry), torch.Tensor):
                values[i] = made.state[parameter][entry]
