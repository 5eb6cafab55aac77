"""Recurrent layers: a state that is carried from one time to the next.

    LSTM(C, H, layers):  (T, N, C) -> (T, N, H), and the last states (layers, N, H);  `batch_first` puts N before T
    LSTMCell(C, H):      one time: (N, C) -> (N, H)

`RNNBase` holds weights, checks and shapes; the functions torch.lstm, torch.gru, torch.rnn_tanh do the work.  Inputs may be packed
(nn.utils.rnn), sequences of different lengths without padding.
"""
import math
import warnings

import rushlight as torch

from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence


class RNNBase(Module):
    """What all recurrent layers have: for each layer and direction weight_ih, weight_hh, bias_ih, bias_hh (and weight_hr, where the state
    is projected), all uniform in +-1 / sqrt(hidden_size).

    Shapes: see RNN, LSTM and GRU.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNBase.html

    >>> isinstance(nn.GRU(2, 3), nn.RNNBase)
    True
    """

    def __init__(self, mode, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False,
                 proj_size=0, device=None, dtype=None):
        super().__init__()
        self._check_settings(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.mode, self.input_size, self.hidden_size, self.num_layers, self.bias = mode, input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional, self.proj_size = batch_first, float(dropout), bidirectional, proj_size
        gates = hidden_size * {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}[mode]
        shown, directions = proj_size or hidden_size, 1 + bool(bidirectional)
        self._all_names = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[:directions]:
                shapes = {"weight_ih": (gates, input_size if layer == 0 else shown * directions), "weight_hh": (gates, shown)}
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)} if bias else {}
                shapes |= {"weight_hr": (proj_size, hidden_size)} if proj_size else {}
                names = [f"{name}_l{layer}{suffix}" for name in shapes]
                for name, shape in zip(names, shapes.values()):
                    setattr(self, name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
                self._all_names.append(names)
        self.reset_parameters()

    @staticmethod
    def _check_settings(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size):
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError("dropout should be a number in range [0, 1] representing the probability of an element being zeroed")
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"dropout acts between layers, so with num_layers=1 a dropout of {dropout} does nothing", stacklevel=4)
        for name, value, kind in (("bias", bias, bool), ("batch_first", batch_first, bool), ("input_size", input_size, int),
                                  ("hidden_size", hidden_size, int)):
            if not isinstance(value, kind):
                raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")

    def reset_parameters(self):
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    @property
    def _flat_weights_names(self):
        return [name for names in self._all_names for name in names]

    @property
    def _flat_weights(self):
        return [getattr(self, name, None) for name in self._flat_weights_names]

    def flatten_parameters(self):
        """Nothing to do: weights need not lie side by side here."""

    @property
    def all_weights(self):
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_names]

    def extra_repr(self):
        settings = [f"{self.input_size}, {self.hidden_size}"]
        settings += [f"proj_size={self.proj_size}"] if self.proj_size else []
        settings += [f"num_layers={self.num_layers}"] if self.num_layers != 1 else []
        settings += [f"bias={self.bias}"] if not self.bias else []
        settings += [f"batch_first={self.batch_first}"] if self.batch_first else []
        settings += [f"dropout={self.dropout}"] if self.dropout else []
        settings += [f"bidirectional={self.bidirectional}"] if self.bidirectional else []
        return ", ".join(settings)

    # The pass -------------------------------------------------------------------------------------------------------

    def _state_widths(self):
        """The width of each state."""
        return (self.hidden_size,)

    def forward(self, input, hx=None):
        packed = isinstance(input, PackedSequence)
        x = input.data if packed else input
        if not packed and x.dim() not in (2, 3):
            raise ValueError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {x.dim()}D instead")
        batched = packed or x.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        x = x if batched else x.unsqueeze(batch_dim)
        rows = int(input.batch_sizes[0]) if packed else x.shape[batch_dim]
        single = len(self._state_widths()) == 1
        states = self._states(x, hx if hx is None or not single else (hx,), rows, batched)
        if packed:
            states = _chosen(states, input.sorted_indices)
        self._check_input(x, states, rows, packed)
        made = self._sequence(x, input.batch_sizes if packed else None, states[0] if single else states)
        output, last = made[0], made[1:]
        if packed:
            output, last = PackedSequence(output, *input[1:]), _chosen(last, input.unsorted_indices)
        elif not batched:
            output, last = output.squeeze(batch_dim), tuple(s.squeeze(1) for s in last)
        return output, last[0] if single else last

    def _states(self, x, hx, rows, batched):
        """The states to begin with, with a batch dimension: zeros if none were given."""
        if hx is None:
            places = self.num_layers * (1 + self.bidirectional)
            return tuple(torch.zeros(places, rows, width, dtype=x.dtype, device=x.device) for width in self._state_widths())
        for s in hx:
            if s.dim() != (3 if batched else 2):
                raise RuntimeError(f"{type(self).__name__}: For {'batched 3-D' if batched else 'unbatched 2-D'} input, the states should "
                                   f"also be {3 if batched else 2}-D but got {s.dim()}-D")
        return tuple(hx) if batched else tuple(s.unsqueeze(1) for s in hx)

    def _check_input(self, x, states, rows, packed):
        dtype = getattr(self, self._all_names[0][0]).dtype
        if x.dtype != dtype:
            raise ValueError(f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
                             f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})")
        if x.dim() != (2 if packed else 3):
            raise RuntimeError(f"input must have {2 if packed else 3} dimensions, got {x.dim()}")
        if x.shape[-1] != self.input_size:
            raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[-1]}")
        for s, width in zip(states, self._state_widths()):
            expected = (self.num_layers * (1 + self.bidirectional), rows, width)
            if tuple(s.shape) != expected:
                raise RuntimeError(f"Expected hidden size {expected}, got {list(s.shape)}")

    def _sequence(self, x, batch_sizes, hx):
        function = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}[self.mode]
        weights = [w for layer in self.all_weights for w in layer]
        settings = (hx, weights, self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)
        return function(x, *settings, self.batch_first) if batch_sizes is None else function(x, batch_sizes, *settings)


def _chosen(states, indices):
    """The states of the sequences in another order."""
    return states if indices is None else tuple(s.index_select(1, indices) for s in states)


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or max(0, ...) with nonlinearity "relu"; y_t = h_t.

    Each of `num_layers` layers takes the one before it, through `dropout`; with `bidirectional`, also backwards in time.  Weights start
    uniform in +-1 / sqrt(hidden_size).  Returns y and the last h.

    Shapes: x (T, N, input_size), (N, T, input_size) with `batch_first`, (T, input_size) or packed; h (layers * directions, N,
        hidden_size); y (T, N, directions * hidden_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html, https://doi.org/10.1207/s15516709cog1402_1

    >>> y, h = nn.RNN(10, 20, 2)(torch.randn(5, 3, 10))
    >>> y.shape, h.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__("RNN_" + nonlinearity.upper(), input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """i, f, o = sigmoid(W x_t + b + U h_(t-1) + b'), g = tanh(the same with weights of its own); c_t = f c_(t-1) + i g, h_t = o tanh(c_t).

    The rows of weight_ih and weight_hh are those of i, f, g, o.  With `proj_size`, h_t = W_hr (o tanh(c_t)).  Layers, directions, dropout
    and initial weights as in RNN.  Returns y and the last (h, c).

    Shapes: x (T, N, input_size), (N, T, input_size) with `batch_first`, (T, input_size) or packed; h (layers * directions, N, H_out), c
        (..., hidden_size), H_out proj_size or hidden_size; y (T, N, directions * H_out).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, https://doi.org/10.1162/neco.1997.9.8.1735

    >>> y, (h, c) = nn.LSTM(10, 20, 2)(torch.randn(5, 3, 10))
    >>> y.shape, h.shape, c.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs):
        super().__init__("LSTM", *args, **kwargs)

    def _state_widths(self):
        return self.proj_size or self.hidden_size, self.hidden_size


class GRU(RNNBase):
    """r, z = sigmoid(W x_t + b + U h_(t-1) + b'), n = tanh(W x_t + b + r (U h_(t-1) + b')); h_t = (1 - z) n + z h_(t-1).

    The rows of weight_ih and weight_hh are those of r, z, n.  Layers, directions, dropout and initial weights as in RNN.  Returns y and
    the last h.

    Shapes: x (T, N, input_size), (N, T, input_size) with `batch_first`, (T, input_size) or packed; h (layers * directions, N,
        hidden_size); y (T, N, directions * hidden_size).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html, https://arxiv.org/abs/1406.1078

    >>> y, h = nn.GRU(10, 20, 2)(torch.randn(5, 3, 10))
    >>> y.shape, h.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


# One time ------------------------------------------------------------------------------------------------------------

class RNNCellBase(Module):
    """What all cells have: weight_ih, weight_hh, bias_ih and bias_hh, uniform in +-1 / sqrt(hidden_size).

    Shapes: see RNNCell, LSTMCell and GRUCell.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html

    >>> isinstance(nn.GRUCell(2, 3), nn.RNNCellBase)
    True
    """

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        gates = num_chunks * hidden_size
        for name, shape in (("weight_ih", (gates, input_size)), ("weight_hh", (gates, hidden_size)), ("bias_ih", (gates,)),
                            ("bias_hh", (gates,))):
            wanted = bias or name.startswith("weight")
            self.register_parameter(name, Parameter(torch.empty(shape, device=device, dtype=dtype)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self):
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self):
        settings = [f"{self.input_size}, {self.hidden_size}"]
        settings += [f"bias={self.bias}"] if not self.bias else []
        settings += [f"nonlinearity={self.nonlinearity}"] if getattr(self, "nonlinearity", "tanh") != "tanh" else []
        return ", ".join(settings)

    def _batch(self, input, states):
        """The input and its states as a batch of one, where they are none."""
        name = type(self).__name__
        for label, x in (("input", input), *(("hidden", s) for s in states or ())):
            if x.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected {label} to be 1D or 2D, got {x.dim()}D instead")
        x = input if input.dim() == 2 else input.unsqueeze(0)
        if states is None:
            zeros = torch.zeros(x.shape[0], self.hidden_size, dtype=x.dtype, device=x.device)
            return x, (zeros, zeros)
        for s in states:
            if input.dim() == 2 and s.shape[0] != x.shape[0]:
                raise RuntimeError(f"Input batch size {x.shape[0]} doesn't match hidden0 batch size {s.shape[0]}")
        return x, tuple(states) if input.dim() == 2 else tuple(s.unsqueeze(0) for s in states)

    def _weights(self):
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or max(0, ...) with nonlinearity "relu": one time of an RNN.

    Shapes: x (N, input_size) or (input_size,), h (N, hidden_size) or (hidden_size,).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html, https://doi.org/10.1207/s15516709cog1402_1

    >>> nn.RNNCell(10, 20)(torch.randn(3, 10), torch.zeros(3, 20)).shape
    torch.Size([3, 20])
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        x, states = self._batch(input, None if hx is None else (hx,))
        function = torch.rnn_tanh_cell if self.nonlinearity == "tanh" else torch.rnn_relu_cell
        h = function(x, states[0], *self._weights())
        return h if input.dim() == 2 else h.squeeze(0)


class LSTMCell(RNNCellBase):
    """i, f, o = sigmoid(W x + b + U h + b'), g = tanh(the same); c' = f c + i g, h' = o tanh(c'): one time of an LSTM, (h, c) -> (h', c').

    Shapes: x (N, input_size) or (input_size,), h, c (N, hidden_size) or (hidden_size,).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html, https://doi.org/10.1162/neco.1997.9.8.1735

    >>> h, c = nn.LSTMCell(10, 20)(torch.randn(3, 10), (torch.zeros(3, 20), torch.zeros(3, 20)))
    >>> h.shape
    torch.Size([3, 20])
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None):
        x, states = self._batch(input, hx)
        h, c = torch.lstm_cell(x, states, *self._weights())
        return (h, c) if input.dim() == 2 else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """r, z = sigmoid(W x + b + U h + b'), n = tanh(W x + b + r (U h + b')); h' = (1 - z) n + z h: one time of a GRU.

    Shapes: x (N, input_size) or (input_size,), h (N, hidden_size) or (hidden_size,).
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html, https://arxiv.org/abs/1406.1078

    >>> nn.GRUCell(10, 20)(torch.randn(3, 10)).shape
    torch.Size([3, 20])
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input, hx=None):
        x, states = self._batch(input, None if hx is None else (hx,))
        h = torch.gru_cell(x, states[0], *self._weights())
        return h if input.dim() == 2 else h.squeeze(0)
