"""Decide which graph nodes run together as one kernel.

    relu(x @ w + b)           ->   k0: contraction, and of each finished tile max(0, . + b)
    softmax(x)                ->   k0: rows, three loops over each
    y @ w, and p -= lr * it   ->   k0: contraction, and the update of p

In: the wanted values (Output) as a graph of primitives.  Out: a `Plan`, steps in running order over buffers.

Nodes that are cheap and regular (element-wise, movement, gather) are computed wherever they are read.  All others, and what is
wanted, are *stored* (storing.py); each stored node has a home, a `_Group`, which becomes one kernel.  A node joins an earlier group of
the same iteration space when nothing it needs waits for that group.  An attempt may find that a node cannot be read unless it is
stored as well; then there is another.  Read `schedule`, then `_Scheduler.plan`.
"""
from collections import Counter

from ..ir.extents import current, extent_value, product
from ..ir.graph import own_strides, row_major, topological
from .attention import operations
from .expressions import Buffer, MustStore, is_complex, is_inline, is_int, is_movement, key, same
from .lowering import is_row_reduction, lies_in_rows
from .making import MustCopy, parts_together
from .patterns import Request
from .rewrites import COLUMN_BLOCK, rewrite, simplifier
from .rows import MustBeApart
from .steps import AttentionStep, ContractionStep, HostStep, Output, Plan, SortStep
from .storing import CONVOLUTIONS, LARGEST_KERNEL, Storing, moves, parts_of


def schedule(outputs, fuse=True, in_place=True):
    """The Plan that computes the outputs.  Ends: each further attempt stores at least one node more, or writes one output less in
    place; what is kept because it is dear is decided once."""
    forced, copied, apart, kept = {}, set() if in_place else set(range(len(outputs))), set(), None
    plain = simplifier()
    outputs = [Output(node, plain(o.strides), o.storage) for node, o in zip(rewrite([o.node for o in outputs]), outputs)]
    past = _Past()
    while True:
        scheduler = _Scheduler(outputs, fuse, forced, copied, apart, kept or (), past)
        plan = scheduler.plan()
        if not scheduler.problems:
            kept = scheduler.dear_values() if kept is None else ()
            if not kept:
                return plan
        for problem in scheduler.problems:
            if isinstance(problem, MustCopy):
                copied.add(problem.output)
            elif isinstance(problem, MustBeApart):
                apart.update(problem.nodes)
            elif problem.node in scheduler.forced_before:
                raise AssertionError(f"{problem.node} is stored and still cannot be read: {problem.why}") from problem
            else:
                forced[problem.node] = problem.why


class _Past:
    """What one attempt leaves to the next: its buffers, so that they are the same objects, and the steps that it made of them; and extents
    that were simplified."""

    def __init__(self):
        self.arena, self.buffers, self.steps = [], {}, {}
        self._simple, self._equalities = {}, 0

    def simplified(self):
        """A function that writes extents known to be equal as one; None where none are."""
        known = current()
        if known is None or not known.equal:
            return None
        if len(known.equal) != self._equalities:
            self._simple, self._equalities = {}, len(known.equal)
        simple = self._simple

        def simplify(x):
            found = simple.get(id(x))
            if found is None:
                found = simple[id(x)] = known.simplify(x), x  # held, so that no other gets its id
            return found[0]
        return simplify


class _Group:
    """What becomes one kernel.  `kind` is map, rows, columns, contraction, pieces (of a cat), assign, scatter, scan, best (argmax down
    columns), sort, loop or host; `shape` and `reduced` its iteration space."""

    def __init__(self, kind, shape, reduced=()):
        self.kind, self.shape, self.reduced = kind, shape, reduced
        self.nodes = []
        self.reads = set()  # the stored nodes that it reads
        self.needs = set()  # groups that have to run before
        self.is_needed = False  # by another group
        self.after = 0      # those and all that have to run before them, as bits
        self.made_of = 0    # the nodes that are computed in it, as bits


TILE_OPERANDS = 2       # matrices that are read and written beside a product of any size
TILE_ELEMENTS = 65536   # of a product beside which there may be more
LEAST_SHARED = 4        # products that read one B, for which it is packed apart
LEAST_BLOCKS = 4        # of rows that are added up by the kernel that reduces each of them
_NEIGHBOURS = 8         # groups that are looked at when a node seeks one to join
_FUSABLE = ("map", "rows", "columns", "rows cut", "columns cut")


class _Scheduler:
    def __init__(self, outputs, fuse, forced, copied, apart, kept, past):
        self.outputs, self.fuse, self.forced, self.copied, self.apart, self.past = outputs, fuse, forced, copied, apart, past
        self.forced_before = set(forced)
        self.problems = []  # why this attempt is none
        self.order = topological([o.node for o in outputs])
        self.buffers = {}   # node -> Buffer
        self.arena = past.arena
        self.reads = {}     # node -> the stored nodes that computing it reads
        self.reads_elsewhere = {}  # node -> those of them that it reads at other places than its own
        self.home = {}      # stored node -> Group
        self.groups, self.bit, self.calls = [], {}, {}  # calls: a call of several results -> the group that makes it
        self.readers = {}   # stored node -> the groups that read it
        self.read_with = {}  # stored node -> the stored nodes that somebody reads together with it
        self.final = []     # (node, Buffer) copies at the very end
        self.direct = {}    # node -> its target, where that lies over memory of leaves
        self.same = set()
        self.storing = Storing(self.order, {o.node for o in outputs} | set(forced) | set(kept), fuse)
        self.stored, self.users = self.storing.stored, self.storing.users
        self.writers = Counter(o.storage for o in outputs)

    def plan(self):
        self._give_buffers()
        self._form_groups()
        self._readers_first()
        steps = []
        for group in self._in_order():
            try:
                steps += self._steps(group)
            except (MustStore, MustBeApart, MustCopy) as problem:
                self.problems.append(problem)
        if not self.problems:
            for source, target in self.final:
                steps += self._copy(source, target)
            if sum(isinstance(s, ContractionStep) for s in steps) >= LEAST_SHARED:
                from .repetition import with_shared_packing
                steps = with_shared_packing(steps, self._memory, LEAST_SHARED)
        steps = [s for s in steps if not _empty(s)]
        leaves = sorted({b.number for s in steps for b in s.reads if b.kind == "leaf"})
        return Plan(steps, self.arena, leaves, sorted(self.same))

    def dear_values(self):
        """What should be stored though it need not be: see Storing.dear_values."""
        return self.storing.dear_values(self.groups)

    # Where they lie

    def _give_buffers(self):
        leaf_of = {}
        for node in self.order:
            if node.primitive == "leaf":
                number, strides, storage = node.attributes
                leaf_of[node] = self._once(("leaf", node), Buffer, "leaf", number, node.dtype, node.shape, strides, storage)
        self.leaf_buffers = leaf_of
        written_over = []
        for number, o in enumerate(self.outputs):
            target = self._once(number, Buffer, "target", number, o.node.dtype, o.node.shape, o.strides, o.storage)
            if o.storage is None:
                made = self._seen_as(o.node)
                if made is not None and lies_in_rows(target):
                    self.stored.discard(o.node)
                    layout = made.shape, row_major(made.shape)
                    self.buffers[made] = self._once((number, "made"), Buffer, "target", number, made.dtype, *layout)
                elif o.node in self.buffers or o.node.primitive == "leaf" or self._cannot_be_read(o.node, target):
                    self.final.append((o.node, target))
                else:
                    self.buffers[o.node] = target
            elif number not in self.copied and self._may_be_direct(o):
                self.buffers[o.node] = self.direct[o.node] = target
            else:  # only when everything else is done, from memory that no such write can reach
                if o.node.primitive == "leaf":
                    self.forced.setdefault(o.node, "it is written over memory that is still read")
                written_over.append((o.node, target))
        self.final += written_over
        for node in reversed(self.order):
            if node.primitive == "assign" or node.primitive.startswith("scatter."):
                self._share_with_input(node)
        for node in self.order:
            if node in self.stored and node not in self.buffers:
                if node.primitive == "leaf" and node not in self.forced:
                    self.buffers[node] = leaf_of[node]
                else:
                    self.buffers[node] = self._arena_buffer(node)
            elif node.primitive == "leaf":
                self.buffers[node] = leaf_of[node]

    def _seen_as(self, node):
        """What is made by a kernel in which nothing else is computed, and of which a node is a reshape; None where it is none.

            before   k0: t = scatter(...)     k1: out = t, in other dimensions
            after    k0: out = scatter(...)
        """
        made = node
        while made.primitive == "reshape":
            made = made.inputs[0]
        if made is node or made in self.buffers or node in self.buffers or node in self.forced:
            return None
        return made if made.primitive.split(".")[0] in ("assign", "scatter", "scan", "argsort") else None

    def _may_be_direct(self, output):
        return (self.writers[output.storage] == 1 and output.node.primitive != "leaf" and output.node not in self.buffers
                and not self._cannot_be_read(output.node, Buffer("target", 0, output.node.dtype, output.node.shape, output.strides)))

    def _cannot_be_read(self, node, target):
        """Whether a node has to be stored row by row because somebody could not read it otherwise, and this target is not laid out so."""
        return node in self.forced and not all(same(a, b) for a, b in zip(target.strides, row_major(target.shape)))

    def _share_with_input(self, node):
        """An assign or scatter to a value that nobody else reads happens where that value lies."""
        flat = node.inputs[0]
        if node not in self.buffers:
            self.buffers[node] = self._arena_buffer(node)
        if flat.primitive != "leaf" and flat not in self.buffers and len(self.users[flat]) == 1 and not is_movement(flat):
            self.stored.add(flat)
            self.buffers[flat] = self.buffers[node]
            if node in self.direct:
                self.direct[flat] = self.direct[node]

    def _arena_buffer(self, node):
        if node in self.forced:
            return self._once((node, "row-major"), self._memory, node.dtype, node.shape)
        return self._once(node, self._memory, node.dtype, node.shape, own_strides(node))

    def _once(self, name, make, *arguments):
        """A buffer of this name, from an earlier attempt if that had one."""
        if name not in self.past.buffers:
            self.past.buffers[name] = make(*arguments)
        return self.past.buffers[name]

    def _buffer_of(self, node):
        return self.buffers.get(node)

    # Which kernel they are made by

    def _form_groups(self):
        made = []
        for node in self.order:
            is_leaf = node.primitive == "leaf"
            self.reads[node] = frozenset() if is_leaf else frozenset().union(
                *(frozenset([i]) if i in self.buffers else self.reads[i] for i in node.inputs))
            self.reads_elsewhere[node] = self.reads[node] if moves(node) else frozenset().union(
                *(self.reads_elsewhere[i] for i in node.inputs if i not in self.buffers))
            if node in self.buffers and self.buffers[node].kind != "leaf":
                made.append(node)
        for node in made:
            if len(self.reads[node]) <= 2 * _NEIGHBOURS:
                for n in self.reads[node]:
                    self.read_with.setdefault(n, set()).update(self.reads[node])
        for node in made:
            self._find_home(node)

    def _find_home(self, node):
        kind, shape, reduced = self._kind(node)
        needs = {self.home[n] for n in self.reads[node] if n in self.home}
        call = _call_of(node)
        group = self.calls.get(call)
        if group is not None and (node.primitive == "part" or all(n.primitive != node.primitive for n in group.nodes)):
            self.home[node] = group
            group.nodes.append(node)
            return
        group = None
        if self.fuse and node not in self.forced and kind in _FUSABLE:
            group = next((g for g in self._near(node, needs) if self._may_join(node, kind, shape, reduced, g, needs)), None)
        if group is None:
            group = _Group(kind, shape, reduced)
            self.bit[group] = 1 << len(self.groups)
            self.groups.append(group)
            if call is not None:
                self.calls[call] = group
        elif kind == "rows" and group.kind in ("map", "columns cut"):
            group.kind, group.reduced = "rows", reduced
        group.nodes.append(node)
        group.made_of |= self.storing.made_of[node]
        self.home[node] = group
        for n in self.reads[node] - group.reads:
            self.readers.setdefault(n, []).append(group)
        group.reads |= self.reads[node]
        for other in needs:
            self._wait(group, other)

    def _near(self, node, needs):
        """Groups that a node might join, the newest first: they make or read what it reads, or what is read together with it."""
        near = {self.bit[g]: g for g in needs}
        near.update((self.bit[self.home[n]], self.home[n]) for n in self.read_with.get(node, ()) if n in self.home)
        for n in {*self.reads[node], *(n for g in needs for n in g.nodes)}:
            near.update((self.bit[g], g) for g in self.readers.get(n, ())[-_NEIGHBOURS:])
        return [near[bit] for bit in sorted(near, reverse=True)[:_NEIGHBOURS]]

    def _wait(self, group, other):
        """Note that a group runs after another one."""
        if other is group or other in group.needs:
            return
        group.needs.add(other)
        other.is_needed = True
        new, bit = self.bit[other] | other.after, self.bit[group]
        if new | group.after == group.after:
            return
        group.after |= new
        if group.is_needed:
            for g in self.groups:
                if g.after & bit:
                    g.after |= new

    def _depends(self, group, on):
        return bool(group.after & self.bit[on])

    def _kind(self, node):
        if is_complex(node):
            return "host", node.shape, ()
        if node.primitive.startswith("partial."):
            return "rows cut" if is_row_reduction(node) else "columns cut", node.inputs[0].shape, node.attributes[0]
        if node.primitive.startswith("reduce."):
            rows = is_row_reduction(node)
            if not rows and node.primitive in ("reduce.argmax", "reduce.argmin"):
                return "best", node.inputs[0].shape, node.attributes[0]
            return "rows" if rows else "columns", node.inputs[0].shape, node.attributes[0]
        if node.primitive == "contraction" or node.primitive in CONVOLUTIONS:
            return "contraction", node.shape, ()
        if node.primitive == "assign":
            return "assign", node.shape, ()
        if node.primitive == "cat":
            parts = parts_of(node, self.buffers.__contains__)
            return ("map" if parts_together(parts) == len(parts) else "pieces"), parts[0].shape, ()
        if is_inline(node) or node.primitive == "leaf":
            return "map", node.shape, ()
        if node.primitive == "part" and node.inputs[0].primitive == "loop":
            return "loop", node.shape, ()
        own = {"scan": "scan", "scatter": "scatter", "argsort": "sort", "attention": "attention", "attention_gradient": "attention"}
        return own.get(node.primitive.split(".")[0], "host"), node.shape, ()

    def _may_join(self, node, kind, shape, reduced, group, needs):
        if self.storing.size(self.storing.made_of[node] | group.made_of) > LARGEST_KERNEL:
            return False
        if any(self.home.get(n) is group for n in self.reads_elsewhere[node] & self.storing.read_elsewhere):
            return False
        if group.nodes[0] in self.forced or not self._fits(kind, shape, reduced, group):
            return False
        if group in needs and (kind in ("columns", "rows cut") or (kind == "columns cut" and group.kind != "rows")):
            return False  # it asks for what is known only when all rows are added up
        if any(self.home.get(n) is group and n.primitive.startswith("partial.") for n in self.reads[node]):
            return False
        if {kind, group.kind} == {"rows", "columns cut"} and not self.apart.isdisjoint([node, *group.nodes]):
            return False
        if group.kind == "contraction" and not (group in needs and self._suits_tiles(node, group)):
            return False
        return not any(self._depends(other, group) for other in needs if other is not group)

    def _suits_tiles(self, node, group):
        """Whether a node should be computed tile by tile: then memory is walked in short pieces of rows far apart, which many operands
        do not stand once they are larger than the cache.
        """
        size = key(product(group.shape))
        operands = {n for n in (self.reads[node] | group.reads) - set(group.nodes) if key(product(n.shape)) == size}
        results = sum(self._is_wanted_outside(n, group) for n in group.nodes) + 1
        return len(operands - set(group.nodes[0].inputs)) + results <= TILE_OPERANDS or product(group.shape) <= TILE_ELEMENTS

    @staticmethod
    def _fits(kind, shape, reduced, group):
        extents, shape, other = shape, tuple(map(key, shape)), tuple(map(key, group.shape))
        kept = tuple(n for d, n in enumerate(other) if d not in group.reduced and n != 1)
        sized = tuple(n for n in shape if n != 1)
        if kind == "map":
            if group.kind == "contraction":
                return shape == other or shape[-1:] == other[-1:] and key(product(extents)) == key(product(group.shape))
            if group.kind in ("map", "rows"):
                return shape == other or (group.kind == "rows" and sized == kept)
            return group.kind == "columns" and sized == kept
        if kind == "rows":
            return shape == other and (group.kind == "map" or (group.kind == "rows" and reduced == group.reduced)
                                       or (group.kind == "columns cut" and _rows_and_columns(extents, reduced, group.reduced)))
        if kind == "columns cut" and group.kind == "rows":
            return shape == other and _rows_and_columns(extents, group.reduced, reduced)
        return group.kind == kind and shape == other and reduced == group.reduced

    def _readers_first(self):
        """Whoever reads memory that is written over has to run before that."""
        readers = {}
        for group in self.groups:
            for n in group.reads:
                if n.primitive == "leaf":
                    readers.setdefault(n.attributes[2], {})[group] = None
        for node, target in self.direct.items():
            writer = self.home[node]
            for group in readers.get(target.storage, ()):
                if group is writer:
                    continue
                if self._depends(group, writer):
                    self.problems.append(MustCopy(target.number))
                    break
                self._wait(writer, group)
            if any(self._lies_in(source, target.storage) for source, _ in self.final):
                self.problems.append(MustCopy(target.number))

    @staticmethod
    def _lies_in(node, storage):
        return node.primitive == "leaf" and node.attributes[2] == storage

    def _in_order(self):
        done, order = set(), []
        stack = list(reversed(self.groups))
        while stack:
            g = stack[-1]
            if g in done:
                stack.pop()
                continue
            waiting = [n for n in g.needs if n not in done and n is not g]
            if waiting:
                stack.extend(waiting)
            else:
                stack.pop()
                done.add(g)
                order.append(g)
        return order

    # Groups become steps

    def _steps(self, group):
        node = group.nodes[0]
        if group.kind == "host":
            self._check_reads(group)
            return [self._host_step(group)]
        if group.kind == "loop":
            from .repetition import loop_steps
            self._check_reads(group)
            return loop_steps(node.inputs[0], group.nodes, self._buffer_of, self._memory,
                              lambda wanted: schedule([Output(*o) for o in wanted], self.fuse))
        if group.kind == "sort":
            return [self._sort_step(node)]
        if group.kind == "attention":
            return [self._attention_step(group)]
        wanted = [n for n in group.nodes if self._is_wanted_outside(n, group)]
        memory = tuple(id(self.buffers.get(n)) for n in (*group.nodes, *sorted(group.reads, key=id)))
        name = group.kind, tuple(group.nodes), tuple(wanted), frozenset(group.reads), memory, frozenset(self.direct.keys() & set(group.nodes))
        if name not in self.past.steps:
            self.past.steps[name] = self._made(group, wanted)
        steps, same = self.past.steps[name]
        self.same.update(same)
        return steps

    def _made(self, group, wanted):
        node, inside = group.nodes[0], set(group.nodes)
        computed = [i for i in node.inputs if (node, i) in self.storing.prologues] if group.kind == "contraction" else ()
        request = Request(group.kind, group.nodes, wanted, self.buffers, lambda n: (self.leaf_buffers if n in inside else self.buffers).get(n),
                          self.direct, computed, self.past.simplified())
        return request.steps()

    def _copy(self, source, target):
        """The steps that write what is in memory to other memory."""
        if is_complex(source):
            return [_host_copy(source, self._buffer_of(source), target)]
        return Request("copy", [source], [source], {source: target}, self._buffer_of, simplified=self.past.simplified()).steps()[0]

    def _check_reads(self, group):
        for n in group.nodes:
            if n in self.direct and any(self._lies_in(r, self.direct[n].storage) for m in group.nodes for r in self.reads[m]):
                raise MustCopy(self.direct[n].number)

    def _memory(self, dtype, shape, strides=None):
        """A new buffer in the arena."""
        self.arena.append(Buffer("arena", len(self.arena), dtype, shape, strides))
        return self.arena[-1]

    def _sort_step(self, node):
        x, result = self.buffers[node.inputs[0]], self.buffers[node]
        self._check_reads(self.home[node])
        return SortStep(node, x, result, [x], [result])

    def _attention_step(self, group):
        from .products import operand
        self._check_reads(group)
        node = group.nodes[0]
        inputs = [operand(i, self._buffer_of) for i in node.inputs]
        results = {n.primitive.partition(".")[2]: self.buffers[n] for n in group.nodes}
        name = node.primitive.partition(".")[0] + (": " + ", ".join(filter(None, results)) if any(results) else "")
        return AttentionStep(node, inputs, results, [self._whole(buffer) for buffer, _ in inputs], list(results.values()), name,
                             operations(node))

    def _host_step(self, group):
        if group.nodes[0].primitive == "leaf":
            return _host_copy(group.nodes[0], self.leaf_buffers[group.nodes[0]], self.buffers[group.nodes[0]])
        call = group.nodes[0].inputs[0] if group.nodes[0].primitive == "part" else None
        inputs = {i: self.buffers[i] for n in ([call] if call else group.nodes) for i in n.inputs}
        results = [(n, self.buffers[n]) for n in group.nodes]
        return HostStep([*([call] if call else []), *group.nodes], list(inputs.items()), results,
                        list(inputs.values()), [b for _, b in results])

    def _is_wanted_outside(self, node, group):
        if self.buffers[node].kind == "target" or any(source is node for source, _ in self.final):
            return True
        return any(reader is not group for reader in self.readers.get(node, ()))

    def _whole(self, buffer):
        return self.arena[buffer.number] if buffer.kind == "arena" else buffer


def _call_of(node):
    """What a node is one of several results of, if it is."""
    if node.primitive == "part":
        return node.inputs[0]
    kind = node.primitive.partition(".")[0]
    return (kind, node.inputs, node.attributes[0]) if kind in ("attention", "attention_gradient") else None


def _host_copy(node, source, target):
    """The step in which NumPy copies a node from memory to memory."""
    return HostStep([], [(node, source)], [(node, target)], [source], [target])


def _rows_and_columns(shape, along, down):
    """Whether rows that are reduced `along` themselves can be added up `down` their columns by the same kernel: each dimension is of
    one kind, and there are so many rows that blocks of them are tasks enough."""
    sized = {d for d, n in enumerate(shape) if not is_int(n, 1)}
    apart = not set(along) & set(down) & sized and sized <= {*along, *down} and sized & set(along)
    return bool(apart) and extent_value(product(shape[d] for d in down)) >= LEAST_BLOCKS * COLUMN_BLOCK


def _empty(step):
    """Whether nothing would be written."""
    return all(any(is_int(n, 0) for n in b.shape) for b in step.writes)
