"""Recurrent networks: a step from one state to the next, and sequences of steps.

    gates = x @ w_ih.T + b_ih             for all times at once: one product
    h     = step(gates[t], h)             one product with w_hh a time

A step is one operator; `_directions` runs it over the chunks of a sequence, forwards or backwards.  In a packed sequence the chunks
shrink as the shorter sequences end, and their last states are set aside.  Start with `lstm_step`, then `_run`.
"""
from ..ir import graph
from ..tensors.tensor import Tensor
from .activation import sigmoid
from .building import apply, binary, repeated, unary
from .definition import Extents, exported, operator
from .dropout import dropout
from .joining import cat, stack
from .products import linear
from .scans import cut


def _parts(x, count):
    """The last dimension in `count` equal parts."""
    n = x.shape[-1] // count
    return [cut(x, x.ndim - 1, i * n, n) for i in range(count)]


@operator(methods=False, namespace=False, out=False)
def lstm_step(gates: Tensor, h: Tensor, c: Tensor, w_hh: Tensor, b_hh: Tensor | None, w_hr: Tensor | None) -> tuple:
    """The next (h, c): what to take in, what to forget, what is new and what to show, each from `gates` and h."""
    take, forget, new, show = _parts(binary("add", gates, linear(h, w_hh, b_hh)), 4)
    c = sigmoid(forget) * c + sigmoid(take) * unary("tanh", new)
    h = sigmoid(show) * unary("tanh", c)
    return h if w_hr is None else linear(h, w_hr, None), c


@operator(methods=False, namespace=False, out=False)
def gru_step(gates: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None) -> Tensor:
    """The next h: a mean of h and of something new, which sees as much of h as the reset gate lets through."""
    reset, keep, new = _parts(gates, 3)
    h_reset, h_keep, h_new = _parts(linear(h, w_hh, b_hh), 3)
    new = unary("tanh", new + sigmoid(reset + h_reset) * h_new)
    return (h - new) * sigmoid(keep + h_keep) + new


@operator(methods=False, namespace=False, out=False)
def rnn_step(gates: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None, nonlinearity: str) -> Tensor:
    """tanh or relu of `gates` + w_hh h + b_hh."""
    total = binary("add", gates, linear(h, w_hh, b_hh))
    return unary("tanh", total) if nonlinearity == "tanh" else binary("maximum", total, 0, total.dtype)


@operator(methods=False, namespace=False, out=False)
def times_of(input: Tensor, sizes: Extents) -> tuple:
    """(T, N, C) as one tensor a time, or packed rows in parts of these sizes."""
    if not sizes:
        return tuple(apply(graph.reshape, (cut(input, 0, t, 1),), tuple(input.shape[1:])) for t in range(int(input.shape[0])))
    starts = [0]
    for n in sizes:
        starts.append(starts[-1] + n)
    return tuple(cut(input, 0, start, n) for start, n in zip(starts, sizes))


@times_of.gradient
def times_of_gradient(grads, results, input, sizes):
    """Put together again: the derived rule would add up as many padded tensors as there are times."""
    grads = [repeated(r, 0) if g is None else g for g, r in zip(grads if isinstance(grads, (tuple, list)) else (grads,),
                                                                results if isinstance(results, (tuple, list)) else (results,))]
    parts = grads if sizes else [apply(graph.reshape, (g,), (1, *g.shape)) for g in grads]
    return apply(lambda *nodes: graph.cat(nodes, 0), tuple(parts))


def _lstm(gates, state, w_hh, b_hh=None, w_hr=None):
    return lstm_step(gates, *state, w_hh, b_hh, w_hr)


def _gru(gates, state, w_hh, b_hh=None):
    return (gru_step(gates, state[0], w_hh, b_hh),)


def _rnn(nonlinearity):
    return lambda gates, state, w_hh, b_hh=None: (rnn_step(gates, state[0], w_hh, b_hh, nonlinearity),)


# Sequences -----------------------------------------------------------------------------------------------------------

def _run(step, chunks, state, weights, backwards):
    """(the outputs of all times in their order, the last state); chunks never grow from one to the next."""
    sizes = [len(chunk) for chunk in chunks]
    order = range(len(chunks))[::-1] if backwards else range(len(chunks))
    first, outputs, ended = state, [None] * len(chunks), []
    rows = sizes[order[0]]
    state = tuple(s[:rows] for s in first) if rows != len(first[0]) else first
    for t in order:
        if sizes[t] < rows:  # some have ended
            ended.append(tuple(s[sizes[t]:] for s in state))
            state = tuple(s[:sizes[t]] for s in state)
        elif sizes[t] > rows:  # some begin, from their end
            state = tuple(cat((s, f[rows:sizes[t]]), 0) for s, f in zip(state, first))
        rows = sizes[t]
        state = step(chunks[t], state, *weights)
        outputs[t] = state[0]
    if ended:
        state = tuple(cat(parts, 0) for parts in zip(state, *reversed(ended)))
    return outputs, state


def _directions(step, has_biases, input, batch_sizes, states, weights, per_layer, layers, rate, train, bidirectional):
    """All layers and directions; `input` is (T, N, C), or packed rows with `batch_sizes`.  (output, the last states, stacked)"""
    directions = 2 if bidirectional else 1
    last = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            w_ih, w_hh, *others = weights[place * per_layer:(place + 1) * per_layer]
            b_ih = others.pop(0) if has_biases else None
            others = others if has_biases else [None, *others]
            gates = linear(input, w_ih, b_ih)
            chunks = times_of(gates, () if batch_sizes is None else tuple(batch_sizes))
            made, state = _run(step, chunks, tuple(s[place] for s in states), (w_hh, *others), direction == 1)
            outputs.append(stack(made, 0) if batch_sizes is None else cat(made, 0))
            last.append(state)
        input = outputs[0] if directions == 1 else cat(outputs, -1)
        if rate and train and layer < layers - 1:
            input = dropout(input, rate)
    return input, tuple(stack(parts, 0) for parts in zip(*last))


def _sequence(name, step, states_of):
    """The function torch.<name>: (input, hx, weights, has_biases, ...) or, packed, (data, batch_sizes, hx, weights, has_biases, ...)."""
    def function(input, *args):
        packed = isinstance(args[2], (tuple, list))
        batch_sizes = args[0].tolist() if packed else None
        hx, weights, has_biases, layers, rate, train, bidirectional, *rest = args[1:] if packed else args
        batch_first = rest[0] if rest else False
        states = tuple(hx) if states_of == 2 else (hx,)
        weights = list(weights)
        per_layer = len(weights) // (layers * (2 if bidirectional else 1))
        x = input.transpose(0, 1) if batch_first else input
        output, last = _directions(step, has_biases, x, batch_sizes, states, weights, per_layer, layers, rate, train, bidirectional)
        return (output.transpose(0, 1) if batch_first else output, *last)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"A sequence through all layers and directions of {'an' if name[0] in 'lr' else 'a'} {name}: the outputs, and the last states."
    return exported(function)


lstm = _sequence("lstm", _lstm, 2)
gru = _sequence("gru", _gru, 1)
rnn_tanh = _sequence("rnn_tanh", _rnn("tanh"), 1)
rnn_relu = _sequence("rnn_relu", _rnn("relu"), 1)


@exported
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an LSTM: (h, c) after `input`."""
    return lstm_step(linear(input, w_ih, b_ih), *hx, w_hh, b_hh, None)


@exported
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a GRU: h after `input`."""
    return gru_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh)


@exported
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """tanh(w_ih x + b_ih + w_hh h + b_hh)"""
    return rnn_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh, "tanh")


@exported
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """relu(w_ih x + b_ih + w_hh h + b_hh)"""
    return rnn_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh, "relu")
