"""Traces that are new each time are cut into pieces that are not.

A trace is planned as a whole, since a whole fuses best; that pays when it comes again.  Over a tree of another shape at every step, or a
sentence of another length, no whole comes again, but its parts do:

    whole    | e e cell e cell cell linear |          planned anew at each step, for a thousand times what it takes to run
    pieces   | e e cell | e cell | cell | linear |    after some steps all are known

When one long trace after another had to be planned, what follows is recorded in a trie of its own, of pieces.  A piece ends after certain
calls, its `marks`: these depend on what was called last and not on what came before, so that what comes again is cut alike wherever it
stands.  When whole sequences of pieces come again, they are recorded whole again.

Start with `Pieces.flushed`, which decides whether to cut, then `ends`, which decides where.
"""
from .trie import Step

LONGEST = 64     # calls of a piece
SHORTEST = 12    # calls that a piece should have to be worth a flush
LOOKED_AT = 3    # calls by which a mark is known
MARKS = 32
LARGE_GRAPH = 100  # nodes from which a trace is long
STRANGE = 2, 12  # what a long trace that is new counts (one that is known counts -1), and how much is too much
PATIENCE = 16, 4  # sequences that have to come again one after the other before wholes are recorded, and how many times more the next time
SEQUENCES = 4096


class Pieces:
    """Whether a recorder cuts its traces, and where.

    on        whether the trace that is being recorded is a piece; `wanted` whether the next one is to be
    other     the root of the trie that is not in use: that of whole traces while `on`, else that of pieces
    marks     the calls after which a piece ends, as tuples of what was called last; the trie of pieces is `outdated` when there are new ones
    strange   how unfamiliar the last long traces were; `known` sequences came one after the other; `patience` says how many have to
    sequence  the pieces since the last of them that was not cut off, as a hash, and how many; `seen`: such hashes
    """

    def __init__(self):
        self.on = self.wanted = self.outdated = False
        self.strange, self.known, self.patience = 0, 0, PATIENCE[0]
        self.forget()

    def forget(self):
        """The tries were dropped."""
        self.other, self.marks, self.sequence, self.seen = Step(None, None), set(), (0, 0), set()

    def next_root(self, root):
        """The root from which the next trace goes, where the one before it went from `root`."""
        if self.on is not self.wanted:
            self.on = self.wanted
            root, self.other = self.other, root
        if self.on and self.outdated:  # what was recorded before is cut elsewhere
            self.outdated, self.seen, root = False, set(), Step(None, None)
        return root

    def flushed(self, step, counts, plan, was_made, was_cut):
        """Note a trace that was flushed by a plan; whether that had to be made, and whether the trace was cut off here."""
        if not self.on:
            if plan.is_large and not was_cut:
                weight, too_much = STRANGE
                self.strange = self.strange + weight if was_made else max(self.strange - 1, 0)
                self.wanted = self.strange >= too_much
            return
        before, number = self.sequence
        sequence, number = hash((before, id(step), counts)), number + 1
        if was_cut:
            self.sequence = sequence, number
            return
        self.sequence = 0, 0
        if number == 1:
            return
        self.known = self.known + 1 if sequence in self.seen else 0
        if self.known >= self.patience:
            self.wanted, self.strange, self.known, self.patience = False, 0, 0, self.patience * PATIENCE[1]
        if len(self.seen) >= SEQUENCES:
            self.seen.clear()
        self.seen.add(sequence)

    def ends(self, step):
        """Whether a piece ends with this step, which is new."""
        calls = [s for s in step.path() if s.is_call] if step.is_call else ()
        if len(calls) < SHORTEST:
            return False
        if _mark(calls, len(calls)) in self.marks:
            return True
        if len(calls) < LONGEST:
            return False
        if len(self.marks) < MARKS:
            self._add_mark(calls)
        return True

    def _add_mark(self, calls):
        """Find where a piece that grew too long had better been cut: after calls that come again and again in it, where the fewest values
        are still to be used."""
        places = {}
        for end in range(LOOKED_AT, len(calls) + 1):
            places.setdefault(_mark(calls, end), []).append(end)
        live = _live(calls)

        def cost(mark):
            return sum(live[end] for end in places[mark]) / len(places[mark])

        def farthest(ends):
            return max(b - a for a, b in zip([0, *ends], [*ends, len(calls)]))
        often = [mark for mark, ends in places.items() if len(ends) > 1 and farthest(ends) <= LONGEST // 2]
        if often:
            self.marks.add(min(often, key=cost))
            self.outdated = True


def _mark(calls, end):
    return tuple([c.key[0] for c in calls[max(end - LOOKED_AT, 0):end]])


def _live(calls):
    """How many of the values made before a place are used after it, for each place between calls."""
    made = {v: place for place, call in enumerate(calls, 1) for v in call.values}
    last = {o: place for place, call in enumerate(calls) for o in call.key[2] if o in made}
    return [sum(made[v] <= place <= used for v, used in last.items()) for place in range(len(calls) + 1)]
