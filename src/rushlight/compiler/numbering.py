"""Parts of a graph in numbers of their own, so that what is alike is called alike.

    v[7] * v[3], scalar 12        ->      d0 * i1, scalar 0            wherever in a graph it stands

Run-time integers and scalars are numbered in the order in which a description meets them.  `Known` keeps what was made for a description.
"""
from collections import OrderedDict

from ..ir.extents import Extent, check, symbol


class Numbering:
    """The numbers of one part of a graph: `integers` and `scalars` are the program's, in the order of the part's own."""

    def __init__(self, simplified=None):
        self.simplified = simplified  # makes extents that are known to be equal one, unless they are already
        self.integers, self.scalars = [], []
        self.atoms = {}  # the program's symbol -> (kind, the part's own number)

    def extents(self, values):
        """Attributes, or a shape, by name."""
        names = []
        for x in values:
            if x.__class__ is Extent and self.simplified is not None:
                x = self.simplified(x)
            if x.__class__ is Extent:
                terms = x.terms
                alone = len(terms) == 1 and terms[0][1] == 1 and len(terms[0][0]) == 1
                x = alone and self.atoms.get(terms[0][0][0]) or self._renamed(terms)
            elif x.__class__ is tuple:
                x = self.extents(x)
            elif x.__class__ is float:
                x = repr(x)  # to tell 0.0 from -0.0
            names.append(x)
        return tuple(names)

    def _renamed(self, terms):
        if len(terms) == 1 and terms[0][1] == 1 and len(terms[0][0]) == 1:
            return self._atom(terms[0][0][0])
        return tuple([(tuple([self._atom(a) for a in monomial]), factor) for monomial, factor in terms])

    def _atom(self, atom):
        kind = atom[0]
        if kind in ("d", "i"):
            name = self.atoms.get(atom)
            if name is None:
                name = self.atoms[atom] = kind, len(self.integers)
                self.integers.append(atom[1])
            return name
        return (kind, *(self._renamed(p.terms) if isinstance(p, Extent) else p for p in atom[1:]))

    def scalar(self, number):
        """The part's own number of a scalar."""
        if number not in self.scalars:
            self.scalars.append(number)
        return self.scalars.index(number)

    def own(self, integers):
        """A function that gives extents, and tuples of them, in the part's own numbers, whose values are `integers`."""
        symbols = {atom: symbol(number, integers[number], kind == "d") for atom, (kind, number) in self.atoms.items()}
        known = {}  # by identity: (what it became, itself, so that no other gets its id)

        def own(x):
            if x.__class__ is not Extent and x.__class__ is not tuple:
                return x
            found = known.get(id(x))
            if found is None:
                if x.__class__ is tuple:
                    now = tuple([own(p) for p in x])
                else:
                    now = x if self.simplified is None else self.simplified(x)
                    now = now.substitute(symbols) if isinstance(now, Extent) else now
                found = known[id(x)] = now, x
            return found[0]
        return own


class Known:
    """What was made for descriptions: name -> [(its guards hold, it)], least recently used out.  Of one name there may be several, made
    where other guards held."""

    def __init__(self, limit):
        self._found, self._limit, self._count = OrderedDict(), limit, 0

    def __len__(self):
        return self._count

    def get(self, name, integers):
        """What was made for a description, if its guards hold for these run-time integers, which are in the description's own numbers."""
        for holds, made in self._found.get(name, ()):
            if holds is None or holds(integers):
                self._found.move_to_end(name)
                return made
        return None

    def add(self, name, guards, made):
        self._found.setdefault(name, []).append((check(guards), made))
        self._count += 1
        while self._count > self._limit:
            oldest = next(iter(self._found))
            self._found[oldest].pop(0)
            self._count -= 1
            if not self._found[oldest]:
                del self._found[oldest]
