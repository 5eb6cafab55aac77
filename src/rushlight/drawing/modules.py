"""Any model as the tree of its modules, with the shapes that go through: as nested boxes, and as text.

    GPT                            (1, 64) -> (1, 64, 103)     249,895
    |- embed   Embedding(103, 96)  (1, 64, 96)                   9,888
"""
from html import escape

from .svg import drawing, tag, text

ROW = 30
INDENT = 22
EDGE = 6  # between the right sides of frames
LETTER = 7.1  # the width of a character, about
SETTINGS = 44  # characters of a module's settings that are shown
DEEPEST = 200  # rows drawn


def module_boxes(trace):
    """The drawing of the whole tree."""
    rows = list(trace.root.everything())[:DEEPEST]
    deepest = max(part.depth for part in rows)
    middle = 24 + max(INDENT * part.depth + LETTER * (len(part.name) + len(_label(part))) for part in rows) + 40
    numbers = middle + LETTER * max(len(shape_of(part)) for part in rows) + 100
    right = numbers + 14 + EDGE * deepest
    most = max((part.parameters() for part in rows if not part.parts), default=0) or 1
    frames, parts, drawn = [], [], set(rows)

    def add(part, y):
        """Draw a part and all inside it from `y` on; returns where it ends."""
        x, width = 12 + INDENT * part.depth, right - EDGE * part.depth - 12 - INDENT * part.depth
        own, at = part.parameters(), y + 19
        words = tag("tspan", escape(_label(part)), dx=9 if part.name else 0)
        words = tag("tspan", escape(part.name), class_="muted") + words if part.name else words
        parts.extend((tag("text", words, x=x + 10, y=at), text(middle, at, shape_of(part), class_="muted")))
        if own:
            parts.append(text(numbers, at, f"{own:,}", text_anchor="end", class_="small muted" if part.parts else "small"))
        if not part.parts:
            frames.append(tag("rect", x=x, y=y + 2, width=width, height=ROW - 4, rx=6, class_="leaf"))
            if own:
                share = 64 * own / most
                parts.append(tag("rect", x=numbers - share, y=y + ROW - 7, width=share, height=2.5, class_="fill-first"))
            return y + ROW
        end = y + ROW
        for inner in part.parts:
            end = add(inner, end) if inner in drawn else end
        frames.append(tag("rect", x=x, y=y + 1, width=width, height=end + EDGE - y - 1, rx=8, class_="frame"))
        return end + EDGE + 3
    end = add(trace.root, 8.0)
    left_out = sum(1 for _ in trace.root.everything()) - len(rows)
    if left_out:
        parts.append(text(24, end + 16, f"and {left_out} more", class_="muted"))
        end += 24
    return drawing(right + 12, end + 8, *frames, *parts, title=f"the modules of {trace.root.kind}")


def _label(part):
    """The kind of a module and, of an innermost one, its settings."""
    settings = part.module.extra_repr() if not part.parts else ""
    settings = settings if len(settings) <= SETTINGS else settings[:SETTINGS - 1] + "…"
    return part.kind + (f"({settings})" if settings else "")


def shape_of(part):
    """What comes out of a part; of the whole model and of what changes the rank, also what goes in."""
    came, went = (None if tensor is None else "(" + ", ".join(map(str, tensor.shape)) + ("," if tensor.dim() == 1 else "") + ")"
                  for tensor in (part.input, part.output))
    if went is None:
        return ""
    return f"{came} → {went}" if part.depth == 0 and came else went


def module_text(trace):
    """The tree for a terminal."""
    lines = []

    def add(part, before, branch):
        name, own = (part.name + "  " if part.name else ""), part.parameters()
        lines.append((f"{before}{branch}{name}{_label(part)}", shape_of(part), f"{own:,}" if own else ""))
        below = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for i, inner in enumerate(part.parts):
            add(inner, below, "└─ " if i == len(part.parts) - 1 else "├─ ")
    add(trace.root, "", "")
    widths = [max(len(line[i]) for line in lines) for i in range(3)]
    return "\n".join(f"{a:<{widths[0]}}   {b:<{widths[1]}}   {c:>{widths[2]}}".rstrip() for a, b, c in lines)
