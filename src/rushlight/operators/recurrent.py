"""Recurrent networks: one turn of each kind of cell, and loops of such turns over time, forwards and back.

    x = input @ w_ih.T + b_ih                 for all times at once: one product
    h[t] = step(x[t], h[t - 1])               `recurrence`: one compiled loop, a small product with w_hh in each turn
    dx[t], dh[t - 1] = back(dh[t], ...)       its gradient: a loop in the other direction
    dw_hh = dx.T @ h[before]                  for all times at once

A cell is a `step`, its `back` and the gradients of its weights.  Both loops are primitives (ir.graph.loop), so any number of turns is one
graph, compiled once.  Where gradients are differentiated themselves, the way back is taken turn by turn instead.  Sequences of
different lengths (packed rows) run as a rectangle in which those that are over stand still.

Start with `_Lstm`, then `recurrence` and its gradient.
"""
from types import SimpleNamespace

import numpy as np

from ..ir import graph
from ..ir.extents import is_int
from ..runtime.recorder import here
from ..runtime.trace import Value
from ..tensors.creation import tensor
from ..tensors.tensor import Tensor
from .building import apply, binary, choose, constant, elementwise, expand_to, repeated, total, unary
from .definition import Tensors, exported, operator
from .dropout import dropout
from .elementwise import sigmoid
from .joining import cat, stack
from .products import contract, linear, shaped, swapped
from .scans import cut


def _parts(x, count):
    """The last dimension in `count` equal parts."""
    n = x.shape[-1] // count
    return [cut(x, x.ndim - 1, i * n, n) for i in range(count)]


def _side_by_side(*parts):
    return apply(lambda *nodes: graph.cat(nodes, len(nodes[0].shape) - 1), parts)


def _below_one(grad, y):
    """The gradient behind y = sigmoid(x)."""
    return grad * (y * (1 - y))


def _tanh_back(grad, y):
    """The gradient behind y = tanh(x)."""
    return grad * (1 - y * y)


# Cells ---------------------------------------------------------------------------------------------------------------
# step(x, states, weights)                    (the new states, what `back` needs of this turn)
# back(grads, kept, more, before, weights)    (gradients of the states before, (gradient of x, what `weights_back` needs)); `grads` are
#                                             those of the new states, `more` those of what was kept, or ()
# weights_back(made, h)                       gradients of the weights from what `back` made of all turns, and h before each
# reads_before                                the states that `back` wants to have as they were before the turn

class _Lstm:
    """What to take in, what to forget, what is new and what to show, each from x and h.  weights: w_hh, and w_hr where h is projected."""

    reads_before = (1,)

    @staticmethod
    def step(x, states, weights):
        (h, c), (w_hh, *w_hr) = states, weights
        take, forget, new, show = _parts(binary("add", x, linear(h, w_hh, None)), 4)
        take, forget, new, show = sigmoid(take), sigmoid(forget), unary("tanh", new), sigmoid(show)
        c = forget * c + take * new
        h = show * unary("tanh", c)
        return (linear(h, w_hr[0], None) if w_hr else h, c), (_side_by_side(take, forget, new, show),)

    @staticmethod
    def back(grads, kept, more, before, weights):
        (dh, dc), (c,), (w_hh, *w_hr) = grads, before, weights
        take, forget, new, show = _parts(kept[0], 4)
        seen = unary("tanh", forget * c + take * new)
        d_shown = contract(dh, w_hr[0]) if w_hr else dh
        dc = dc + _tanh_back(d_shown * show, seen)
        d_take, d_forget, d_new, d_show = dc * new, dc * c, dc * take, d_shown * seen
        if more:
            d_take, d_forget, d_new, d_show = (a + b for a, b in zip((d_take, d_forget, d_new, d_show), _parts(more[0], 4)))
        dx = _side_by_side(_below_one(d_take, take), _below_one(d_forget, forget), _tanh_back(d_new, new), _below_one(d_show, show))
        return (contract(dx, w_hh), dc * forget), (dx, dh, show * seen) if w_hr else (dx,)

    @staticmethod
    def weights_back(made, h):
        dx, *projected = made
        return [_over_time(dx, h)] + ([_over_time(*projected)] if projected else [])


class _Gru:
    """A mean of h and of something new, which sees as much of h as the reset gate lets through.  weights: w_hh, and b_hh or none."""

    reads_before = (0,)

    @staticmethod
    def step(x, states, weights):
        h, = states
        reset, keep, new = _parts(x, 3)
        h_reset, h_keep, h_new = _parts(linear(h, weights[0], weights[1] if len(weights) > 1 else None), 3)
        reset, keep = sigmoid(reset + h_reset), sigmoid(keep + h_keep)
        new = unary("tanh", new + reset * h_new)
        return ((h - new) * keep + new,), (_side_by_side(reset, keep, new, h_new),)

    @staticmethod
    def back(grads, kept, more, before, weights):
        (dh,), (h,) = grads, before
        reset, keep, new, h_new = _parts(kept[0], 4)
        d_new, d_keep = dh - dh * keep, dh * (h - new)
        if more:
            more = _parts(more[0], 4)
            d_new, d_keep = d_new + more[2], d_keep + more[1]
        d_new, d_keep = _tanh_back(d_new, new), _below_one(d_keep, keep)
        d_reset, d_h_new = d_new * h_new, d_new * reset
        if more:
            d_reset, d_h_new = d_reset + more[0], d_h_new + more[3]
        d_reset = _below_one(d_reset, reset)
        of_h = _side_by_side(d_reset, d_keep, d_h_new)
        return (contract(of_h, weights[0]) + dh * keep,), (_side_by_side(d_reset, d_keep, d_new), of_h)

    @staticmethod
    def weights_back(made, h):
        of_h = made[1]
        return [_over_time(of_h, h), total(of_h, (0, 1))]


def _rnn(nonlinearity):
    class Rnn:
        """tanh or relu of x + w_hh h.  weights: w_hh.  `back` reads the new state itself."""

        reads_before = ()

        @staticmethod
        def step(x, states, weights):
            sum_ = binary("add", x, linear(states[0], weights[0], None))
            return (unary("tanh", sum_) if nonlinearity == "tanh" else binary("maximum", sum_, 0, sum_.dtype),), ()

        @staticmethod
        def back(grads, kept, more, before, weights):
            (dh,), (h,) = grads, kept
            dx = _tanh_back(dh, h) if nonlinearity == "tanh" else choose(binary("gt", h, 0), dh, repeated(dh, 0))
            return (contract(dx, weights[0]),), (dx,)

        @staticmethod
        def weights_back(made, h):
            return [_over_time(made[0], h)]
    return Rnn


_CELLS = {"lstm": _Lstm, "gru": _Gru, "rnn_tanh": _rnn("tanh"), "rnn_relu": _rnn("relu")}


# Loops ---------------------------------------------------------------------------------------------------------------

@operator(methods=False, namespace=False, out=False)
def recurrence(x: Tensor, running: Tensor | None, states: Tensors, weights: Tensors, cell: str, backwards: bool) -> tuple:
    """The states after each turn, (T, N, ...) each, and what the gradient needs of each turn: x is (T, N, ...), `running` (T, N, 1) says
    which sequences have not ended (or not begun, from behind); the state of the others stays as it is."""
    def turn(states, slices, weights):
        new, kept = _CELLS[cell].step(slices[0], states, weights)
        return [*_where_running(slices[1:], new, states), *kept]
    return tuple(_turns(turn, states, [x, running] if running is not None else [x], weights, backwards))


@recurrence.gradient
def recurrence_gradient(grads, results, x, running, states, weights, cell, backwards):
    cell, count = _CELLS[cell], len(states)
    if isinstance(results, Tensor):  # the only one
        grads, results = (grads,), (results,)
    before = [_before(r, s, backwards) for r, s in zip(results, states)]
    kept, kept_grads = (results[count:], grads[count:]) if len(results) > count else (results, ())
    kept_grads = () if all(map(_is_nothing, kept_grads)) else kept_grads
    arriving = [i for i, g in enumerate(grads[:count]) if not _is_nothing(g)]
    groups = [[grads[i] for i in arriving], [] if running is None else [running], kept, kept_grads, [before[i] for i in cell.reads_before]]

    def turn(after, slices, weights):
        rest = iter(slices)
        arrived, is_running, kept, more, before = ([next(rest) for _ in group] for group in groups)
        after = list(after)
        for i, g in zip(arriving, arrived):
            after[i] = after[i] + g
        active = _where_running(is_running, after, [repeated(g, 0) for g in after])
        made, others = cell.back(active, kept, more, before, weights)
        return [*_where_running(is_running, made, after), *others]
    made = _turns(turn, [repeated(s, 0) for s in states], [s for group in groups for s in group], weights, not backwards)
    at_start = [_turn_of(m, -1 if backwards else 0) for m in made[:count]]
    of_weights = cell.weights_back(made[count:], before[0])[:len(weights)]
    return (made[count], *([] if running is None else [None]), *at_start, *of_weights)


def _where_running(running, new, old):
    """The new values of sequences that are running, the old ones of others; `running` is [] where all are."""
    if not running:
        return list(new)
    return [elementwise("where", expand_to(running[0], n.shape), n, o) for n, o in zip(new, old)]


def _turns(step, states, sequences, weights, backwards):
    """All that `step(states, slices of the sequences, weights)` returns, of all turns: one primitive, or, where what it does shall be
    differentiated, turn after turn."""
    recorder = here.recorder
    if recorder.tracking:
        kept = []
        for slices in list(zip(*map(turns_of, sequences)))[::-1 if backwards else 1]:
            made = step(states, slices, weights)
            kept.append(made)
            states = made[:len(states)]
        return [stack(parts, 0) for parts in zip(*(kept[::-1] if backwards else kept))]

    def on_nodes(*groups):
        return [t._state.node for t in step(*[[recorder.handle_of(Value(n)) for n in nodes] for nodes in groups])]
    groups = [[t._state.node for t in tensors] for tensors in (states, sequences, weights)]
    return [recorder.handle_of(Value(n)) for n in graph.loop(sequences[0].shape[0], *groups, on_nodes, backwards)]


@operator(methods=False, namespace=False, out=False)
def turns_of(input: Tensor) -> tuple:
    """input[0], input[1], ..."""
    return tuple(_turn_of(input, t) for t in range(int(input.shape[0])))


@turns_of.gradient
def turns_of_gradient(grads, results, input):
    """Put together again: the derived rule would add up as many padded tensors as there are turns."""
    return stack(grads if isinstance(grads, tuple | list) else (grads,), 0)


def _turn_of(x, t):
    """x[t]; the last one for -1."""
    return apply(graph.reshape, (cut(x, 0, x.shape[0] - 1 if t == -1 else t, 1),), tuple(x.shape[1:]))


def _before(after, first, backwards):
    """The states before each turn, of those after it and the one to begin with."""
    first = apply(graph.reshape, (first,), (1, *first.shape))
    others = cut(after, 0, 1 if backwards else 0, after.shape[0] - 1)
    return apply(lambda *nodes: graph.cat(nodes, 0), (others, first) if backwards else (first, others))


def _over_time(a, b):
    """The sum of a[t].T @ b[t] over all times."""
    rows = graph.product(a.shape[:2])
    return contract(swapped(shaped(a, rows, a.shape[2])), shaped(b, rows, b.shape[2]))


def _is_nothing(grad):
    """Whether a gradient is known to be zero everywhere."""
    node = grad._state.node
    while node.primitive in ("expand", "reshape"):
        node = node.inputs[0]
    return node.primitive == "constant" and node.attributes[0] == 0


# Sequences of different lengths --------------------------------------------------------------------------------------

@operator(methods=False, namespace=False, out=False)
def rows_at(input: Tensor, places: Tensor, back: Tensor) -> Tensor:
    """The rows of `input` at these places, zeros for the place -1; `back` are the places of its own rows in the result."""
    nowhere = expand_to(constant(0, places.dtype), places.shape)
    row = elementwise("maximum", places, nowhere)
    rows = apply(lambda x, i: graph.gather(x, (i,), (0,)), (input, row))
    there = elementwise("ge", places, nowhere)
    there = apply(graph.reshape, (there,), (*there.shape, *(1,) * (input.ndim - 1)))
    return elementwise("where", expand_to(there, rows.shape), rows, repeated(rows, 0))


@rows_at.gradient
def rows_at_gradient(grad, result, input, places, back):
    """The way back: each row went to one place at most."""
    return rows_at(grad, back, places), None, None


def rectangle(batch_sizes):
    """How packed rows lie in a rectangle of T x N: `turns`, the `places` of its rows among the packed ones (-1: nowhere), `back`, and what
    is `running` (T, N, 1)."""
    sizes = np.asarray(batch_sizes, np.int64)
    running = np.arange(sizes[0]) < sizes[:, None]
    places = np.where(running, np.cumsum(running).reshape(running.shape) - 1, -1)
    return SimpleNamespace(turns=len(sizes), places=tensor(places.reshape(-1)), back=tensor(np.flatnonzero(running)),
                           running=tensor(running[..., None]))


# Layers --------------------------------------------------------------------------------------------------------------

def _directions(cell, has_biases, input, batch_sizes, states, weights, per_layer, layers, rate, train, bidirectional):
    """All layers and directions; `input` is (T, N, C), or packed rows with `batch_sizes`.  (output, the last states, stacked)"""
    directions = 2 if bidirectional else 1
    packed = None if batch_sizes is None else rectangle(batch_sizes)
    last = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            w_ih, *inner = weights[place * per_layer:(place + 1) * per_layer]
            bias = None
            if has_biases:  # that of h is added with that of the input, where nothing stands between them
                bias = inner.pop(1)
                if cell != "gru":
                    bias = bias + inner.pop(1)
            x = linear(input, w_ih, bias)
            if packed is not None:
                x = rows_at(x, packed.places, packed.back).view(packed.turns, -1, x.shape[-1])
            begin = [s[place] for s in states]
            after = recurrence(x, None if packed is None else packed.running, begin, inner, cell, direction == 1)[:len(begin)]
            last.append([s[0] if direction else s[-1] for s in after])
            outputs.append(after[0] if packed is None else rows_at(after[0].flatten(0, 1), packed.back, packed.places))
        input = outputs[0] if directions == 1 else cat(outputs, -1)
        if rate and train and layer < layers - 1:
            input = dropout(input, rate)
    return input, tuple(stack(parts, 0) for parts in zip(*last))


def _sequence(name):
    """The function torch.<name>: (input, hx, weights, has_biases, ...) or, packed, (data, batch_sizes, hx, weights, has_biases, ...)."""
    def function(input, *args):
        packed = isinstance(args[2], (tuple, list))
        batch_sizes = args[0].tolist() if packed else None
        hx, weights, has_biases, layers, rate, train, bidirectional, *rest = args[1:] if packed else args
        batch_first = rest[0] if rest else False
        states = tuple(hx) if name == "lstm" else (hx,)
        weights = list(weights)
        per_layer = len(weights) // (layers * (2 if bidirectional else 1))
        x = input.transpose(0, 1) if batch_first else input
        if is_int(x.shape[0], 0):
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        output, last = _directions(name, has_biases, x, batch_sizes, states, weights, per_layer, layers, rate, train, bidirectional)
        return (output.transpose(0, 1) if batch_first else output, *last)

    function.__name__ = function.__qualname__ = name
    article = "an" if name[0] in "lr" else "a"
    function.__doc__ = f"A sequence through all layers and directions of {article} {name}: the outputs, and the last states."
    return exported(function)


lstm, gru, rnn_tanh, rnn_relu = map(_sequence, ("lstm", "gru", "rnn_tanh", "rnn_relu"))


# One time ------------------------------------------------------------------------------------------------------------

@operator(methods=False, namespace=False, out=False)
def lstm_step(x: Tensor, h: Tensor, c: Tensor, w_hh: Tensor, b_hh: Tensor | None) -> tuple:
    """The next (h, c)."""
    return tuple(_Lstm.step(x if b_hh is None else x + b_hh, (h, c), (w_hh,))[0])


@operator(methods=False, namespace=False, out=False)
def gru_step(x: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None) -> Tensor:
    """The next h."""
    return _Gru.step(x, (h,), (w_hh,) if b_hh is None else (w_hh, b_hh))[0][0]


@operator(methods=False, namespace=False, out=False)
def rnn_step(x: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None, cell: str) -> Tensor:
    """The next h: tanh or relu of x + w_hh h + b_hh."""
    return _CELLS[cell].step(x if b_hh is None else x + b_hh, (h,), (w_hh,))[0][0]


@exported
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an LSTM: (h, c) after `input`."""
    return lstm_step(linear(input, w_ih, b_ih), *hx, w_hh, b_hh)


@exported
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a GRU: h after `input`."""
    return gru_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh)


@exported
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """tanh(w_ih x + b_ih + w_hh h + b_hh)"""
    return rnn_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh, "rnn_tanh")


@exported
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """relu(w_ih x + b_ih + w_hh h + b_hh)"""
    return rnn_step(linear(input, w_ih, b_ih), hx, w_hh, b_hh, "rnn_relu")
