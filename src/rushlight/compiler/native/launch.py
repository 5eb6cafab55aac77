"""A whole step as one native call: a list of kernels over one frame of arguments.

    run(values)   bases [leaf, out, arena, lr]            `@call`: from Python's numbers
    patches         frame[slot] = bases[i] + offset       `@run`: once for each slot that moves
    steps           kernel(&frame[first], 0 .. tasks)     `@do`: one after the other, on the pool where tasks > 1
    loops           turns times: some steps, then moves   `@repeat`: frame[slot] = frame[source] + bytes, after each turn

The frame holds the arguments of all kernels one behind the other: addresses, extents, strides, scalars as bits.  Those that
change with every run come from the bases; the others are the same as long as, say, the batch size is.  A loop makes its steps again over
the same slots: moves bring them from one turn's part of an array to the next.

A call through ctypes costs a microsecond, more than a small kernel.  So `run` is a builtin function of Python like those written
in C, made of our own machine code: it takes the tuple apart itself, which costs a tenth of that.

A launcher is used by one thread at a time; different ones run side by side.  Start with `Blueprint`, then `@call`, `@run` and `@do`.
"""
import ctypes
import functools
import re

import numpy as np

from . import jit, threads

_TEXT = """
; What a launcher tells: see Blueprint.
%program = type { ptr, ptr, i64, ptr, i64, ptr, i64, ptr, ptr, i64, ptr, ptr, ptr }
%patch = type { i64, i64, i64 }  ; slot of the frame, number of the base, bytes to add
%step = type { ptr, i64, i64 }   ; kernel, its first slot of the frame, tasks; or null, the number of a loop, turns
%loop = type { i64, i64, i64, i64 }  ; its first step and the end of them, its first move and the end of them
%move = type { i64, i64, i64 }   ; slot of the frame, slot that it is made from, bytes to add

define void @run(ptr %program) nounwind {
entry:
  %bases = load ptr, ptr %program
  %frame.at = getelementptr %program, ptr %program, i64 0, i32 1
  %frame = load ptr, ptr %frame.at
  %patches.at = getelementptr %program, ptr %program, i64 0, i32 2
  %patches = load i64, ptr %patches.at
  %patch.at = getelementptr %program, ptr %program, i64 0, i32 3
  %first.patch = load ptr, ptr %patch.at
  %end.patch = getelementptr %patch, ptr %first.patch, i64 %patches
  %steps.at = getelementptr %program, ptr %program, i64 0, i32 4
  %steps = load i64, ptr %steps.at
  %bytes.at = getelementptr %program, ptr %program, i64 0, i32 6
  %bytes = load i64, ptr %bytes.at
  %scratch_of.at = getelementptr %program, ptr %program, i64 0, i32 8
  %scratch_of = load ptr, ptr %scratch_of.at
  %scratch = call ptr %scratch_of(i64 %bytes)
  br label %patching

patching:
  %patch = phi ptr [ %first.patch, %entry ], [ %next.patch, %put ]
  %patched = icmp eq ptr %patch, %end.patch
  br i1 %patched, label %ready, label %put
put:
  %slot = load i64, ptr %patch
  %base.at = getelementptr %patch, ptr %patch, i64 0, i32 1
  %base = load i64, ptr %base.at
  %offset.at = getelementptr %patch, ptr %patch, i64 0, i32 2
  %offset = load i64, ptr %offset.at
  %from = getelementptr i64, ptr %bases, i64 %base
  %value = load i64, ptr %from
  %sum = add i64 %value, %offset
  %to = getelementptr i64, ptr %frame, i64 %slot
  store i64 %sum, ptr %to
  %next.patch = getelementptr %patch, ptr %patch, i64 1
  br label %patching

ready:
  call void @do(ptr %program, i64 0, i64 %steps, ptr %scratch)
  ret void
}

; The steps from %first up to %end, one after the other.
define internal void @do(ptr %program, i64 %first, i64 %end, ptr %scratch) nounwind {
entry:
  %frame.at = getelementptr %program, ptr %program, i64 0, i32 1
  %frame = load ptr, ptr %frame.at
  %step.at = getelementptr %program, ptr %program, i64 0, i32 5
  %steps = load ptr, ptr %step.at
  %bytes.at = getelementptr %program, ptr %program, i64 0, i32 6
  %bytes = load i64, ptr %bytes.at
  %parallel_for.at = getelementptr %program, ptr %program, i64 0, i32 7
  %parallel_for = load ptr, ptr %parallel_for.at
  br label %stepping
stepping:
  %number = phi i64 [ %first, %entry ], [ %next, %stepped ]
  %done = icmp eq i64 %number, %end
  br i1 %done, label %return, label %perform
perform:
  %step = getelementptr %step, ptr %steps, i64 %number
  %kernel = load ptr, ptr %step
  %args.at = getelementptr %step, ptr %step, i64 0, i32 1
  %args.slot = load i64, ptr %args.at
  %tasks.at = getelementptr %step, ptr %step, i64 0, i32 2
  %tasks = load i64, ptr %tasks.at
  %is.loop = icmp eq ptr %kernel, null
  br i1 %is.loop, label %again, label %launch
again:
  call void @repeat(ptr %program, i64 %args.slot, i64 %tasks, ptr %scratch)
  br label %stepped
launch:
  %args = getelementptr i64, ptr %frame, i64 %args.slot
  call void %parallel_for(ptr %kernel, ptr %args, i64 %tasks, i64 %bytes, ptr %scratch)
  br label %stepped
stepped:
  %next = add i64 %number, 1
  br label %stepping
return:
  ret void
}

; The turns of a loop.
define internal void @repeat(ptr %program, i64 %number, i64 %turns, ptr %scratch) nounwind {
entry:
  %frame.at = getelementptr %program, ptr %program, i64 0, i32 1
  %frame = load ptr, ptr %frame.at
  %loops.at = getelementptr %program, ptr %program, i64 0, i32 11
  %loops = load ptr, ptr %loops.at
  %loop = getelementptr %loop, ptr %loops, i64 %number
  %first = load i64, ptr %loop
  %end.at = getelementptr %loop, ptr %loop, i64 0, i32 1
  %end = load i64, ptr %end.at
  %first.move.at = getelementptr %loop, ptr %loop, i64 0, i32 2
  %first.move = load i64, ptr %first.move.at
  %end.move.at = getelementptr %loop, ptr %loop, i64 0, i32 3
  %end.move = load i64, ptr %end.move.at
  %moves.at = getelementptr %program, ptr %program, i64 0, i32 12
  %moves = load ptr, ptr %moves.at
  br label %turning
turning:
  %turn = phi i64 [ 0, %entry ], [ %next.turn, %moving ]
  %over = icmp sge i64 %turn, %turns
  br i1 %over, label %return, label %perform
perform:
  call void @do(ptr %program, i64 %first, i64 %end, ptr %scratch)
  %next.turn = add i64 %turn, 1
  br label %moving
moving:
  %m = phi i64 [ %first.move, %perform ], [ %next.move, %shift ]
  %moved = icmp eq i64 %m, %end.move
  br i1 %moved, label %turning, label %shift
shift:
  %move = getelementptr %move, ptr %moves, i64 %m
  %slot = load i64, ptr %move
  %source.at = getelementptr %move, ptr %move, i64 0, i32 1
  %source = load i64, ptr %source.at
  %offset.at = getelementptr %move, ptr %move, i64 0, i32 2
  %offset = load i64, ptr %offset.at
  %from = getelementptr i64, ptr %frame, i64 %source
  %value = load i64, ptr %from
  %sum = add i64 %value, %offset
  %to = getelementptr i64, ptr %frame, i64 %slot
  store i64 %sum, ptr %to
  %next.move = add i64 %m, 1
  br label %moving
return:
  ret void
}

declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PySequence_Tuple(ptr)
declare i64 @PyTuple_Size(ptr)
declare ptr @PyTuple_GetItem(ptr, i64)
declare i64 @PyLong_AsLongLong(ptr)
declare double @PyFloat_AsDouble(ptr)
declare i32 @PyObject_IsTrue(ptr)
declare ptr @PyErr_Occurred()
declare void @PyErr_SetString(ptr, ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
@_Py_NoneStruct = external global i8
@PyExc_TypeError = external global ptr
@no.values = internal constant [46 x i8] c"run: takes the values of the bases in a tuple\\00"
@bad.count = internal constant [51 x i8] c"run: the program has another number of base values\\00"

; run(values, release=False) as Python calls it: `self` is the address of the program, keyword arguments follow the others.
define ptr @call(ptr %self, ptr %arguments, i64 %count, ptr %keywords) nounwind {
entry:
  %program = call ptr @PyLong_AsVoidPtr(ptr %self)
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %take, label %missing
missing:
  %type.error = load ptr, ptr @PyExc_TypeError
  call void @PyErr_SetString(ptr %type.error, ptr @no.values)
  ret ptr null
take:
  %given = load ptr, ptr %arguments
  %values = call ptr @PySequence_Tuple(ptr %given)  ; a tuple stays as it is
  %is.none = icmp eq ptr %values, null
  br i1 %is.none, label %failed, label %measure
failed:
  ret ptr null
measure:
  %bases = load ptr, ptr %program
  %length.at = getelementptr %program, ptr %program, i64 0, i32 9
  %length = load i64, ptr %length.at
  %letters.at = getelementptr %program, ptr %program, i64 0, i32 10
  %letters = load ptr, ptr %letters.at
  %size = call i64 @PyTuple_Size(ptr %values)
  %agree = icmp eq i64 %size, %length
  br i1 %agree, label %next, label %differ
differ:
  %type.error.1 = load ptr, ptr @PyExc_TypeError
  call void @PyErr_SetString(ptr %type.error.1, ptr @bad.count)
  br label %drop
drop:
  call void @Py_DecRef(ptr %values)
  ret ptr null

next:
  %i = phi i64 [ 0, %measure ], [ %i.next, %put ]
  %all = icmp eq i64 %i, %length
  br i1 %all, label %ready, label %convert
convert:
  %item = call ptr @PyTuple_GetItem(ptr %values, i64 %i)
  %letter.at = getelementptr i8, ptr %letters, i64 %i
  %letter = load i8, ptr %letter.at
  %is.unread = icmp eq i8 %letter, 45  ; -
  br i1 %is.unread, label %put, label %needed
needed:
  %is.integer = icmp eq i8 %letter, 113  ; q
  br i1 %is.integer, label %integer, label %real
integer:
  %number = call i64 @PyLong_AsLongLong(ptr %item)
  %minus.one = icmp eq i64 %number, -1
  br i1 %minus.one, label %doubt, label %put
real:
  %double = call double @PyFloat_AsDouble(ptr %item)
  %float = fptrunc double %double to float
  %float.bits = bitcast float %float to i32
  %low = zext i32 %float.bits to i64
  %double.bits = bitcast double %double to i64
  %is.double = icmp eq i8 %letter, 100  ; d
  %bits = select i1 %is.double, i64 %double.bits, i64 %low
  %minus.one.real = fcmp oeq double %double, -1.0
  br i1 %minus.one.real, label %doubt, label %put
doubt:  ; minus one is how Python tells of an error, and a number too
  %doubtful = phi i64 [ %number, %integer ], [ %bits, %real ]
  %error = call ptr @PyErr_Occurred()
  %fine = icmp eq ptr %error, null
  br i1 %fine, label %put, label %drop
put:
  %slot = phi i64 [ 0, %convert ], [ %number, %integer ], [ %bits, %real ], [ %doubtful, %doubt ]
  %base.at = getelementptr i64, ptr %bases, i64 %i
  store i64 %slot, ptr %base.at
  %i.next = add i64 %i, 1
  br label %next

ready:
  call void @Py_DecRef(ptr %values)
  %alone = icmp eq i64 %count, 1
  %plain = icmp eq ptr %keywords, null
  %no.flag = and i1 %alone, %plain
  br i1 %no.flag, label %hold, label %ask
ask:
  %flag.at = getelementptr ptr, ptr %arguments, i64 1
  %flag = load ptr, ptr %flag.at
  %truth = call i32 @PyObject_IsTrue(ptr %flag)
  %true = icmp eq i32 %truth, 1
  br i1 %true, label %release, label %hold
release:
  %thread = call ptr @PyEval_SaveThread()
  call void @run(ptr %program)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %return
hold:
  call void @run(ptr %program)
  br label %return
return:
  call void @Py_IncRef(ptr @_Py_NoneStruct)
  ret ptr @_Py_NoneStruct
}
"""


class _MethodDef(ctypes.Structure):
    """Python's PyMethodDef: how it learns of a function in machine code."""

    _fields_ = [("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


_FASTCALL_WITH_KEYWORDS = 0x0080 | 0x0002


@functools.cache
def _runner():
    """The machine code of `run`, and how Python is told of it."""
    names = re.findall(r"^declare .*@(Py\w+)\(|^@(_?Py\w+) = external", _TEXT, re.MULTILINE)
    symbols = {a or b: ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, a or b)) for a, b in names}
    code = jit.compile(_TEXT, symbols=symbols, quick=True)
    return code, _MethodDef(b"run", code.address("call"), _FASTCALL_WITH_KEYWORDS, b"run(values, release=False)")


class Blueprint:
    """Kernels in running order over one frame, for all sizes that a program meets: `launcher(numbers)` makes it for one of them.

        steps          (address of the kernel, its first slot of the frame, number of tasks *), ...; of a loop (0, its number, turns *)
        loops          (its steps, its moves), ...; a move is (slot of the frame, slot that it is made from, bytes to add *), ...
        frame          its slots *
        bases          one letter for each value of a run: q an integer or address, d a double, f a float (the low four bytes),
                       - what no kernel reads, of any kind
        patches        (slot of the frame, number of the base, bytes to add *), ...
        scratch_bytes  what a worker's memory has to hold at least *
        keep           whatever must live as long as this: the Code of the kernels

    What has a * is given as an index into `numbers`, an array of int64.  The rest is the same each time, and is laid out here.
    """

    _HEAD = 13  # words of %program in _TEXT

    def __init__(self, steps, frame, bases, patches, scratch_bytes, keep=(), loops=()):
        every_step, loop_rows, every_move = list(steps), [], []  # what a loop repeats stands behind the steps
        for inner, moves in loops:
            loop_rows.append((len(every_step), len(every_step) + len(inner), len(every_move), len(every_move) + len(moves)))
            every_step += inner
            every_move += moves
        if set(bases) - set("qdf-"):
            raise ValueError(f"Blueprint: a base is q, d, f or -, not {(set(bases) - set('qdf-')).pop()!r}")
        if any(not 0 <= first <= (len(frame) if kernel else len(loops) - 1) for kernel, first, _ in every_step):
            raise ValueError(f"Blueprint: a step begins outside the frame of {len(frame)} slots, or is a loop that is none of {len(loops)}")
        if any(not 0 <= x < len(frame) for slot, source, _ in every_move for x in (slot, source)):
            raise ValueError(f"Blueprint: a move is outside the frame of {len(frame)} slots")
        if any(not 0 <= slot < len(frame) or not 0 <= base < len(bases) for slot, base, _ in patches):
            raise ValueError(f"Blueprint: a patch is outside the frame of {len(frame)} slots or the {len(bases)} bases")
        code, definition = _runner()
        pool, letters = threads.pool(), np.frombuffer(bases.encode() or b" ", np.uint8)
        self._keep = code, definition, pool, letters, keep
        self._definition = ctypes.byref(definition)
        head = [0, 0, len(patches), 0, len(steps), 0, scratch_bytes, pool.address("parallel_for"), pool.address("scratch"), len(bases),
                letters.ctypes.data, 0, 0]
        parts, starts, end = [np.array(head, np.int64)], [], self._HEAD
        positions = [np.array([6])]  # of the words that are indices
        for rows, width, indexed in (([0] * (len(bases) + 1), 1, None), (frame, 1, 0), (patches, 3, 2), (every_step, 3, 2),
                                     (loop_rows, 4, None), (every_move, 3, 2)):
            parts.append(np.array(rows, np.int64).reshape(-1))
            starts.append(end)
            if indexed is not None:
                positions.append(np.arange(end + indexed, end + len(parts[-1]), width))
            end += len(parts[-1])
        self._fixed, self._positions = np.concatenate(parts), np.concatenate(positions)
        self._numbers = self._fixed[self._positions]
        self._pointers, self._starts = np.array([0, 1, 3, 5, 11, 12]), np.array(starts) * 8

    def launcher(self, numbers):
        """The launcher with these numbers: `run(values, release=False)` runs all steps once; `values` has one number for each base.

        With `release`, other Python threads go on meanwhile: right for programs that take longer than some microseconds.
        """
        words = self._fixed.copy()
        words[self._positions] = numbers[self._numbers]
        address = words.__array_interface__["data"][0]
        words[self._pointers] = self._starts + address
        return _new_function(self._definition, address, (words, self))  # what it reads hangs on the function itself


_new_function = ctypes.pythonapi.PyCFunction_NewEx
_new_function.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
_new_function.restype = ctypes.py_object
