"""One operator, one definition: `@operator` makes all that users see from a function.

    @operator(methods="exp")                           torch.exp, Tensor.exp, Tensor.exp_, out=
    def exp(input: Tensor) -> Tensor:
        "docstring"
        return building.unary("exp", input)            its meaning in primitives (or in other operators)

    @exp.gradient                                      only where the derived gradient is not good enough
    def exp_gradient(grad, result, input): return grad * result.conj()

The annotations of the parameters say how an argument is taken:

    Tensor               an operand                     Tensor | None      the same, or absent
    Tensor | Number      an operand, or a Python number that becomes a run-time scalar
    Number               a run-time scalar              Number | None      the same, or absent
    Tensors              a sequence of operands
    Extent, Extents      a run-time integer, or a sequence of them: never part of what is compiled
    anything else        static: hashable, and part of the structure

A call from outside is recorded (`call`); its body runs only when it was never recorded before, on tensors whose extents are
symbolic.  A call inside a body runs the body at once (`inline`).  Bodies are functional: they write to nothing.

Start with `operator`, at the end, then `Operator.call_slowly`, `infer` and `inline`.
"""
import functools
import os
import typing
from numbers import Number

import numpy as np

from ..ir import graph
from ..ir.extents import extent_value, is_int
from ..runtime.recorder import OURS, here
from ..runtime.storage import dense_order, strides_in_order
from ..runtime.trace import History, Value, classify
from ..runtime.trie import FAST_ARGUMENTS
from ..tensors import dispatch
from ..tensors.creation import tensor
from ..tensors.tensor import Tensor
from .arguments import Static, static, taker


class Extent(int):
    """Annotation: a run-time integer."""


class Extents(tuple):
    """Annotation: a sequence of run-time integers."""


class Tensors(tuple):
    """Annotation: a sequence of tensors."""


TENSOR, NUMBER, TENSOR_OR_NUMBER, TENSORS, EXTENT, EXTENTS, STATIC = "tensor number tensor|number tensors extent extents static".split()
ABSENT = "absent"  # in the place of a run-time integer that was not given
ALL = {}  # every operator by name, in the order of definition
EXPORTED = {}  # what the namespace holds besides: plain functions (and classes) that sort arguments out and call operators

OF_NUMBERS = frozenset(("add", "sub", "mul", "div", "floor_divide"))  # operators that also compute with Python numbers alone

_PYTHON_NUMBER = {bool: bool, int: int, float: float, complex: complex}


class Operator:
    """A definition.  `body` is the function as written; `kinds` says how each parameter is taken; `view` that its result is a
    view of its first operand; `pointwise` that its result is laid out as its operands are, `keeps_format` that it is where its first
    operand lies with its channels innermost; `differentiable` whether gradients flow
    through it; `converts` whether `out=` may be of another dtype than the result; `gradient` its own rule, or None where that follows
    from its body; `check` what looks at data before each call, or None, and `checked_with` the parameters that have to be given for
    that."""

    def __init__(self, body, view, pointwise, differentiable, converts, keeps_format):
        OURS.add(body.__module__.partition(".")[0])
        self.body, self.view, self.pointwise, self.differentiable = body, view, pointwise, differentiable
        self.converts, self.keeps_format, self.name = converts, keeps_format, body.__name__
        self.gradient = None
        self.check, self.checked_with = None, ()

    # What the signature says is worked out at the first call, so that defining an operator costs nothing.
    @functools.cached_property
    def signature(self):
        import inspect
        return inspect.signature(self.body)

    @functools.cached_property
    def kinds(self):
        return [_kind(p.annotation) for p in self.signature.parameters.values()]

    @functools.cached_property
    def optional(self):
        return [type(None) in typing.get_args(p.annotation) for p in self.signature.parameters.values()]

    @functools.cached_property
    def takers(self):
        return [taker(p.annotation) for p in self.signature.parameters.values()]

    @functools.cached_property
    def keywords(self):
        return [p.name for p in self.signature.parameters.values() if p.kind is p.KEYWORD_ONLY]

    @functools.cached_property
    def positional(self):
        return len(self.kinds) - len(self.keywords)

    @functools.cached_property
    def is_fast(self):
        """Whether the functions that users call may compare its arguments one by one."""
        return len(self.kinds) <= len(FAST_ARGUMENTS) and TENSORS not in self.kinds

    def __repr__(self):
        return f"<operator {self.name}>"

    # -----------------------------------------------------------------------------------------------------------------
    # A call from outside: recorded

    @functools.cached_property
    def call(self):
        """The operator as a function of all its parameters, in order."""
        return call_of(self)

    def call_slowly(self, *args, into=None):
        """Record the call (or run the body, inside another body).  All parameters are given, in order."""
        recorder = here.recorder
        if recorder.inline:
            if not recorder.is_interrupted(_tensors_in(args)):
                return self.inline(args)
            with recorder.outside():
                return self.call_slowly(*args, into=into)
        if recorder.hidden is not None:
            return self._taken_over(args, into)
        tensors, numbers, integers, recipe = [], [], [], []
        for kind, a, optional, name, way in zip(self.kinds, args, self.optional, self.signature.parameters, self.takers):
            if kind is STATIC:
                recipe.append(static(a if way is None or a is None and optional else self._taken(a, way, name)))
            elif a is None and optional:
                recipe.append(None)
            elif kind is TENSOR or kind is TENSOR_OR_NUMBER or kind is NUMBER:
                if isinstance(a, Tensor):
                    if a._dispatches:
                        return self._taken_over(args, into)
                    if kind is NUMBER:
                        a = self._number_of(a, name)
                        recipe.append(NUMBER)
                        numbers.append(a)
                        continue
                    recipe.append(TENSOR)
                    tensors.append(a)
                elif kind is TENSOR:
                    return self._strange(args, into, self._wrong_type(name, a, "Tensor"))
                elif hasattr(type(a), "__torch_function__"):
                    return self._strange(args, into, self._wrong_type(name, a, "Tensor or Number"))
                else:
                    numbers.append(self._python_number(a, name))
                    recipe.append(NUMBER)
            elif kind is TENSORS:
                if isinstance(a, Tensor) or not isinstance(a, (tuple, list)):
                    raise self._wrong_type(name, a, "tuple of Tensors") from None
                if not all(isinstance(t, Tensor) or t is None for t in a):
                    bad = next(i for i, t in enumerate(a) if not isinstance(t, Tensor))
                    return self._strange(args, into, TypeError(
                        f"{self.name}(): expected Tensor as element {bad} in argument 0, but got {type(a[bad]).__name__}"))
                if any(t._dispatches for t in a if t is not None):
                    return self._taken_over(args, into)
                recipe.append((TENSORS, tuple(t is not None for t in a)))
                tensors += [t for t in a if t is not None]
            elif kind is EXTENT:
                integers.append(self._integer(a, name))
                recipe.append(EXTENT)
            else:
                if not isinstance(a, (tuple, list)):
                    raise self._wrong_type(name, a, "tuple of ints")
                recipe.append((EXTENTS, len(a)))
                integers += [self._integer(n, name) for n in a]
        if not tensors and TENSOR_OR_NUMBER in self.kinds:
            if self.name not in OF_NUMBERS:
                raise self._wrong_type(next(iter(self.signature.parameters)), args[0], "Tensor") from None
            return self.call(tensor(args[0]), *args[1:])
        recipe = tuple(recipe)
        try:
            return recorder.record(self, tensors, recipe, numbers, integers, recipe, into)
        except Exception as error:
            raise shortened(error)  # noqa: B904  (the same error)

    def _taken_over(self, args, into):
        """The call, when a mode or a tensor's class may want it: theirs, or ours on the plain tensors."""
        if into is None:
            given, named = [], {}
            for a, p in zip(args, self.signature.parameters.values()):
                if p.default is p.empty:
                    given.append(a)
                elif a is not p.default:
                    named[p.name] = a
            answer = dispatch.taken_over(self.function, tuple(given), named)
            if answer is not None:
                return answer[0]
        with here.recorder.unwatched():
            result = self.call_slowly(*dispatch.all_plain(args), into=into)
            if here.recorder.saved_hooks:
                here.recorder.pack_saved(result)
        return result

    def _strange(self, args, into, error):
        """What becomes of a call with an argument that is no operand: its class may take calls over."""
        if dispatch.has_torch_function(args):
            return self._taken_over(args, into)
        raise error from None

    def _taken(self, a, taker, name):
        take, wanted = taker
        taken = take(a)
        if taken is None:
            raise self._wrong_type(name, a, wanted) from None
        return taken

    def _number_of(self, t, name):
        if t.requires_grad:
            raise self._wrong_type(name, t, "Number")
        if t.ndim:
            raise TypeError(f"{self.name}(): argument '{name}' must be Number, not Tensor of shape {tuple(t.shape)}")
        return t.item()

    def _python_number(self, a, name):
        kind = type(a)
        if kind in _PYTHON_NUMBER:
            return a
        if isinstance(a, np.generic):
            return a.item()
        for number in (bool, int, float, complex):
            if isinstance(a, number):
                return number(a)
        if hasattr(a, "__index__"):
            return a.__index__()
        raise self._wrong_type(name, a, "Tensor or Number") from None

    def _integer(self, a, name):
        if type(a) is int:
            return a
        if isinstance(a, bool) or isinstance(a, (float, complex, str)) or a is None:
            raise self._wrong_type(name, a, "int")
        try:
            return a.__index__()
        except AttributeError:
            raise self._wrong_type(name, a, "int") from None

    def _wrong_type(self, name, a, wanted):
        return TypeError(f"{self.name}(): argument '{name}' must be {wanted}, not {type(a).__name__}")

    def as_compared(self, recipe, operands, numbers, integers):
        """What the functions that users call compare each argument with (see runtime.recorder.Step): a Value, the type of a number, the
        part of a run-time integer that belongs to the structure, or a static argument as it is."""
        for kind, part in zip(self.kinds, recipe):
            if part is TENSOR:
                yield next(operands)
            elif part is NUMBER:
                yield type(next(numbers))
            elif part is EXTENT:
                yield classify(next(integers))
            elif kind is EXTENTS and part is not None:
                yield tuple(classify(next(integers)) for _ in range(part[1]))
            elif part is None and kind is EXTENT:
                yield ABSENT
            else:
                yield part.value if type(part) is Static else part

    # -----------------------------------------------------------------------------------------------------------------
    # What the recorder asks when a call is new

    def infer(self, operands, scalars, extents, recipe):
        """The Values of the results, and how the handles of several are put together.  `recipe` says what each argument is."""
        recorder = here.recorder
        t, n, x = iter(operands), iter(scalars), iter(extents)
        args = []
        for part in recipe:
            if part is TENSOR:
                args.append(recorder.handle_of(next(t)))
            elif part is NUMBER:
                args.append(recorder.handle_of(next(n)))
            elif part is EXTENT:
                args.append(next(x))
            elif type(part) is tuple and part and part[0] is TENSORS:
                args.append(tuple(recorder.handle_of(next(t)) if there else None for there in part[1]))
            elif type(part) is tuple and part and part[0] is EXTENTS:
                args.append(tuple(next(x) for _ in range(part[1])))
            else:
                args.append(part.value if type(part) is Static else part)
        result = self.inline(args)
        single = isinstance(result, Tensor)
        values = [t._state for t in ((result,) if single else result)]
        values = [self.own(v, operands) for v in values]
        for v in values:
            if v.root is None:
                v.family, v.writes = v, 0
        if self.pointwise:
            laid_out = [a._state for kind, a in zip(self.kinds, args) if kind is not NUMBER and isinstance(a, Tensor)]
            for v in values:
                v.strides = pointwise_strides(v.node.shape, laid_out)
        elif self.keeps_format:
            order = channels_last_order(next(a._state for a in args if isinstance(a, Tensor)))
            for v in values if order is not None else ():
                if len(v.node.shape) == len(order):
                    v.strides = strides_in_order(v.node.shape, order)
        if single:
            return values, None
        kind = type(result)
        return values, (lambda handles: kind(*handles)) if hasattr(kind, "_fields") else kind

    @staticmethod
    def own(value, operands):
        """A result that is an operand's own value, or memory that an operand views, as a value of its own."""
        if value.owner is None and (value.root is None or any(o is value.root for o in operands)):
            return value
        copy = Value(value.node, graph.row_major(value.node.shape), value.needs_grad and here.recorder.tracking)
        if copy.needs_grad:
            copy.history = History("clone", (value,), (copy,))
        return copy

    def inline(self, args):
        """Run the body now, on tensors inside a body.  With a gradient of its own, what the body does is not differentiated."""
        recorder = here.recorder
        args = [self._constant(a) if kind in (NUMBER, TENSOR_OR_NUMBER) else a for kind, a in zip(self.kinds, args)]
        operands = [a._state for a in _tensors_in(args)]
        needs_grad = recorder.tracking and self.differentiable and any(v.needs_grad for v in operands)
        if self.gradient is None and self.differentiable:
            return self._run(args)
        tracking, recorder.tracking = recorder.tracking, False
        try:
            result = self._run(args)
        finally:
            recorder.tracking = tracking
        if not needs_grad:
            return result
        single = isinstance(result, Tensor)
        results = [result] if single else list(result)
        values = []
        for t in results:
            v = t._state
            new = Value(v.node, v.strides, root=v.root, offset=v.offset)
            new.needs_grad = v.node.dtype.kind in "fc"
            values.append(new)
        history = History(self, tuple(operands), tuple(values), tuple(args))
        for v in values:
            v.history = history if v.needs_grad else None
        handles = [recorder.handle_of(v) for v in values]
        if single:
            return handles[0]
        return type(result)(*handles) if hasattr(result, "_fields") else type(result)(handles)

    def _run(self, args):
        return self.body(*args[:self.positional], **dict(zip(self.keywords, args[self.positional:])))

    @staticmethod
    def _constant(a):
        """A Python number inside a body: a constant of the structure."""
        if a is None or isinstance(a, Tensor):
            return a
        from .building import constant
        return constant(a)


def shortened(error):
    """An error that a body of ours raised, without the frames that led there, which say nothing about the user's mistake.  All frames stay
    where RUSHLIGHT_TRACEBACK is "full"."""
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    ours = frame.tb_frame.f_globals.get("__name__", "").startswith("rushlight.")
    return error.with_traceback(None) if ours and os.environ.get("RUSHLIGHT_TRACEBACK") != "full" else error


def _tensors_in(args):
    for a in args:
        if isinstance(a, Tensor):
            yield a
        elif type(a) in (tuple, list):
            yield from _tensors_in(a)


def _kind(annotation):
    if annotation in (Extent, Extent | None):
        return EXTENT
    if annotation in (Extents, Extents | None):
        return EXTENTS
    if annotation is Tensors:
        return TENSORS
    parts = set(typing.get_args(annotation)) or {annotation}
    parts -= {type(None)}
    if parts == {Tensor}:
        return TENSOR
    if parts == {Tensor, Number}:
        return TENSOR_OR_NUMBER
    if parts == {Number}:
        return NUMBER
    return STATIC


def pointwise_strides(shape, operands):
    """The layout of an element-wise result, as PyTorch's TensorIterator lays it out: row-major where every operand is; that of the operands
    where all have one; else the dimensions in the order of their strides, which the first operand that tells two of them apart decides."""
    n = len(shape)
    row = graph.row_major(shape)
    if n < 2 or all(v.strides == graph.row_major(v.node.shape) for v in operands):
        return row
    if all(len(v.node.shape) == n and _equal(v.node.shape, shape) for v in operands):
        if all(_is_row_major(shape, v.strides) for v in operands):
            return row
        if is_dense(shape, operands[0].strides) and all(_equal(v.strides, operands[0].strides) for v in operands[1:]):
            return operands[0].strides

    strides = []
    for v in operands:
        missing = n - len(v.node.shape)
        spread = [is_int(m, 1) and not is_int(k, 1) for m, k in zip(v.node.shape, shape[missing:])]
        strides.append((0,) * missing + tuple(0 if repeated else s for repeated, s in zip(spread, v.strides)))

    def compare(a, b):
        """1 where dimension a must lie outside b, -1 where inside, 0 where nothing tells."""
        for line in strides:
            s, t = line[a], line[b]
            if any(is_int(x, 0) for x in (s, t)):
                continue
            if s < t:
                return -1
            if t < s or shape[b] < shape[a]:
                return 1
        return 0

    order = list(range(n))[::-1]  # from the fastest to the slowest
    for i in range(1, n):
        place = i
        for j in range(i - 1, -1, -1):
            answer = compare(order[j], order[place])
            if answer > 0:
                order[j], order[place] = order[place], order[j]
                place = j
            elif answer < 0:
                break
    return strides_in_order(shape, tuple(order[::-1]))


def channels_last_order(value):
    """The dimensions of images from the outermost to the innermost where their channels are the innermost; else None."""
    shape = value.node.shape
    order = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}.get(len(shape))
    if order is None or _equal(value.strides, graph.row_major(shape)):
        return None
    return order if _equal(value.strides, strides_in_order(shape, order)) else None


def is_dense(shape, strides):
    """Whether elements fill memory without gap or overlap, in whatever order; the strides of dimensions of extent 0 and 1 do not matter."""
    used = [(extent_value(n), extent_value(s)) for n, s in zip(shape, strides) if not (isinstance(n, int) and n <= 1)]
    return not used or any(is_int(n, 0) for n in shape) or dense_order(*zip(*used)) is not None


def _equal(a, b):
    return all(m is n or m == n for m, n in zip(a, b))


def _is_row_major(shape, strides):
    """Whether elements lie in row-major order without gaps; the strides of dimensions of extent 1 do not matter."""
    if any(is_int(n, 0) for n in shape):
        return True
    expected = 1
    for n, s in zip(shape[::-1], strides[::-1]):
        if is_int(n, 1):
            continue
        if not (s is expected or s == expected):
            return False
        expected = n * expected
    return True


# ---------------------------------------------------------------------------------------------------------------------
# The functions users call

def operator(body=None, *, methods=None, inplace=None, out=True, view=False, pointwise=False, differentiable=True, converts=None,
             keeps_format=False, namespace=True, names=()):
    """Make an operator of a function.

    methods         the name of the Tensor method (None: the operator's own; False: none)
    inplace         whether there is an in-place form `name_` (default: where the operator is pointwise)
    out             whether it takes `out=`
    view            the result is a view of the first operand (or may be one)
    pointwise       the result is laid out as the operands are
    differentiable  whether gradients flow through it
    converts        whether a result is cast to the dtype of `out=` (default: where the operator is pointwise), else that has to be its own
    keeps_format    the result's channels are innermost where the input's are (images in torch.channels_last)
    namespace       whether `torch` has it
    names           further names for the same operator
    """
    if body is None:
        return functools.partial(operator, methods=methods, inplace=inplace, out=out, view=view, pointwise=pointwise,
                                 differentiable=differentiable, converts=converts, keeps_format=keeps_format, namespace=namespace,
                                 names=names)
    op = Operator(body, view, pointwise, differentiable, pointwise if converts is None else converts, keeps_format)
    function = function_of(op, out and not view)
    function.operator, op.function = op, function
    function.namespace, function.names = namespace, names
    ALL[op.name] = function

    def gradient(rule):
        op.gradient = rule
        return rule

    def check(*given):
        def checked(function):
            op.check, op.checked_with = function, given
            return function
        return checked

    function.gradient, function.check = gradient, check
    if methods is not False:
        method = methods or op.name
        for name in (method, *names):
            attach(name, function)
        if inplace or (inplace is None and pointwise):
            for name in (method, *names):
                attach_in_place(op, name)
                # torch.exp_ too, but no torch.add_
                if namespace and body.__code__.co_argcount == 1 and not body.__code__.co_kwonlyargcount:
                    EXPORTED[name + "_"] = getattr(Tensor, name + "_")
    return function


def exported(function=None, *, name=None, names=(), method=False):
    """Put a plain function into the namespace of `rushlight` under its own name (or `name`) and `names`; with `method`, also on Tensor."""
    if function is None:
        return functools.partial(exported, name=name, names=names, method=method)
    function = for_users(function)
    for known_as in (name or function.__name__, *names):
        EXPORTED[known_as] = function
        if method:
            attach(known_as, function)
    return function


def for_users(function):
    """A plain function as users call it: arguments may take the call over, and may have NumPy's names."""
    return dispatch.asks(takes_numpy_words(function))


def in_two_forms(op, apart=True):
    """Make a function that checks and sorts the arguments of `op`, and returns them, two functions and methods: the one that calls it, and,
    with a `_` behind its name, the one that writes the result into the first argument, which must lie `apart` from the others."""
    def make(prepare):
        @functools.wraps(prepare)
        def function(*args, out=None, **kwargs):
            result = op.operator.call(*prepare(*args, **kwargs))
            return result if out is None else write_out(op.operator, out, result)

        def in_place(self, *args, **kwargs):
            arguments = prepare(self, *args, **kwargs)
            if apart:
                refuse_any_overlap(self, arguments[1:])
            return write_in_place(op.operator, self, arguments)

        in_place.__name__ = in_place.__qualname__ = prepare.__name__ + "_"
        in_place.__doc__ = f"`{prepare.__name__}`, written into the tensor."
        attach(in_place.__name__, in_place)
        return exported(function, method=True)
    return make


def attach(name, function):
    """Make `function` the Tensor method `name`."""
    if getattr(function, "__name__", name).startswith("_") and function.__name__ not in EXPORTED:
        function.__name__ = name  # by which `__torch_function__` knows it
    setattr(Tensor, name, dispatch.asks(function))


# At the end, for calling.py needs what stands above.  Families take these from here too, so that they import one module.
from .calling import attach_in_place, call_of, function_of
from .in_place import (  # noqa: F401
    check_out,
    check_writable,
    fit,
    refuse_any_overlap,
    refuse_inference,
    refuse_leaf,
    refuse_overlap,
    refuse_partial_overlap,
    replace,
    resize_out,
    write_in_place,
    write_out,
)
from .keywords import takes_numpy_words
