"""The graph that backward goes through, from a result down to the leaves.

    w   x              leaves on top, each with its shape
     \\ /
     Mm   b            calls; a gradient goes up along the lines
       \\ /
       Add
        |
      result

In layers: a call stands under everything that went into it.  Start with `calls_of`.
"""
from collections import Counter
from dataclasses import dataclass, field

import rushlight as torch

from .svg import drawing, tag, text

MOST = 300  # calls drawn
ROW, GAP = 54, 18


@dataclass(eq=False)
class Call:
    """A node of the graph: what it is called, whether it is a leaf, and what went into it."""

    words: str
    leaf: bool = False
    sources: list = field(default_factory=list)
    level: int = 0  # the row that it stands in
    x: float = 0.0

    @property
    def width(self):
        return 7.3 * max(map(len, self.words.split("\n"))) + 22 if self.words else 0.0


def calls_of(result, names=None):
    """(the calls of a result's graph, the last one first, whether there are more than these); `names` gives names to leaves by identity."""
    names = names or {}
    root = Call(f"result\n{_shape(result)}")
    node = result.grad_fn
    if node is None:
        root.words, root.leaf = _leaf_words(result, names), result.requires_grad
        return [root], False
    known, queue, more = {}, [], []
    calls = [root]

    def call_of(node):
        if id(node) not in known:
            if len(known) >= MOST:
                more.append(node)
                return None
            leaf = not node.next_functions and hasattr(node, "variable")
            known[id(node)] = call = Call(_leaf_words(node.variable, names) if leaf else _readable(node.name()), leaf)
            calls.append(call)
            queue.append((node, call))
        return known[id(node)]
    root.sources = [call_of(node)]
    held = [node]  # nodes are made when they are asked for; an id is its node's for as long as that lives
    for node, call in queue:
        held.append(node)
        for source, _ in node.next_functions:
            found = source is not None and call_of(source)
            if found and found not in call.sources:
                call.sources.append(found)
    return calls, bool(more)


def _shape(tensor):
    return " × ".join(map(str, tensor.shape)) or "a number"


def _leaf_words(leaf, names):
    return f"{names.get(id(leaf), 'leaf')}\n{_shape(leaf)}"


def _readable(name):
    """AddmmBackward0 as addmm."""
    name = name.rpartition("::")[2]
    head, found, number = name.partition("Backward")
    if not found or not (number == "" or number.isdigit()):
        return name
    return "".join(("_" if i and letter.isupper() else "") + letter.lower() for i, letter in enumerate(head)) or name


def _ordered(calls):
    """The calls, each after everything that went into it; levels are set on the way."""
    order, state = [], {}
    stack = [(calls[0], iter(calls[0].sources))]
    state[calls[0]] = True
    while stack:
        call, sources = stack[-1]
        following = next((source for source in sources if source not in state), None)
        if following is None:
            stack.pop()
            call.level = max((source.level + 1 for source in call.sources), default=0)
            order.append(call)
        else:
            state[following] = True
            stack.append((following, iter(following.sources)))
    return order


def graph_picture(result, names=None):
    """The drawing of a result's graph."""
    calls, more = calls_of(result, names)
    order = _ordered(calls)
    ways = _bent(order)
    rows = [[] for _ in range(calls[0].level + 1)]
    for call in order + [bend for way in ways for bend in way[1:-1]]:
        rows[call.level].append(call)
    _arrange(rows, ways)
    left = min(call.x - call.width / 2 for call in order)
    for row in rows:
        for call in row:
            call.x += 12 - left
    width = max(call.x + call.width / 2 for row in rows for call in row) + 12
    parts = [tag("path", d=_line(way), class_="way") for way in ways]
    for call in order:
        y, lines = _middle(call), call.words.split("\n")
        kind = "leaf" if call.leaf else "result" if call is calls[0] else "box"
        parts.append(tag("rect", x=call.x - call.width / 2, y=y - 17, width=call.width, height=34, rx=6 if call.leaf else 17, class_=kind))
        for i, line in enumerate(lines):
            at = y + 4 if len(lines) == 1 else y - 2 + 14 * i
            parts.append(text(call.x, at, line, text_anchor="middle", class_="small muted" if i else "small"))
    bottom = _middle(calls[0]) + 26
    if more:
        parts.append(text(12, bottom + 8, "and more calls", class_="muted"))
        bottom += 20
    return drawing(max(width, 120), bottom, *parts, title=f"the graph of {len(order)} calls that backward goes through")


def _middle(call):
    return 30 + ROW * call.level


def _bent(order):
    """The ways from each call to those that read it, [source, bends ..., user].

    There is a bend in each row that a way passes, so that it gets a place there.  Sets the levels: a call stands right
    above the first one that reads it.
    """
    users = {call: [] for call in order}
    for call in order:
        for source in call.sources:
            users[source].append(call)
    for call in reversed(order):
        if users[call]:
            call.level = min(user.level for user in users[call]) - 1
    return [[call, *(Call("", level=level) for level in range(call.level + 1, user.level)), user] for call in order for user in users[call]]


def _line(way):
    """A way as a curve from the lower edge of its first call, straight down through its bends, to the upper edge of its last one."""
    words = [f"M{way[0].x:.1f} {_middle(way[0]) + 17}"]
    for above, below in zip(way, way[1:]):
        start, end = _middle(above) + 17, _middle(below) - 17
        bend = max(12.0, (end - start) / 2)
        words.append(f"C{above.x:.1f} {start + bend:.1f} {below.x:.1f} {end - bend:.1f} {below.x:.1f} {end}")
        if below is not way[-1]:
            words.append(f"V{_middle(below) + 17}")
    return " ".join(words)


def _arrange(rows, ways, sweeps=12):
    """A place on the x axis for each call: near what it is joined to, no two of a row over each other."""
    above, below = {}, {}
    for way in ways:
        for upper, lower in zip(way, way[1:]):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    for row in rows:
        x = 0.0
        for call in row:
            call.x = x + call.width / 2
            x += call.width + GAP
    for sweep in range(sweeps):
        for row in rows[::-1] if sweep % 2 == 0 else rows:
            first, second = (below, above) if sweep % 2 == 0 else (above, below)
            wished = {}
            for call in row:
                joined = first.get(call) or second.get(call) or [call]
                wished[call] = sum(other.x for other in joined) / len(joined)
            row.sort(key=wished.get)
            _spread(row, wished)


def _spread(row, wished):
    """Put a row as near to its wishes as it goes without overlaps: blocks that meet are moved together to the mean of their wishes."""
    blocks = []  # [calls, width, sum over calls of what the block's left edge should be]
    for call in row:
        blocks.append([[call], call.width, wished[call] - call.width / 2])
        while len(blocks) > 1:
            (calls, wide, wish), (more, wider, other) = blocks[-2:]
            if wish / len(calls) + wide + GAP <= other / len(more):
                break
            blocks[-2:] = [[calls + more, wide + GAP + wider, wish + other - len(more) * (wide + GAP)]]
    for calls, _, wish in blocks:
        x = wish / len(calls)
        for call in calls:
            call.x = x + call.width / 2
            x += call.width + GAP


def graph_text(result, names=None):
    """The graph for a terminal: what went into a call stands under it, further in; a call that stands elsewhere already is only named."""
    calls, more = calls_of(result, names)
    shared = Counter(source for call in calls for source in call.sources)
    numbers, lines, seen = {}, [], set()
    stack = [(calls[0], "", "")]
    while stack:
        call, before, branch = stack.pop()
        words = call.words.replace("\n", "  ")
        if shared[call] > 1 and not call.leaf:
            words += f"  #{numbers.setdefault(call, len(numbers) + 1)}"
        again = call in seen and bool(call.sources)
        lines.append(before + branch + words + (", as above" if again else ""))
        if again:
            continue
        seen.add(call)
        below = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        last = len(call.sources) - 1
        stack += [(source, below, "└─ " if i == last else "├─ ") for i, source in reversed(list(enumerate(call.sources)))]
    return "\n".join(lines + (["and more calls"] if more else []))


def names_of(model):
    """Names for the leaves that are a model's parameters."""
    return {id(parameter): name for name, parameter in model.named_parameters()} if isinstance(model, torch.nn.Module) else {}
