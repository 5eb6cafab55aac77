"""Reading a pickle that nobody vouches for: it can make tensors and plain containers, and call nothing else.

    b"\\x80\\x02c torch._utils _rebuild_tensor_v2 ( ... t R ."      a program for a small stack machine
              GLOBAL: only what is admitted      REDUCE: only what may be called

The machine has the opcodes that data needs, and no others.  What a file can make it do is bounded by the file's own length: lengths are
checked against what is there, and no admitted function makes much out of little.  `names_in` lists what a pickle would want to name,
running nothing.  Start with `RestrictedUnpickler.load`.
"""
import _compat_pickle
import collections
import pickle
import pickletools
import struct
from pickle import UnpicklingError

from . import names


class RestrictedUnpickler:
    """Reads pickles one after the other out of `data`, from `position` on.

    `persistent_load` gives what a persistent id stands for.  `trusted` are classes and functions that the user has admitted, by their
    full names.  `encoding` is for the strings of Python 2; "bytes" leaves them bytes.
    """

    def __init__(self, data, persistent_load=None, trusted=None, encoding="utf-8"):
        self.data, self.position = memoryview(data), 0
        self.persistent_load, self.trusted, self.encoding = persistent_load, trusted or {}, encoding
        self.trusted_objects = {id(thing) for thing in self.trusted.values()}

    def load(self):
        """The object that the next pickle makes.  UnpicklingError where it is damaged or wants more than it may."""
        self.stack, self.marks, self.memo = [], [], {}
        try:
            while True:
                opcode = self.take(1)[0]
                if opcode == STOP:
                    return self.stack.pop()
                step = _STEPS.get(opcode)
                if step is None:
                    raise UnpicklingError(f"it uses the opcode {_name_of(opcode)}, which plain data does not need")
                step(self)
        except UnpicklingError:
            raise
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, UnicodeError, struct.error) as error:
            raise UnpicklingError(f"its pickle is damaged near byte {self.position} ({type(error).__name__}: {error})") from error

    def take(self, count):
        """The next `count` bytes."""
        start, end = self.position, self.position + count
        if end > len(self.data):
            raise UnpicklingError("its pickle ends too soon")
        self.position = end
        return self.data[start:end]

    def line(self):
        """Text up to the end of the line."""
        window = bytes(self.data[self.position:self.position + 4096])
        end = window.index(b"\n")
        self.position += end + 1
        return window[:end].decode("utf-8")

    def text(self, count):
        return str(self.take(count), "utf-8", "surrogatepass")

    def old_text(self, count):
        content = bytes(self.take(count))
        return content if self.encoding == "bytes" else content.decode(self.encoding)

    def marked(self):
        """What was put on the stack since the last mark, taken off it."""
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    # What the opcodes do that could do harm

    def name(self, module, name):
        """Put on the stack what a global name stands for."""
        module, name = _in_python_3(module, name)
        found = names.ADMITTED.get((module, name), self)
        if found is self:
            found = self.trusted.get(f"{module}.{name}", self)
        if found is self and module.partition(".")[0] == "torch":  # a class of PyTorch's whose counterpart is trusted
            found = names.counterpart(module, name)
            found = found if id(found) in self.trusted_objects else self
        if found is self:
            raise UnpicklingError(refusal(module, name))
        self.stack.append(found)

    def reduce(self):
        arguments, function = self.stack.pop(), self.stack.pop()
        if id(function) not in names.CALLABLE and function is not names.rebuild_tensor and id(function) not in self.trusted_objects:
            raise UnpicklingError(f"it wants to call {function!r}, which it may not")
        if function is names.rebuild_from_type:
            self.check_type(*arguments)
        self.stack.append(function(*arguments))

    def check_type(self, function, cls, arguments, state):
        """The arguments of `rebuild_from_type`, which calls its first one."""
        plain = (names.rebuild_tensor, names.rebuild_tensor_of_dtype, names.rebuild_parameter)
        if function not in plain or not (cls in (names.Tensor, names.Parameter, names.Buffer) or id(cls) in self.trusted_objects):
            raise UnpicklingError(f"it wants a tensor of the class {cls!r} made by {function!r}, which it may not")

    def new(self, arguments, cls, keywords=None):
        if id(cls) not in self.trusted_objects:
            raise UnpicklingError(f"it wants to make an instance of {cls!r}, which it may not")
        self.stack.append(cls.__new__(cls, *arguments, **(keywords or {})))

    def build(self):
        """Set the state of an object: a tensor's or a dictionary's attributes, and what a trusted class does with it."""
        state, target = self.stack.pop(), self.stack[-1]
        if id(type(target)) in self.trusted_objects:
            if hasattr(target, "__setstate__"):
                target.__setstate__(state)
                return
            state, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
            target.__dict__.update(state or {})
            for name, value in (slots or {}).items():
                setattr(target, name, value)
        elif type(target) is collections.OrderedDict and isinstance(state, dict):
            target.__dict__.update(state)
        else:
            raise UnpicklingError(f"it wants to set the state of an instance of {type(target)!r}, which it may not")

    def persistent(self):
        if self.persistent_load is None:
            raise UnpicklingError("it refers to things outside of it")
        self.stack.append(self.persistent_load(self.stack.pop()))

    # What they do to containers: only to such as the pickle made itself

    def target(self, kind):
        target = self.stack[-1]
        if not isinstance(target, kind):
            raise TypeError(f"{type(target).__name__} is no {kind.__name__}")
        return target

    def append(self):
        item = self.stack.pop()
        self.target(list).append(item)

    def appends(self):
        items = self.marked()
        self.target(list).extend(items)

    def add_items(self):
        items = self.marked()
        self.target(set).update(names.set_of(items))

    def set_item(self):
        value, key = self.stack.pop(), self.stack.pop()
        names.check_key(key)
        self.target(dict)[key] = value

    def set_items(self):
        items = self.marked()
        for key in items[::2]:
            if type(key) is not str:
                names.check_key(key)
        self.target(dict).update(zip(items[::2], items[1::2], strict=True))

    def top_as_tuple(self, count):
        items = tuple(self.stack[-count:])
        if len(items) != count:
            raise IndexError("stack underflow")
        self.stack[-count:] = [items]


def _in_python_3(module, name):
    """Protocol 2 calls things as Python 2 did."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


def refusal(module, name):
    """Why a name is not admitted, and what to do about it."""
    if module.split(".")[0] == "torch" and names.counterpart(module, name) is None:
        return f"it names {module}.{name} of PyTorch, which Rushlight does not have"
    return (f"it names {module}.{name}, which is no tensor and no plain container.  If you trust the file, admit that name with "
            f"rushlight.serialization.add_safe_globals, or run whatever the file says with weights_only=False")


def _name_of(opcode):
    return next((o.name for o in pickletools.opcodes if ord(o.code) == opcode), f"0x{opcode:02x}")


def names_in(data):
    """(module, name) of everything that a pickle names, in order, without running it."""
    found, strings = {}, []
    for opcode, argument, _ in pickletools.genops(bytes(data)):
        if opcode.name == "GLOBAL":
            found[_in_python_3(*argument.split(" ", 1))] = None
        elif opcode.name == "STACK_GLOBAL" and len(strings) >= 2:
            found[strings[-2], strings[-1]] = None
        elif isinstance(argument, str):
            strings.append(argument)
    return list(found)


def _number(form):
    unpack, size = struct.Struct(form).unpack, struct.calcsize(form)
    return lambda self: unpack(self.take(size))[0]


_u1, _u2, _u4, _u8, _i4, _f8 = map(_number, ("B", "<H", "<I", "<Q", "<i", ">d"))
STOP = pickle.STOP[0]
_STEPS = {code[0]: step for code, step in {
    pickle.PROTO: lambda self: self.take(1),
    pickle.FRAME: lambda self: self.take(8),
    pickle.MARK: lambda self: self.marks.append(len(self.stack)),
    pickle.POP: lambda self: self.stack.pop(),
    pickle.NONE: lambda self: self.stack.append(None),
    pickle.NEWTRUE: lambda self: self.stack.append(True),
    pickle.NEWFALSE: lambda self: self.stack.append(False),
    pickle.BININT: lambda self: self.stack.append(_i4(self)),
    pickle.BININT1: lambda self: self.stack.append(_u1(self)),
    pickle.BININT2: lambda self: self.stack.append(_u2(self)),
    pickle.LONG1: lambda self: self.stack.append(int.from_bytes(self.take(_u1(self)), "little", signed=True)),
    pickle.LONG4: lambda self: self.stack.append(int.from_bytes(self.take(_u4(self)), "little", signed=True)),
    pickle.BINFLOAT: lambda self: self.stack.append(_f8(self)),
    pickle.BINUNICODE: lambda self: self.stack.append(self.text(_u4(self))),
    pickle.SHORT_BINUNICODE: lambda self: self.stack.append(self.text(_u1(self))),
    pickle.BINUNICODE8: lambda self: self.stack.append(self.text(_u8(self))),
    pickle.BINBYTES: lambda self: self.stack.append(bytes(self.take(_u4(self)))),
    pickle.SHORT_BINBYTES: lambda self: self.stack.append(bytes(self.take(_u1(self)))),
    pickle.BINBYTES8: lambda self: self.stack.append(bytes(self.take(_u8(self)))),
    pickle.BYTEARRAY8: lambda self: self.stack.append(bytearray(self.take(_u8(self)))),
    pickle.BINSTRING: lambda self: self.stack.append(self.old_text(_u4(self))),
    pickle.SHORT_BINSTRING: lambda self: self.stack.append(self.old_text(_u1(self))),
    pickle.EMPTY_TUPLE: lambda self: self.stack.append(()),
    pickle.EMPTY_LIST: lambda self: self.stack.append([]),
    pickle.EMPTY_DICT: lambda self: self.stack.append({}),
    pickle.EMPTY_SET: lambda self: self.stack.append(set()),
    pickle.TUPLE: lambda self: self.stack.append(tuple(self.marked())),
    pickle.TUPLE1: lambda self: self.top_as_tuple(1),
    pickle.TUPLE2: lambda self: self.top_as_tuple(2),
    pickle.TUPLE3: lambda self: self.top_as_tuple(3),
    pickle.LIST: lambda self: self.stack.append(self.marked()),
    pickle.FROZENSET: lambda self: self.stack.append(names.frozen_set_of(self.marked())),
    pickle.APPEND: RestrictedUnpickler.append,
    pickle.APPENDS: RestrictedUnpickler.appends,
    pickle.ADDITEMS: RestrictedUnpickler.add_items,
    pickle.SETITEM: RestrictedUnpickler.set_item,
    pickle.SETITEMS: RestrictedUnpickler.set_items,
    pickle.BINPUT: lambda self: self.memo.__setitem__(_u1(self), self.stack[-1]),
    pickle.LONG_BINPUT: lambda self: self.memo.__setitem__(_u4(self), self.stack[-1]),
    pickle.MEMOIZE: lambda self: self.memo.__setitem__(len(self.memo), self.stack[-1]),
    pickle.BINGET: lambda self: self.stack.append(self.memo[_u1(self)]),
    pickle.LONG_BINGET: lambda self: self.stack.append(self.memo[_u4(self)]),
    pickle.GLOBAL: lambda self: self.name(self.line(), self.line()),
    pickle.STACK_GLOBAL: lambda self: self.name(*(self.stack.pop(), self.stack.pop())[::-1]),
    pickle.REDUCE: RestrictedUnpickler.reduce,
    pickle.NEWOBJ: lambda self: self.new(self.stack.pop(), self.stack.pop()),
    pickle.BUILD: RestrictedUnpickler.build,
    pickle.BINPERSID: RestrictedUnpickler.persistent,
}.items()}
