"""Sequences of different lengths: padded to one length, or packed.

    lengths 3, 2, 1      padded  a b c        packed  data  a d f b e c      all first times, then all second times, ...
                                 d e .                batch_sizes  3 2 1
                                 f . .

Packed data is what recurrent layers take without computing on padding.  Start with `pack_padded_sequence`.
"""
from collections import namedtuple

import rushlight as torch

from ...operators.recurrent import rectangle, rows_at


class PackedSequence(namedtuple("PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])):
    """Rows of all sequences by time; `batch_sizes` counts how many sequences are that long, `sorted_indices` say which sequence comes
    where."""

    __slots__ = ()

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:  # PyTorch's older form: one pair
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError("batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. They "
                             "should be instantiated by functions like pack_sequence and pack_padded_sequences in nn.utils.rnn.")
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """The same, converted as Tensor.to does."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else PackedSequence(data, *self[1:])

    def double(self):
        return self.to(torch.float64)

    def float(self):
        return self.to(torch.float32)

    def half(self):
        return self.to(torch.float16)

    def long(self):
        return self.to(torch.int64)

    def int(self):
        return self.to(torch.int32)

    def cpu(self, *args, **kwargs):
        return self.to(*args, device="cpu", **kwargs)

    @property
    def is_cuda(self):
        return self.data.is_cuda

    def is_pinned(self):
        return False


def invert_permutation(permutation):
    """Where each place of a permutation went."""
    if permutation is None:
        return None
    places = torch.arange(0, permutation.numel(), device=permutation.device)
    return torch.empty_like(permutation).scatter_(0, permutation, places)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """The rows of padded sequences that are there, as a PackedSequence; without `enforce_sorted`, in the order of their lengths."""
    if not isinstance(lengths, torch.Tensor):
        lengths = torch.tensor(lengths, dtype=torch.int64)
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = torch.sort(lengths, descending=True)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    counts = lengths.tolist()
    x = input.transpose(0, 1) if batch_first else input
    if len(counts) != x.shape[1]:
        raise RuntimeError(f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} (batch_size={x.shape[1]})")
    if not counts or counts[-1] <= 0:
        raise RuntimeError("Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0")
    if any(a < b for a, b in zip(counts, counts[1:])):
        raise RuntimeError("`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
                           "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not "
                           "need ONNX exportability.")
    if counts[0] > x.shape[0]:
        raise RuntimeError(f"Expected `len(lengths)` to be at most {x.shape[0]}, the padded length, but a sequence is {counts[0]} long")
    sizes = [sum(n > t for n in counts) for t in range(counts[0])]
    where = rectangle(sizes)
    data = rows_at(x[:where.turns].flatten(0, 1), where.back, where.places)
    return PackedSequence(data, torch.tensor(sizes, dtype=torch.int64), sorted_indices)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """(the sequences padded to one length, their lengths)."""
    sizes = sequence.batch_sizes.tolist()
    if total_length is not None:
        if total_length < len(sizes):
            raise ValueError("Expected total_length to be at least the length of the longest sequence in input, but got "
                             f"total_length={total_length} and max sequence length being {len(sizes)}")
    where, data = rectangle(sizes), sequence.data
    padded = rows_at(data, where.places, where.back).view(where.turns, -1, *data.shape[1:])
    if padding_value:
        padded = torch.where(where.running.view(where.turns, -1, *(1,) * (data.dim() - 1)), padded, padding_value)
    if total_length is not None:
        padded = torch.nn.functional.pad(padded, [0, 0] * data.dim() + [0, total_length - where.turns], value=padding_value)
    if batch_first:
        padded = padded.transpose(0, 1).contiguous()
    lengths = torch.tensor([sum(n > i for n in sizes) for i in range(sizes[0])], dtype=torch.int64)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices]
    return padded, lengths


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Sequences (L, *) of different lengths as one tensor, padded at the `padding_side`."""
    if not isinstance(sequences, (list, tuple)):
        sequences = sequences.unbind(0) if isinstance(sequences, torch.Tensor) else list(sequences)
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"padding_side should be 'right' or 'left', got '{padding_side}'")
    longest = max(len(s) for s in sequences)
    rows = []
    for s in sequences:
        missing = longest - len(s)
        widths = [0, missing] if padding_side == "right" else [missing, 0]
        rows.append(torch.nn.functional.pad(s, [0, 0] * (s.dim() - 1) + widths, value=padding_value))
    return torch.stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """The sequences without their padding."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [s[:n] for s, n in zip(padded_sequences, lengths.tolist())]


def pack_sequence(sequences, enforce_sorted=True):
    """Sequences of different lengths as a PackedSequence."""
    lengths = torch.tensor([len(s) for s in sequences], dtype=torch.int64)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """A PackedSequence as a list of sequences."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
