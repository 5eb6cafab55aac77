"""The trie of traces: what was recorded, as steps from a root.

    root --leaf--> . --leaf--> . --add--> . --relu--> .         two runs of a program walk the same steps
                                   \\--sub--> .               until they differ

A step knows what its call made, what came next before, and how traces that ended here were run (`plans`, runtime/plan.py).  Who
walks is the recorder (runtime/recorder.py).
"""
from ..ir.extents import check


class Step:
    """A place in the trie: the call that leads here from `previous`, what it made, what came next before.

    `guess` is the step taken last from here: the functions that users call compare it with the call in hand
    (callee, and a0 ... a5: an operand's Value, a number's type, a static argument) before anything else.
    `ends`: the trace is flushed after it.
    """

    __slots__ = ("key", "previous", "next", "guess", "values", "structure", "guards", "holds", "plans", "depth", "ends",
                 "callee", "value", "a0", "a1", "a2", "a3", "a4", "a5")

    def __init__(self, key, previous, values=(), structure=None, guards=()):
        self.key, self.previous, self.values, self.structure = key, previous, values, structure
        self.guards, self.holds = guards, check(guards)
        self.next, self.guess, self.plans, self.callee = {}, NOTHING, {}, None
        self.depth = 0 if previous is None else previous.depth + 1
        self.ends = False

    @property
    def is_call(self):
        """Whether it is no leaf that is entered, and no change of mode."""
        return self.key is not None and not isinstance(self.key[0], str)

    def leaf_values(self):
        """The Values as which leaves were entered on the way here, by leaf number."""
        return [v for step in self.path() if step.key and step.key[0] in ("leaf", "view") for v in step.values if step.enters_leaf]

    @property
    def enters_leaf(self):
        return self.key[0] == "leaf" or self.key[4]

    def path(self):
        """The steps from the root to here."""
        steps, step = [], self
        while step is not None:
            steps.append(step)
            step = step.previous
        return steps[::-1]


NOTHING = None              # for the one Step that is made before there is a NOTHING to guess
NOTHING = Step(None, None)  # the guess where there is none
INSIDE = Step(None, None)   # where a recorder stands while it is inside an operator's body or a flush
INSIDE.guess = NOTHING.guess = NOTHING
LEAF = object()             # the callee of a step that enters a tensor
FAST_ARGUMENTS = ("a0", "a1", "a2", "a3", "a4", "a5")
