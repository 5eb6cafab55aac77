"""What counting alone can do: a model of the next character from the two before it, to hold the networks against.

    P(c | ab) = (count(abc) - D) / count(ab .) + share left over * P(c | b)          and so on down to 1 / number of characters

Interpolated Kneser-Ney smoothing (S. Chen and J. Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, 1999):
a discount D is taken from every count and given to the shorter context, where a character counts not by how often it was seen but by
after how many different characters.
"""
import numpy as np


class Trigrams:
    """Counted once from `codes`, a NumPy array of numbers below `size`; `loss` is then the mean of -log P, as of a network."""

    def __init__(self, codes, size):
        codes = np.asarray(codes, dtype=np.int64)
        self.size = size
        three = np.unique((codes[:-2] * size + codes[1:-1]) * size + codes[2:], return_counts=True)
        two = np.unique(three[0] % size**2, return_counts=True)  # bc: after how many different a
        one = np.unique(two[0] % size, return_counts=True)
        self.orders = [_Order(*grams, size) for grams in (one, two, three)]

    def probabilities(self, codes):
        """P of each character of `codes` from the third on, given the two before it."""
        codes = np.asarray(codes, dtype=np.int64)
        probability = np.full(len(codes) - 2, 1 / self.size)
        context = np.zeros(len(codes) - 2, np.int64)
        for length, order in enumerate(self.orders):
            if length:
                context = context + codes[2 - length:-length] * self.size ** (length - 1)
            probability = order.refined(context, context * self.size + codes[2:], probability)
        return probability

    def loss(self, codes):
        """Nats a character."""
        return float(-np.log(self.probabilities(codes)).mean())


class _Order:
    """The counts of one length of context, and its discount."""

    def __init__(self, grams, counts, size):
        self.grams, self.counts = grams, counts
        self.contexts, starts = np.unique(grams // size, return_index=True)
        self.totals = np.add.reduceat(counts, starts)
        self.kinds = np.diff(np.append(starts, len(grams)))  # different characters after each context
        once, twice = (int((counts == n).sum()) for n in (1, 2))
        self.discount = once / (once + 2 * twice) if once and twice else 0.5

    def refined(self, contexts, grams, shorter):
        """The probabilities of `grams`, from those that the shorter contexts gave; a context never seen leaves them as they are."""
        counts = _found(self.grams, self.counts, grams)
        totals, kinds = (_found(self.contexts, values, contexts) for values in (self.totals, self.kinds))
        mixed = (np.maximum(counts - self.discount, 0) + self.discount * kinds * shorter) / np.maximum(totals, 1)
        return np.where(totals > 0, mixed, shorter)


def _found(keys, values, wanted):
    """The value of each wanted key, 0 where it is not there; `keys` ascend."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)
