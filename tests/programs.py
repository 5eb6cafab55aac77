"""Random programs that run on any library with PyTorch's API, and what one can see of them.

    program = [("leaf", 0, 3, 1), ("select", 0, 1, 0), ("add_", 1, 1, 2), ("read", 0, 0, 0)]
    seen = run(torch, program)          on PyTorch, on Rushlight, on Rushlight with every value looked at after every call

A program is a list of actions: a name and three small numbers, which choose operands, dimensions and numbers *modulo* what there is, so
that every list of numbers is a program and a part of a failing program is one too.  `World` runs it.  After each action it notes
what can be seen without looking at a value (shape, strides, dtype, version, requires_grad, the class of an exception); values are noted
where the program reads them, or after every action with `watch`.
"""
import functools

import numpy as np

SHAPES = [(2, 3), (3,), (3, 3), (), (1, 3), (2, 1, 3), (0, 3), (5,), (3, 2)]


class World:
    """A running program: its tensors, its NumPy arrays, its gradient mode, and what was seen."""

    def __init__(self, torch, watch=False):
        self.torch, self.watch = torch, watch
        self.tensors, self.arrays = [], []
        self.notes = []    # after each action: what can be seen without looking at values
        self.values = {}   # (number of the action, "tensor" | "grad" | "array", number) -> array
        self.step, self.stopped, self.undefined = 0, False, False
        self.born = {}     # what the version was at first, by id
        self.apart = set()  # ids of tensors made by `detach` or `data`, and of views of them
        self.counts = True  # whether versions are compared: `x.data = y` makes them incomparable

    def run(self, program):
        before = self.torch.is_grad_enabled()
        try:
            for name, i, j, k in program:
                self.act(name, i, j, k)
                if self.stopped:
                    break
            if not self.undefined:
                self.look_at_everything()
        finally:
            self.torch.set_grad_enabled(before)
        return self

    def act(self, name, i, j, k):
        self.step += 1
        outcome = None
        if name in PLAIN or self.tensors:
            try:
                made = ACTIONS[name](self, i, j, k)
                for t in made if isinstance(made, (list, tuple)) else [made]:
                    if t is not None and len(self.tensors) < 12:
                        self.tensors.append(t)
                        self.born[id(t)] = t._version if name == "matmul" else 0  # PyTorch writes to its own fresh results in there
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                outcome = type(error).__name__
                if "single memory location" in str(error) and "input tensor" in str(error):  # PyTorch will not say; ours reads first, then writes
                    self.undefined = self.stopped = True
                    return
                self.stopped = name == "backward"  # how far it came before it failed is nobody's business
        try:
            self.notes.append((name, outcome, [self.note(t) for t in self.tensors]))
        except RuntimeError:  # PyTorch finds a view ambiguous that was made under no_grad, and will not even say whether it is a leaf
            self.undefined = self.stopped = True
        if self.watch and not self.undefined:
            self.look_at_everything()

    def note(self, t):
        return {"shape": tuple(t.shape), "stride": t.stride() if t.numel() else None, "dtype": str(t.dtype).rpartition(".")[2],
                "requires_grad": t.requires_grad, "is_leaf": t.is_leaf, "version": t._version - self.born.get(id(t), 0) if self.counts else None,
                "offset": t.storage_offset()}

    def look_at_everything(self):
        for n in range(len(self.tensors)):
            self.look(n)
        for n, array in enumerate(self.arrays):
            self.values[self.step, "array", n] = array.copy()

    def look(self, n):
        t = self.tensors[n]
        self.values[self.step, "tensor", n] = np.array(t.tolist()).reshape(tuple(t.shape))
        if t.is_leaf and t.grad is not None:
            self.values[self.step, "grad", n] = np.array(t.grad.tolist()).reshape(tuple(t.shape))

    # What the numbers choose

    def at(self, i):
        return self.tensors[i % len(self.tensors)]

    def target(self, i):
        """What is written to: `at(i)`, where its elements do not share memory in ways that PyTorch leaves undefined."""
        x = self.at(i)
        if id(x) in self.apart and any(t.requires_grad for t in self.tensors):
            raise TypeError("what becomes of its views' gradients is another test")
        if not (x.shape and min(x.shape) and 0 not in x.stride()):
            return x
        places = sum(np.arange(n).reshape([-1 if d == e else 1 for e in range(x.ndim)]) * s for d, (n, s) in enumerate(zip(x.shape, x.stride())))
        if np.unique(places).size < x.numel():
            raise TypeError("overlaps")
        return x

    def of_same_shape(self, i, j):
        """A tensor of the shape of number i, from number j on; maybe itself."""
        wanted = tuple(self.at(i).shape)
        order = [self.at(j + d) for d in range(len(self.tensors))]
        return next(t for t in order if tuple(t.shape) == wanted)


def run(torch, program, watch=False):
    """The World after a program."""
    return World(torch, watch).run(program)


# ---------------------------------------------------------------------------------------------------------------------
# The actions

ACTIONS, PLAIN, NEEDS = {}, set(), {}


def action(needs=None, plain=False):
    """Register an action; `needs` names the Tensor method without which it cannot be tried; a `plain` one needs no tensor."""
    def register(function):
        name = function.__name__.rstrip("_") if function.__name__.startswith("make_") else function.__name__
        ACTIONS[name] = function
        NEEDS[name] = needs
        if plain:
            PLAIN.add(name)
        return function
    return register


def available(torch):
    """The names of the actions that a library can run (while it grows; PyTorch can run all)."""
    return [name for name, needs in NEEDS.items() if needs is None or hasattr(torch.Tensor, needs)]


def numbers(shape, seed):
    """Small distinct multiples of 1/8."""
    count = int(np.prod(shape))
    return (((np.arange(count) * 7 + seed * 3) % 17 - 8) / 8).astype(np.float64).reshape(shape)


@action(plain=True)
def leaf(w, i, j, k):
    return w.torch.tensor(numbers(SHAPES[j % len(SHAPES)], i), requires_grad=bool(k % 2))


@action(plain=True)
def share(w, i, j, k):
    """A tensor over the memory of an array, which stays writable."""
    array = numbers(SHAPES[j % len(SHAPES)], i)
    w.arrays.append(array)
    return w.torch.from_numpy(array.T if k % 2 else array)


@action(plain=True)
def grad_mode(w, i, j, k):
    w.torch.set_grad_enabled(bool(i % 2))


def with_gradients(function):
    """Only where gradients are on: a view that is made under `no_grad` says in PyTorch that it requires a gradient, and writing to it is refused."""
    @functools.wraps(function)
    def made(w, i, j, k):
        if not w.torch.is_grad_enabled():
            return None
        view = function(w, i, j, k)
        if view is not None and (id(w.at(i)) in w.apart or function.__name__ in ("detach", "data")):
            w.apart.add(id(view))
        return view
    return made


# New values

@action()
def add(w, i, j, k):
    return w.at(i) + w.at(j)


@action()
def sub(w, i, j, k):
    return w.at(i) - w.of_same_shape(i, j)


@action()
def mul(w, i, j, k):
    return w.at(i) * w.at(j)


@action()
def scale(w, i, j, k):
    return w.at(i) * (0.5 + j % 3)


@action("tanh")
def tanh(w, i, j, k):
    return w.at(i).tanh()


@action("relu")
def relu(w, i, j, k):
    return w.at(i).relu()


@action()
def neg(w, i, j, k):
    return -w.at(i)


@action()
def total(w, i, j, k):
    x = w.at(i)
    return x.sum(j % x.ndim, keepdim=bool(k % 2)) if x.ndim and k % 3 else x.sum()


@action()
def matmul(w, i, j, k):
    return w.at(i) @ w.at(j)


@action("clone")
def clone(w, i, j, k):
    return w.at(i).clone()


@action("contiguous")
def contiguous(w, i, j, k):
    return w.at(i).contiguous()


@action("to")
def convert(w, i, j, k):
    return w.at(i).to(w.torch.float64 if k % 2 else w.torch.float32)


@action("cumsum")
def running(w, i, j, k):
    x = w.at(i)
    return x.cumsum(j % x.ndim) if x.ndim else None


# Views

@action("transpose")
@with_gradients
def transpose(w, i, j, k):
    x = w.at(i)
    return x.transpose(j, k) if j < x.ndim and k < x.ndim else x.t()


@action("unsqueeze")
@with_gradients
def unsqueeze(w, i, j, k):
    x = w.at(i)
    return x.unsqueeze(j % (x.ndim + 1)) if x.ndim < 4 else None


@action()
@with_gradients
def reshape(w, i, j, k):
    x = w.at(i)
    return x.reshape([(-1,), tuple(reversed(x.shape)), (1, *x.shape), (x.numel(), 1)][j % 4])


@action("view")
@with_gradients
def view(w, i, j, k):
    x = w.at(i)
    return x.view([(x.numel(),), tuple(reversed(x.shape)), (1, *x.shape), (x.numel(), 1)][j % 4])


@action()
@with_gradients
def expand(w, i, j, k):
    x = w.at(i)
    return x.unsqueeze(0).expand(1 + j % 3, *x.shape) if x.ndim < 3 else None


@action("__getitem__")
@with_gradients
def select(w, i, j, k):
    return w.at(i)[j % 3]


@action("__getitem__")
@with_gradients
def cut(w, i, j, k):
    return w.at(i)[j % 2:2 + k % 3]


@action("__getitem__")
@with_gradients
def columns(w, i, j, k):
    return w.at(i)[..., j % 2::1 + k % 2]


@action("narrow")
@with_gradients
def narrow(w, i, j, k):
    x = w.at(i)
    return x.narrow(j % max(x.ndim, 1), k % 2, 1)


@action("diagonal")
@with_gradients
def diagonal(w, i, j, k):
    return w.at(i).diagonal() if w.at(i).ndim == 2 else None


@action("unbind")
@with_gradients
def unbind(w, i, j, k):
    return [v * 2.0 for v in w.at(i).unbind(0)]  # not the views themselves: writing to one of several views is refused in ways of its own


@action("as_strided")
@with_gradients
def overlapping(w, i, j, k):
    """Windows that overlap: rows 1 apart."""
    x = w.at(i)
    return x.as_strided((2, 2), (1, 1), x.storage_offset()) if x.is_contiguous() and x.numel() >= 3 else None


@action("detach")
@with_gradients
def detach(w, i, j, k):
    return w.at(i).detach()


@action("data")
@with_gradients
def data(w, i, j, k):
    return w.at(i).data


# Writing in place

@action()
def add_(w, i, j, k):
    w.target(i).add_(w.at(j))


@action()
def mul_(w, i, j, k):
    w.target(i).mul_(w.at(j))


@action()
def shift_(w, i, j, k):
    w.target(i).add_(0.25 * (1 + j % 4))


@action("tanh_")
def tanh_(w, i, j, k):
    w.target(i).tanh_()


@action("relu_")
def relu_(w, i, j, k):
    w.target(i).relu_()


@action("copy_")
def copy_(w, i, j, k):
    w.target(i).copy_(w.at(j))


@action("fill_")
def fill_(w, i, j, k):
    w.target(i).fill_(j % 5 - 2.0)


@action("zero_")
def zero_(w, i, j, k):
    w.target(i).zero_()


@action("__setitem__")
def put(w, i, j, k):
    w.target(i)[j % 3] = 0.5 * (k % 4)


@action("__setitem__")
def put_columns(w, i, j, k):
    if 0 not in w.at(i).stride():
        w.target(i)[..., j % 2::1 + j % 2] = w.at(k).clone()


@action("resize_")
def add_out(w, i, j, k):
    if tuple((w.at(i) + w.at(j)).shape) == tuple(w.at(k).shape):
        w.torch.add(w.at(i).clone(), w.at(j).clone(), out=w.target(k))


@action("data")
def set_data(w, i, j, k):
    x, y = w.at(i), w.of_same_shape(i, j)
    if not any(t.requires_grad for t in w.tensors):
        w.counts = False
        x.data = y.detach().clone()


# Looking, NumPy's side

@action()
def read(w, i, j, k):
    w.look(i % len(w.tensors))


@action("numpy")
def show(w, i, j, k):
    w.arrays.append(w.at(i).detach().numpy())


@action()
def write_array(w, i, j, k):
    if w.arrays and not any(t.requires_grad for t in w.tensors):  # what was saved for backward is not to be changed unseen
        array = w.arrays[i % len(w.arrays)]
        if array.size and array.ndim:
            array[j % array.shape[0]] += 0.5
        elif array.size:
            array += 0.5


@action()
def read_array(w, i, j, k):
    if w.arrays:
        w.values[w.step, "array", i % len(w.arrays)] = w.arrays[i % len(w.arrays)].copy()


# Gradients

@action()
def backward(w, i, j, k):
    w.at(i).sum().backward(retain_graph=bool(k % 2))


@action()
def drop_gradients(w, i, j, k):
    for t in w.tensors:
        if t.is_leaf:
            t.grad = None


@action()
def want_gradient(w, i, j, k):
    return w.at(i).detach().requires_grad_()


@action()
def drop(w, i, j, k):
    if len(w.tensors) > 1:
        gone = id(w.tensors.pop(i % len(w.tensors)))
        if all(id(t) != gone for t in w.tensors):
            w.apart.discard(gone)
            w.born.pop(gone, None)


# ---------------------------------------------------------------------------------------------------------------------
# Comparing

def difference(a, b, exact):
    """What distinguishes two Worlds that ran the same program, in words, or None.  Of the values, those that both saw; `exact`: bit by bit."""
    for step, (one, other) in enumerate(zip(a.notes, b.notes), 1):
        if one != other:
            return f"after action {step}: {_first_difference(one, other)}"
    if len(a.notes) != len(b.notes) and not (a.undefined or b.undefined):
        return "one stopped earlier"
    scale = max((np.abs(v[np.isfinite(v)]).max(initial=1.0) for v in a.values.values()), default=1.0)
    for place in sorted(a.values.keys() & b.values.keys()):
        x, y = a.values[place], b.values[place]
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"at {place}: {x.dtype}{x.shape} and {y.dtype}{y.shape}"
        same = x.tobytes() == y.tobytes() if exact else np.allclose(x, y, rtol=1e-6, atol=1e-6 * scale, equal_nan=True)
        if not same:
            return f"at {place}: {x.tolist()} and {y.tolist()}"
    if a.undefined or b.undefined:
        return None
    missing = [p for p in a.values.keys() ^ b.values.keys() if p[1] == "grad" and p[0] == a.step]
    return f"only one has {missing[0]}" if missing else None


def _first_difference(one, other):
    for x, y in zip(one, other):
        if x == y or not isinstance(x, list):
            if x != y:
                return f"{one[0]}: {x} and {y}"
            continue
        for n, (p, q) in enumerate(zip(x, y)):
            if p != q:
                return f"{one[0]}: tensor {n} has {', '.join(f'{key} {p[key]} and {q[key]}' for key in p if p[key] != q[key])}"
        return f"{one[0]}: {len(x)} and {len(y)} tensors"
    return None


def listing(program):
    """A program as Python text."""
    return "[" + ", ".join(map(repr, program)) + "]"


def strategy(st, names):
    """Programs for hypothesis (`st` is its strategies), from two leaves on."""
    small = st.integers(0, 11)
    action = st.tuples(st.sampled_from(names), small, small, st.integers(0, 7))
    start = st.tuples(st.just("leaf"), small, small, st.integers(0, 3))
    return st.builds(lambda first, second, rest: [first, second, *rest], start, start, st.lists(action, max_size=24))
