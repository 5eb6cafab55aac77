"""The functions users call: made from an operator's signature, with the way to the recorder as short as it can be.

    def add(input, other, *, alpha=1, out=None):       what `function_of` writes for `add`
        ...
        step = recorder.at.guess                       the step taken last time from here
        if step.callee is add and step.a0 is input's value and step.a1 is other's value and step.a2 is alpha:
            recorder.at = step                         the very call that came last time: stand there,
            ...                                        hand out a handle of its value
        return call(input, other, alpha)               else the long way, which ends at the same step

Between looking at `recorder.at` and advancing it no function is called, so nothing can record in between.

Start with `function_of` and `_fast`.  After the first call the text that was written is in
`linecache.cache["<rushlight operator add>"]`.
"""
import linecache
import types
import warnings

import numpy as np

from ..runtime.recorder import here
from ..runtime.trace import classify
from ..runtime.trie import FAST_ARGUMENTS
from ..tensors.creation import as_tensor
from ..tensors.size import Size
from ..tensors.tensor import Tensor
from .definition import ABSENT, EXTENT, EXTENTS, NUMBER, STATIC, TENSOR, TENSOR_OR_NUMBER, attach
from .in_place import InPlace, write_in_place, write_out
from .keywords import MISSING, NUMPY_WORDS, again


def function_of(op, out):
    """The function users call: PyTorch's signature; a call that was recorded last time is one comparison."""
    function = _lazily(op.name, lambda: _function_source(op, out))
    function.__doc__, function.__module__, function.__wrapped__ = op.body.__doc__, op.body.__module__, op.body
    return function


def _function_source(op, out):
    parameters = _with_older(op)
    if out:
        import inspect
        parameters.append(inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None))
    head, defaults = _head(parameters)
    arguments = ", ".join(op.signature.parameters)
    lines = [f"def {op.name}({head}):", *_words(parameters), *_older(op)]
    if out:
        if "dtype" in op.signature.parameters and op.converts:
            lines += ["    if dtype is None and isinstance(out, Tensor):", "        dtype = out.dtype  # a sum is made in it, too"]
        operands = [name for name, kind in zip(op.signature.parameters, op.kinds) if kind in (TENSOR, TENSOR_OR_NUMBER)]
        lines += ["    if out is not None:", f"        return write_out({', '.join(['op', 'out', f'call({arguments})', *operands])})"]
    lines += _check(op, op.signature.parameters)
    if op.is_fast:
        lines += _fast(op, f"return call({arguments})")
    lines += [f"    return call({arguments})"]
    return lines, {"op": op, "callee": op, "call": op.call_slowly, "write_out": write_out, "check": op.check, **defaults}


_told = []  # not empty once somebody was told
OLDER = {"add": "alpha", "sub": "alpha", "addcmul": "value", "addcdiv": "value"}  # once the second argument, before the tensors


def _with_older(op):
    """The parameters of an operator; with one more where old programs give a factor before the tensors: `x.add_(-lr, grad)`."""
    parameters = list(op.signature.parameters.values())
    if op.name in OLDER:
        import inspect
        parameters.insert(op.positional, inspect.Parameter("older", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None))
    return parameters


def _older(op):
    """Source that brings such a call into today's form."""
    if op.name not in OLDER:
        return []
    tensors = list(op.signature.parameters)[1:op.positional]
    return ["    if older is not None:", f"        warn_older({op.name!r})",
            f"        {OLDER[op.name]}, {', '.join(tensors)} = {', '.join(tensors)}, older"]


def warn_older(name):
    if _told:
        return
    _told.append(name)
    warnings.warn(f"This overload of {name} is deprecated: give the factor as `{OLDER[name]}=`, after the tensors.", stacklevel=3)


def _check(op, names):
    """Source that looks at what of the arguments is data, where the operator asks for it."""
    if op.check is None or not {*op.checked_with} <= {*names}:
        return []
    call = f"check({', '.join(names)})"
    if not op.checked_with:
        return ["    " + call]
    return [f"    if {' and '.join(f'{name} is not None' for name in op.checked_with)}:", "        " + call]


def call_of(op):
    """The operator as a function of all its parameters in order, for those who call it from inside."""
    arguments = ", ".join(op.signature.parameters)

    def source():
        lines = [f"def {op.name}({arguments}):"]
        if op.is_fast:
            lines += _fast(op, f"return call({arguments})")
        return [*lines, f"    return call({arguments})"], {"op": op, "callee": op, "call": op.call_slowly}
    return _lazily(op.name, source)


def _fast(op, otherwise, names=None):
    """Source of the short way: find the operands' values, compare with the step taken last, stand there."""
    lines = [*_states(op, otherwise, names), *_comparison(op, names=names),
             "        _recorder.at = _step  # stand there, and hand out its value", "        _trace = _recorder.trace",
             *_numbers(op, names), "        _handle._state = _step.value", "        _handle._place = _handle._tape = _handle._base = None"]
    if not op.view:
        return [*lines, "        _trace.handles.append(_handle)", "        return _handle"]
    first = next(iter(op.signature.parameters))
    return [*lines, "        if _step.value.view_of is not None:",
            f"            _handle._base = _base = {first} if {first}._base is None or {first}._place is not None else {first}._base",
            "            _trace.handles.append(_handle)", "            _trace.views.setdefault(id(_base), []).append(_handle)",
            "            return _handle", "        _trace.handles.append(_handle)", "        return _handle"]


def attach_python_operator(op, name, swapped=False):
    """Make `self OP other` (or, `swapped`, `other OP self`) the method `name`; NotImplemented where `other` is no operand."""
    function = _lazily(name, lambda: _python_operator_source(op, name, swapped))
    function.__doc__ = f"Python's operator for `{op.name}`."
    attach(name, function)


def _python_operator_source(op, name, swapped):
    parameters = list(op.signature.parameters.values())
    first, second = ("other", "self") if swapped else ("self", "other")
    names = [first, second, *("None" if p.default is None else "default_" + p.name for p in parameters[2:])]
    defaults = {"default_" + p.name: p.default for p in parameters[2:]}
    arguments = ", ".join(names)
    lines = [f"def {name}(self, other):", *_check(op, names)]
    if op.is_fast:
        lines += _fast(op, f"return otherwise(other, {arguments})", names)
    lines += [f"    return otherwise(other, {arguments})"]

    def otherwise(other, *arguments):
        if not isinstance(arguments[swapped], Tensor):
            raise TypeError(f"descriptor '{name}' requires a Tensor, not {type(arguments[swapped]).__name__}")
        if isinstance(other, np.ndarray) and name in ("__eq__", "__ne__"):  # NotImplemented would make Python compare identities
            return op.call_slowly(arguments[0], as_tensor(other))
        return op.call_slowly(*arguments) if isinstance(other, OPERANDS) else NotImplemented

    return lines, {"op": op, "callee": op, "otherwise": otherwise, "check": op.check, **defaults}


OPERANDS = (Tensor, int, float, complex, bool, np.number, np.bool_)  # what stands beside a tensor in a Python operator


def attach_in_place(op, name):
    """Make the in-place form of an operator the Tensor method `name_`."""
    function = _lazily(name + "_", lambda: _in_place_source(op, name))
    function.__doc__ = f"The in-place form of `{op.name}`."
    attach(name + "_", function)


def _in_place_source(op, name):
    parameters = _with_older(op)
    head, defaults = _head(parameters)
    arguments = ", ".join(op.signature.parameters)
    target = parameters[0].name
    in_place = InPlace.of(op)
    lines = [f"def {name}_({head}):", *_words(parameters), *_older(op), *_check(op, op.signature.parameters)]
    if op.is_fast:
        lines += _states(op, f"return write_in_place(op, {target}, ({arguments},))", first=f"_me = id({target})")
        lines += [f"    _place = {target}._place"]
        alone = f"{target}._base is None and (_place is None or _place.storage.alone) and _me not in _recorder.trace.views"
        lines += _comparison(op, alone)
        lines += ["        _recorder.at = _step", "        _trace = _recorder.trace", *_numbers(op),
                  f"        {target}._state = _value = _step.value", "        _trace.writes[_value.family] = _value.writes",
                  "        if _place is not None:", "            _place.storage.version += 1", f"        return {target}"]
    lines += [f"    return write_in_place(op, {target}, ({arguments},))"]
    return lines, {"op": op, "callee": in_place, "write_in_place": write_in_place, "check": op.check, **defaults}


def _head(parameters):
    """A parameter list as source text, and the default values it names.  After a parameter that may come under NumPy's name for it, those
    that have to be given get a default too, or Python would miss them before anybody looks at that name."""
    text, defaults, star, renamed = [], {}, False, False
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and not star:
            text.append("*")
            star = True
        renamed = renamed or p.name in NUMPY_WORDS
        if p.default is p.empty and not renamed:
            text.append(p.name)
        else:
            defaults["default_" + p.name] = MISSING if p.default is p.empty else p.default
            text.append(f"{p.name}=default_{p.name}")
    return ", ".join([*text, "**words"] if renamed else text), defaults


def _words(parameters):
    """Source that sorts out arguments which came under NumPy's names, and finds those that did not come."""
    names = [p.name for p in parameters]
    first = next((i for i, n in enumerate(names) if n in NUMPY_WORDS), None)
    if first is None:
        return []
    given = ", ".join(f"{n}={n}" for n in names)
    needed = [p.name for p in parameters[first:] if p.default is p.empty]
    absent = " or ".join(f"{n} is MISSING" for n in needed)
    return [f"    if words{' or ' + absent if needed else ''}:", f"        return again(this, dict({given}), words)"]


def _states(op, otherwise, names=None, first="_handle = new(Tensor)"):
    """Source that finds each operand's value (s0, s1, ...), or a number's type, after what has to come `first`.

    From reading the values to advancing the recorder nothing is called and nothing is made (which may call the garbage collector); a
    tensor that has no value is entered first, and then all are read again, for entering may run other Python code.
    """
    lines, read, missing, enter = ["    _recorder = here.recorder", "    " + first], [], [], []
    for i, (name, kind, optional) in enumerate(_taken(op, names)):
        if kind is STATIC:
            lines += [] if name == "None" else [f"    k{i} = type({name})"]
            continue
        if kind is EXTENT:
            lines += [f"    k{i} = type({name})", f"    if k{i} is int:",
                      f"        s{i}, u{i} = ({name}, ()) if -1 <= {name} <= 1 else (None, ({name},))"]
            lines += [f"    elif {name} is None:", f"        s{i}, u{i} = ABSENT, ()"] if optional else []
            lines += ["    else:", f"        {otherwise}"]
            continue
        if kind is EXTENTS:
            lines += [f"    s{i}, u{i} = extents_of({name})", f"    if u{i} is None:", f"        {otherwise}"]
            continue
        value, absent = f"{name}._state", f"s{i} is None"
        if kind is TENSOR_OR_NUMBER:
            lines += [f"    k{i} = type({name})", f"    n{i} = ({name},) if k{i} is float or k{i} is int else None"]
            value = f"k{i} if n{i} else {value}"
        elif kind is NUMBER:
            lines += [f"    k{i} = type({name})", f"    n{i} = ({name},)"]
            value = f"k{i}"
        if optional:
            value, absent = f"None if {name} is None else {value}", f"{name} is not None and {absent}"
        read.append(f"s{i} = {value}")
        if kind is not NUMBER:
            missing.append(f"({absent})")
            enter += [f"            if {absent} and {name}._state is None:",  # it may be another operand too
                      f"                _recorder.enter({name})"]
    used = " + ".join(f"u{i}" for i, (_, kind, _) in enumerate(_taken(op, names)) if kind in (EXTENT, EXTENTS))
    if used:
        lines.append(f"    _used = {used}")
    if not read:
        return lines
    lines += ["    try:  # the Values that the operands stand for; a tensor in memory that has none is entered as a leaf",
              *("        " + r for r in read)]
    if missing:
        lines += [f"        if {' or '.join(missing)}:", *enter, *("            " + r for r in read),
                  f"            if {' or '.join(missing)}:", f"                {otherwise}"]
    return [*lines, "    except AttributeError:", f"        {otherwise}"]


_known_extents = {}


def extents_of(sizes):
    """(the parts of run-time integers that belong to the structure, the integers themselves) of a sequence of them; (None, None) where it
    is none, and has to go the long way."""
    if type(sizes) is not tuple:
        if type(sizes) not in (Size, list):
            return None, None
        sizes = tuple(sizes)
    if not {*map(type, sizes)} <= {int}:
        return None, None
    found = _known_extents.get(sizes)
    if found is None:
        if len(_known_extents) > 4096:
            _known_extents.clear()
        found = _known_extents[sizes] = tuple(map(classify, sizes)), tuple(n for n in sizes if not -1 <= n <= 1)
    return found


def _taken(op, names):
    """(name, kind, optional) of each argument: `self` is a tensor, None is None."""
    for name, kind, optional in zip(names or op.signature.parameters, op.kinds, op.optional):
        yield name, STATIC if name == "None" else TENSOR if name == "self" and kind is TENSOR_OR_NUMBER else kind, optional


def _comparison(op, further="", names=None):
    """Source of the comparison with the step taken last."""
    parts = ["_step.callee is callee"]
    integers = "_recorder.trace.integers"
    for i, (name, kind, _) in enumerate(_taken(op, names)):
        slot = f"_step.{FAST_ARGUMENTS[i]}"
        if kind is STATIC:
            parts.append(f"{slot} is None" if name == "None" else f"({slot} is {name} or k{i} is tuple and {slot} == {name})")
        elif kind is EXTENTS:
            parts.append(f"{slot} == s{i}")
        else:
            parts.append(f"{slot} is s{i}")
        if kind in (EXTENT, EXTENTS):
            integers = "[*_recorder.trace.integers, *_used]"
    if further:
        parts.append(further)
    parts.append(f"(_step.holds is None or (_step.holds({integers}) and _recorder.at is _at))")
    return ["    _at = _recorder.at", "    _step = _at.guess  # what came next the last time: is it this very call?",
            f"    if {' and '.join(parts)}:"]


def _numbers(op, names=None):
    """Source that notes the run-time numbers and integers."""
    lines = ["        _trace.integers += _used"] if any(kind in (EXTENT, EXTENTS) for _, kind, _ in _taken(op, names)) else []
    for i, (name, kind, optional) in enumerate(_taken(op, names)):
        if kind is NUMBER:
            lines += [f"        if {name} is not None:"] if optional else []
            lines.append(("    " if optional else "") + f"        _trace.scalars += n{i}")
        elif kind is TENSOR_OR_NUMBER:
            lines += [f"        if n{i}:", f"            _trace.scalars += n{i}"]
    return lines


def _first_call(*args, **kwargs):
    return become()(*args, **kwargs)  # noqa: F821  # pyright: ignore[reportUndefinedVariable]  (in the function's own globals)


def _lazily(name, source):
    """A function whose body is written at its first call: `source()` gives the lines of its definition and the names they use.  Its text
    is where a debugger looks for it."""
    def become():
        lines, scope = source()
        text = "\n".join(lines) + "\n"
        file = f"<rushlight operator {name}>"
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)
        scope = {"here": here, "new": object.__new__, "Tensor": Tensor, "ABSENT": ABSENT, "extents_of": extents_of, "warn_older": warn_older,
                 "this": function, "again": again, "MISSING": MISSING, **scope}
        exec(compile(text, file, "exec"), scope)
        made = scope.pop(name)
        function.__globals__.update(scope)
        function.__defaults__, function.__kwdefaults__, function.__code__ = made.__defaults__, made.__kwdefaults__, made.__code__
        return function

    function = types.FunctionType(_first_call.__code__, {"become": become, "__builtins__": __builtins__}, name)
    function.__qualname__ = name
    function.asks_itself = True  # whether somebody takes the call over (tensors/dispatch.py)
    return function
