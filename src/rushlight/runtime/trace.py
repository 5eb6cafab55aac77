"""One run along the trie: what the trie itself does not know, since it differs from run to run.

    Value    a value of the trie: the node that makes it, its layout, and its History.  Shared by all runs.
    History  how a Value came to be, for backward
    Trace    this run: the handles given out, the tensors entered as leaves, the run-time integers and scalars
    Record   what autograd keeps in a Trace

A trace that was flushed stays as the record that backward goes back along: it holds the tensors that were entered and the
values that gradient rules will read.
"""
import math

from ..ir import extents
from ..ir.extents import Extent
from ..ir.graph import row_major


class Value:
    """An SSA value of a trace.

    node        the ir.Node that computes it
    strides     element strides, relative to its root's memory; ints and Extents
    offset      first element, relative to its root's first element
    root        the Value whose memory it is a view of, an operand of its call; None when it has memory of its own
    view_of     which operand (0, 1, ...) of its recorded call that is
    needs_grad  whether a gradient flows to it
    history     the call that made it, for backward (a `History`), or None
    leaf        the number of the leaf tensor that it is the present value of, or None
    family      the first value of the storage it lies in; `writes`: how often that storage had been written to
    cut         it lies in its root's memory, but no gradient passes between them (`detach`)
    weak        a Python number: it yields to tensors in type promotion
    inference   it was made in inference mode, or lies in memory that was
    owner       the recorder whose trie it belongs to; None for values inside an operator's body
    number      Values are numbered as they are made, so that backward can go from the newest to the oldest
    """

    __slots__ = ("node", "_strides", "offset", "root", "view_of", "needs_grad", "history", "leaf", "family", "writes", "weak", "cut",
                 "inference", "owner", "number", "_layout", "__weakref__")
    count = 0

    def __init__(self, node, strides=None, needs_grad=False, history=None, leaf=None, weak=False, root=None, offset=0):
        self.node, self._strides, self.offset, self.root, self.view_of = node, strides, offset, root, None
        self.needs_grad, self.history, self.leaf, self.weak = needs_grad, history, leaf, weak
        self.family, self.writes, self.cut, self.inference, self.owner, self._layout = self, 0, False, False, None, None
        Value.count += 1
        self.number = Value.count

    @property
    def strides(self):
        if self._strides is None:  # row-major; worked out when somebody asks
            self._strides = row_major(self.node.shape)
        return self._strides

    @strides.setter
    def strides(self, strides):
        self._strides = strides

    def layout(self, integers):
        """(shape, strides, offset) as plain ints, for these run-time integers."""
        if self._layout is None:
            self._layout = evaluator((tuple(self.node.shape), tuple(self.strides), self.offset))
        return self._layout(integers)

    def __repr__(self):
        return f"Value {self.number} of {self.node!r}"


def evaluator(tree):
    """A function of the run-time integers that gives a nested tuple with its Extents turned into ints."""
    if not _symbolic(tree):
        return lambda integers: tree
    return eval("lambda v: " + _source(tree))


def _symbolic(tree):
    return isinstance(tree, Extent) or isinstance(tree, tuple) and any(map(_symbolic, tree))


def _source(tree):
    if isinstance(tree, Extent):
        return tree.source("v")
    if isinstance(tree, tuple):
        return "(" + "".join(_source(t) + "," for t in tree) + ")"
    return repr(tree)


class History:
    """How a value came to be, for backward: `callee` (an operator, or a primitive's name), its operands and results as Values
    (None where an argument is no tensor), and `arguments`, whatever the callee's gradient rule wants to be called with.
    `reads` are the operands and results that the rule reads, `saves` whether it reads those or a run-time number, `reached` the calls of
    the trace that backward from here goes back through, once autograd has asked; `overwrites` the operand whose place the result
    of the recorded call takes, or None; `call` the recorded call whose result it makes, (callee, operands), or None."""

    __slots__ = ("callee", "operands", "results", "arguments", "reads", "saves", "overwrites", "reached", "call")

    def __init__(self, callee, operands, results, arguments=()):
        self.callee, self.operands, self.results, self.arguments = callee, operands, results, arguments
        self.reads = self.saves = self.overwrites = self.reached = self.call = None


class Trace:
    """A run along the trie, from the first call after a flush to the next flush.

    number      traces are numbered as they are flushed: one reads only what has a smaller number
    handles     tensors given out, in order
    leaves      tensors entered, in order (for a storage that others can see, one over a `snapshot` of it stands in)
    integers    run-time integers (extents of leaves, integer arguments); scalars: run-time Python numbers
    held        bytes of the storages of the leaves
    storages    number of the first leaf in each storage, by id(storage)
    flats       storages that are written to through one of several tensors: their whole content is a pending value
    views       tensors that are views, by id of their base
    writes      how often each family of values was written to
    kept        what has to live until the flush (snapshots, tensors entered as views)
    unsettled   writes through views under way: while there are any, what is pending does not follow from the step alone
    flushed     it is over; freed: what was gone back through, in groups of histories; `freed_mark` tells such sets apart
    record      what autograd keeps here, or None
    """

    __slots__ = ("number", "handles", "leaves", "held", "integers", "scalars", "storages", "flats", "views", "writes", "kept", "unsettled",
                 "flushed", "freed", "freed_mark", "record", "__weakref__")
    count = 0

    def __init__(self):
        self.number, self.held, self.unsettled = math.inf, 0, 0
        self.handles, self.leaves, self.integers, self.scalars, self.flats, self.kept = [], [], [], [], [], []
        self.storages, self.views, self.writes = {}, {}, {}
        self.flushed, self.freed, self.freed_mark, self.record = False, (), 0, None

    def clear(self):
        """After the flush: only what backward needs is left."""
        self.handles = self.kept = self.flats = ()
        self.views, self.storages = {}, {}

    def __lt__(self, other):  # any order will do: it settles ties in the queue of `differentiate`
        return id(self) < id(other)

    def recorded(self):
        """Its Record, made when it has none."""
        if self.record is None:
            self.record = Record()
        return self.record

    def is_freed(self, history):
        return any(history in group for group in self.freed)

    def free(self, histories):
        """Note calls (a frozenset) that were gone back through, and are not to be again."""
        self.freed += (histories,)
        self.freed_mark = hash((self.freed_mark, histories))


class Record:
    """What autograd keeps in a trace.

    hooks       functions of the gradient of a value, by Value; nodes: `grad_fn` objects, by History
    externals   what goes backward through a user's `Function`, by History
    roots       after the flush: the history that each leaf had when it was entered, by leaf number
    saved       after the flush: {Value: tensor} that gradient rules read; `unfreed` the histories that will read them
    packed      what users' hooks kept of that, by History: [(Value, their answer, the hook that makes it a tensor again), ...]
    versions    (storage, its version) as it was when a value was recorded that backward will read, by Value
    """

    __slots__ = ("hooks", "nodes", "externals", "roots", "saved", "packed", "unfreed", "versions")

    def __init__(self):
        self.hooks, self.nodes, self.externals, self.roots = {}, {}, {}, {}
        self.saved, self.packed, self.unfreed, self.versions = {}, {}, (), {}

    def versions_of_leaves(self):
        """The Values of the leaves that backward will read, each once, in order."""
        return {v: 0 for h in self.unfreed for v in h.reads if v.node.primitive == "leaf" and v not in self.saved}


def classify(n):
    """The part of a run-time integer that belongs to the structure: itself when it is -1, 0 or 1, else None."""
    return n if -1 <= n <= 1 else None


def symbols(numbers, first, dimension):
    """Extents for run-time integers, numbered from `first`; -1, 0 and 1 stay what they are.  Returns (extents, integers used)."""
    out, used = [], []
    for n in numbers:
        if -1 <= n <= 1:
            out.append(n)
        else:
            out.append(extents.symbol(first + len(used), n, dimension))
            used.append(n)
    return out, used
