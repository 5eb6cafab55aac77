"""From LLVM IR text to machine code in memory, owned by a Python object.

    text --parse, generate--> object code --link--> Code: name -> address
                  \\-- disk_cache --/

    code = compile(text)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(code.address("f"))(data)

The machine code lives as long as the `Code`.  LLVM's linker never forgets a library entirely (about 10 KB stay, and it gets
slower with each), so it is replaced by a new one every few libraries; the old one goes when the last code in it goes.

Code generation takes 0.4 ms for each function, however small, and 0.6 ms for each module; linking takes 0.3 ms for each module.
What is always used together belongs in one text.  Start with `compile`.
"""
import ctypes
import functools
import itertools
import os
import re
import sys
import threading

import llvmlite.binding as llvm

from . import disk_cache
from .conversions import conversions_text
from .target import host

_LIBRARIES_PER_LINKER = 64
_DEFINITION = re.compile(r"^\s*define (?!internal|private)[^@\n]*@([\w.$]+)\(", re.MULTILINE)
_lock = threading.RLock()  # compiling and linking: LLVM would make other threads wait anyway
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Code:
    """Machine code in memory.  It is freed with the last reference: whoever keeps an address keeps the Code."""

    __slots__ = ("__weakref__", "_library", "_linker", "_names", "from_disk")

    def __init__(self, library, linker, names):
        self._library, self._linker, self._names, self.from_disk = library, linker, names, False

    @property
    def names(self):
        """The functions that can be asked for: those the text defines, save internal ones."""
        return self._names

    def address(self, name):
        """Where the function of this name begins, as an int."""
        return self._library[name]

    def __del__(self, sys=sys):
        if not sys.is_finalizing():  # then threads may still be inside, and the system frees everything
            _dropped.append((self._library, self._linker))
            _free_dropped()


def compile(text, target=None, passes=False, symbols=None, name=None, quick=False):
    """The machine code of a module of LLVM IR, from the disk cache if it is there.

    No optimisation passes run on the text unless `passes` is true; `quick` is for text that every process needs at once, and whose speed
    does not matter much.  What the text declares is found in the running process, or
    at the addresses that `symbols` gives for names.  On disk it is known by the text, or by `name`, which says all that the text
    follows from, so that `recall` finds it before there is a text.
    """
    target = target or host()
    key = disk_cache.key(name or text, target, passes, quick)
    image = disk_cache.load(key)
    from_disk = image is not None
    if image is None:
        image = emit_object(text, target, passes, quick)
        disk_cache.store(key, image)
    return _code(image, _DEFINITION.findall(text), dict(symbols or ()), from_disk)


def recall(name, exports):
    """The machine code that was compiled under a name, with the functions `exports`; None where the disk has none."""
    image = disk_cache.load(disk_cache.key(name, host()))
    return None if image is None else _code(image, exports, {}, True)


def _code(image, names, symbols, from_disk):
    if b"__trunc" in image or b"__extendhf" in image:
        helpers = _conversions()
        symbols |= {name: helpers.address(name) for name in helpers.names}
    code = _link(image, names, symbols)
    code.from_disk = from_disk
    _free_dropped()  # what was dropped while we had the lock
    return code


def emit_object(text, target=None, passes=False, quick=False):
    """The object code of a module as bytes, also for targets other than the host."""
    target = target or host()
    with _lock:
        return target.machine(quick).emit_object(_module(text, target, passes))


def emit_assembly(text, target=None, passes=False):
    """The assembly of a module, with LLVM's remarks such as "4-byte Spill"."""
    target = target or host()
    with _lock:
        machine = target.machine()
        machine.set_asm_verbosity(True)
        return machine.emit_assembly(_module(text, target, passes))


def _module(text, target, passes):
    try:
        module = llvm.parse_assembly(text, llvm.create_context())  # a context of its own, or its types and constants would stay
        module.triple = target.triple
        module.data_layout = str(target.machine().target_data)
        module.verify()
    except RuntimeError as error:
        raise ValueError(f"LLVM does not take this text: {error}") from None
    if passes:
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
        builder = llvm.create_pass_builder(target.machine(), options)
        builder.getModulePassManager().run(module, builder)
    return module


# Linking

class _Linker:
    """LLVM's linker and the number of libraries it has seen."""

    def __init__(self):
        self.jit = llvm.create_lljit_compiler(host().machine(), use_jit_link=True)
        self.count = 0


_linker = None
_dropped = []  # libraries whose Code is gone, each with its linker, which must not go first
_numbers = itertools.count()


def _free_dropped():
    """Free what was dropped.  A Code may die anywhere, also inside of LLVM's callers: so this never waits for the lock."""
    while _dropped and _lock.acquire(blocking=False):
        try:
            if _dropped:
                library, _ = _dropped.pop()
                library.close()
        finally:
            _lock.release()


def _link(image, names, symbols):
    global _linker
    with _lock:
        if _linker is None or _linker.count >= _LIBRARIES_PER_LINKER:
            _linker = _Linker()
        _linker.count += 1
        builder = llvm.JITLibraryBuilder().add_object_img(image).add_current_process()
        for name, address in symbols.items():
            builder.import_symbol(name, address)
        for name in names:
            builder.export_symbol(name)
        return Code(builder.link(_linker.jit, f"library{next(_numbers)}"), _linker, tuple(names))


@functools.cache
def _conversions():
    """The functions for half and bfloat that object code may call; they stay."""
    text = conversions_text()
    return _link(emit_object(text), _DEFINITION.findall(text), {})


def _make_math_findable():
    """Kernels may call fmodf and the like; a Python that does not use the C library's mathematics itself has not loaded it."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libm.so.6", mode=ctypes.RTLD_GLOBAL)
        except OSError:  # musl has it in libc
            pass


_make_math_findable()
