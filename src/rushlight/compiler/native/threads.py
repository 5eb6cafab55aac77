"""One pool of native threads, written in LLVM IR: fork and join in about a microsecond.

    caller    open the gate ---- take tasks ---- close it, wait until nobody is inside
    worker      spin ... enter ---- take tasks ---- leave, spin, after 40 us sleep

The gate is one word: the number of the job in the high half (odd while it is open) and the workers inside in the low half.
Whoever is late finds it closed and is not waited for, so a worker that the system keeps off its core costs nothing.  Tasks
come from one counter, in runs of a size that follows from the number of tasks and threads; since kernels split work by shape
alone, results do not depend on who takes what.  The caller works too, and does everything itself while another thread has the pool.

Threads start at the first parallel launch, and afresh in the child of a fork; they block no exit.  Each thread has scratch memory
of its own, which grows on demand and goes with the thread.  Start with `@parallel_for` in `_TEXT`, then `@worker`.
"""
import ctypes
import functools
import os

from . import jit
from .target import host

_TEXT = """
@gate     = internal global i64 0, align 128  ; job number << 32 | workers inside
@counter  = internal global i64 0, align 128  ; the first task that nobody took
@busy     = internal global i32 0, align 128  ; 1 while a caller has the pool
@sleepers = internal global i32 0, align 128
@job      = internal global [5 x i64] zeroinitializer, align 128  ; function, arguments, tasks, tasks to a run, scratch bytes
@wanted   = internal global i32 1, align 128  ; threads, the caller included
@alive    = internal global i32 0  ; workers started
@key      = internal global i64 0  ; where a thread finds its scratch memory
@mutex    = internal global [128 x i8] zeroinitializer, align 64
@wake     = internal global [128 x i8] zeroinitializer, align 64  ; workers that sleep until a job
@unpark   = internal global [128 x i8] zeroinitializer, align 64  ; workers that sleep because fewer are wanted

declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_setdetachstate(ptr, i32)
declare i32 @pthread_attr_setstacksize(ptr, i64)
declare i32 @pthread_attr_destroy(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)
declare i32 @sigdelset(ptr, i32)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @pthread_key_create(ptr, ptr)
declare ptr @pthread_getspecific(<key>)
declare i32 @pthread_setspecific(<key>, ptr)
declare i32 @posix_memalign(ptr, i64, i64)
declare void @free(ptr)
declare i32 @clock_gettime(i32, ptr)
declare i32 @sched_yield()
declare i64 @llvm.umax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)
<declare pause>

; Once in a process.
define void @initialize() nounwind {
  call i32 @pthread_key_create(ptr @key, ptr @free)
  call void @start_anew()
  ret void
}

; Once in a process and in each child of a fork, where no worker lives on and locks are as they happened to be.
define void @start_anew() nounwind {
  store i64 0, ptr @gate
  store i32 0, ptr @busy
  store i32 0, ptr @sleepers
  store i32 0, ptr @alive
  call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  call i32 @pthread_cond_init(ptr @wake, ptr null)
  call i32 @pthread_cond_init(ptr @unpark, ptr null)
  ret void
}

define void @want(i32 %threads) nounwind {
  call i32 @pthread_mutex_lock(ptr @mutex)
  store atomic i32 %threads, ptr @wanted seq_cst, align 4
  call i32 @pthread_cond_broadcast(ptr @wake)
  call i32 @pthread_cond_broadcast(ptr @unpark)
  call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}

; The calling thread's scratch memory, of at least so many bytes.  64 bytes before it stand its size.
define ptr @scratch(i64 %bytes) nounwind {
  %place = alloca ptr
  %key = load <key>, ptr @key
  %old = call ptr @pthread_getspecific(<key> %key)
  %none = icmp eq ptr %old, null
  br i1 %none, label %grow, label %look
look:
  %size = load i64, ptr %old
  %fits = icmp uge i64 %size, %bytes
  br i1 %fits, label %done, label %grow
grow:
  call void @free(ptr %old)
  store ptr null, ptr %place
  %whole = add i64 %bytes, 64
  call i32 @posix_memalign(ptr %place, i64 64, i64 %whole)
  %new = load ptr, ptr %place
  call i32 @pthread_setspecific(<key> %key, ptr %new)
  store i64 %bytes, ptr %new
  br label %done
done:
  %block = phi ptr [ %old, %look ], [ %new, %grow ]
  %memory = getelementptr i8, ptr %block, i64 64
  ret ptr %memory
}

; Do the tasks 0 .. %tasks - 1 of a kernel.  %own is the caller's scratch memory, of at least %bytes.
define void @parallel_for(ptr %function, ptr %args, i64 %tasks, i64 %bytes, ptr %own) nounwind {
  %few = icmp sle i64 %tasks, 1
  br i1 %few, label %alone, label %several
several:
  %threads = load atomic i32, ptr @wanted monotonic, align 4
  %one = icmp sle i32 %threads, 1
  br i1 %one, label %alone, label %ask
ask:
  %taken = atomicrmw xchg ptr @busy, i32 1 acquire
  %free = icmp eq i32 %taken, 0
  br i1 %free, label %have, label %alone
alone:
  %some = icmp sgt i64 %tasks, 0
  br i1 %some, label %run, label %nothing
run:
  call void %function(ptr %args, i64 0, i64 %tasks, ptr %own)
  ret void
nothing:
  ret void

have:
  %alive = load i32, ptr @alive
  %helpers = sub i32 %threads, 1
  %missing = icmp slt i32 %alive, %helpers
  br i1 %missing, label %hire, label %open
hire:
  call void @hire(i32 %helpers)
  br label %open
open:
  %threads64 = zext i32 %threads to i64
  %parts = shl i64 %threads64, 3  ; eight runs for each thread even out their ends
  %quotient = udiv i64 %tasks, %parts
  %run1 = call i64 @llvm.umax.i64(i64 %quotient, i64 1)
  store ptr %function, ptr @job
  store ptr %args, ptr getelementptr (i64, ptr @job, i64 1)
  store i64 %tasks, ptr getelementptr (i64, ptr @job, i64 2)
  store i64 %run1, ptr getelementptr (i64, ptr @job, i64 3)
  store i64 %bytes, ptr getelementptr (i64, ptr @job, i64 4)
  store atomic i64 0, ptr @counter monotonic, align 8
  atomicrmw add ptr @gate, i64 4294967296 seq_cst  ; nobody is inside: the job number becomes odd
  %asleep = load atomic i32, ptr @sleepers seq_cst, align 4
  %quiet = icmp eq i32 %asleep, 0
  br i1 %quiet, label %work, label %call
call:
  %others = sub i64 %tasks, 1
  %asleep64 = zext i32 %asleep to i64
  %all = icmp uge i64 %others, %asleep64
  call i32 @pthread_mutex_lock(ptr @mutex)
  br i1 %all, label %everybody, label %somebody
everybody:
  call i32 @pthread_cond_broadcast(ptr @wake)
  br label %called
somebody:
  %left = phi i64 [ %others, %call ], [ %less, %somebody ]
  call i32 @pthread_cond_signal(ptr @wake)
  %less = sub i64 %left, 1
  %more = icmp ne i64 %less, 0
  br i1 %more, label %somebody, label %called
called:
  call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %work
work:
  call void @take_tasks(ptr %own)
  %closed = atomicrmw add ptr @gate, i64 4294967296 seq_cst
  %first = trunc i64 %closed to i32
  br label %wait
wait:
  %inside = phi i32 [ %first, %work ], [ %again, %look ]
  %count = phi i32 [ 0, %work ], [ %next, %look ]
  %over = icmp eq i32 %inside, 0
  br i1 %over, label %give, label %pause
pause:
  <pause>
  %next = add i32 %count, 1
  %long = icmp ugt i32 %next, 4096
  br i1 %long, label %yield, label %look
yield:  ; the worker waited for may want this core
  call i32 @sched_yield()
  br label %look
look:
  %gate = load atomic i64, ptr @gate acquire, align 8
  %again = trunc i64 %gate to i32
  br label %wait
give:
  store atomic i32 0, ptr @busy release, align 4
  ret void
}

; The same for a caller without scratch memory at hand.
define void @parallel_for_anyone(ptr %function, ptr %args, i64 %tasks, i64 %bytes) nounwind {
  %own = call ptr @scratch(i64 %bytes)
  call void @parallel_for(ptr %function, ptr %args, i64 %tasks, i64 %bytes, ptr %own)
  ret void
}

; Take tasks of the open job until there are none.
define internal void @take_tasks(ptr %scratch) nounwind {
  %function = load ptr, ptr @job
  %args = load ptr, ptr getelementptr (i64, ptr @job, i64 1)
  %tasks = load i64, ptr getelementptr (i64, ptr @job, i64 2)
  %run = load i64, ptr getelementptr (i64, ptr @job, i64 3)
  br label %next
next:
  %begin = atomicrmw add ptr @counter, i64 %run monotonic
  %some = icmp slt i64 %begin, %tasks
  br i1 %some, label %do, label %none
do:
  %stop = add i64 %begin, %run
  %end = call i64 @llvm.smin.i64(i64 %stop, i64 %tasks)
  call void %function(ptr %args, i64 %begin, i64 %end, ptr %scratch)
  br label %next
none:
  ret void
}

; Start workers until there are %helpers; fewer are wanted from now on if the system gives no more.
define internal void @hire(i32 %helpers) nounwind noinline {
  %attributes = alloca [128 x i8], align 16
  %thread = alloca i64
  call i32 @pthread_attr_init(ptr %attributes)
  call i32 @pthread_attr_setdetachstate(ptr %attributes, i32 <detached>)
  call i32 @pthread_attr_setstacksize(ptr %attributes, i64 2097152)
  br label %check
check:
  %index = load i32, ptr @alive
  %missing = icmp slt i32 %index, %helpers
  br i1 %missing, label %start, label %done
start:
  %index64 = zext i32 %index to i64
  %argument = inttoptr i64 %index64 to ptr
  %error = call i32 @pthread_create(ptr %thread, ptr %attributes, ptr @worker, ptr %argument)
  %started = icmp eq i32 %error, 0
  %threads = add i32 %index, 1
  br i1 %started, label %count, label %refused
count:
  store i32 %threads, ptr @alive
  br label %check
refused:
  store atomic i32 %threads, ptr @wanted seq_cst, align 4
  br label %done
done:
  call i32 @pthread_attr_destroy(ptr %attributes)
  ret void
}

define internal ptr @worker(ptr %argument) nounwind {
entry:
  %signals = alloca [128 x i8], align 16  ; signals are for Python's threads, except those that a fault raises here
  call i32 @sigfillset(ptr %signals)
  call i32 @sigdelset(ptr %signals, i32 4)
  call i32 @sigdelset(ptr %signals, i32 <sigbus>)
  call i32 @sigdelset(ptr %signals, i32 8)
  call i32 @sigdelset(ptr %signals, i32 11)
  call i32 @pthread_sigmask(i32 <setmask>, ptr %signals, ptr null)
  %argument64 = ptrtoint ptr %argument to i64
  %index = trunc i64 %argument64 to i32
  br label %idle

idle:
  %seen = phi i32 [ 0, %entry ], [ %number, %leave ], [ %seen.1, %rise ], [ %seen, %stay ]
  %asked = load atomic i32, ptr @wanted monotonic, align 4
  %needed = sub i32 %asked, 1
  %surplus = icmp sge i32 %index, %needed
  br i1 %surplus, label %park, label %begin
park:
  call i32 @pthread_mutex_lock(ptr @mutex)
  br label %parked
parked:
  %asked.1 = load atomic i32, ptr @wanted seq_cst, align 4
  %needed.1 = sub i32 %asked.1, 1
  %surplus.1 = icmp sge i32 %index, %needed.1
  br i1 %surplus.1, label %wait, label %stay
wait:
  call i32 @pthread_cond_wait(ptr @unpark, ptr @mutex)
  br label %parked
stay:
  call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %idle

begin:
  %now.0 = call i64 @nanoseconds()
  %until = add i64 %now.0, 40000
  br label %spin
spin:
  %round = phi i32 [ 0, %begin ], [ %round.1, %pause ], [ %round.1, %clock ], [ %round, %enter ]
  %gate = load atomic i64, ptr @gate acquire, align 8
  %high = lshr i64 %gate, 32
  %number = trunc i64 %high to i32
  %bit = trunc i32 %number to i1
  %new = icmp ne i32 %number, %seen
  %come = and i1 %bit, %new
  br i1 %come, label %enter, label %pause
pause:
  <pause>
  %round.1 = add i32 %round, 1
  %low = and i32 %round.1, 31
  %tick = icmp eq i32 %low, 0
  br i1 %tick, label %clock, label %spin
clock:
  %now = call i64 @nanoseconds()
  %tired = icmp ugt i64 %now, %until
  br i1 %tired, label %sleep, label %spin

enter:
  %entered = add i64 %gate, 1
  %pair = cmpxchg ptr @gate, i64 %gate, i64 %entered seq_cst seq_cst
  %in = extractvalue { i64, i1 } %pair, 1
  br i1 %in, label %leave, label %spin
leave:
  %bytes = load i64, ptr getelementptr (i64, ptr @job, i64 4)
  %scratch = call ptr @scratch(i64 %bytes)
  call void @take_tasks(ptr %scratch)
  atomicrmw sub ptr @gate, i64 1 release
  br label %idle

sleep:  ; counted before the gate is looked at: a caller who opens it after that look sees the count
  call i32 @pthread_mutex_lock(ptr @mutex)
  atomicrmw add ptr @sleepers, i32 1 seq_cst
  br label %asleep
asleep:
  %seen.1 = phi i32 [ %seen, %sleep ], [ %seen.1, %doze ]
  %asked.2 = load atomic i32, ptr @wanted seq_cst, align 4
  %needed.2 = sub i32 %asked.2, 1
  %surplus.2 = icmp sge i32 %index, %needed.2
  %gate.1 = load atomic i64, ptr @gate seq_cst, align 8
  %high.1 = lshr i64 %gate.1, 32
  %number.1 = trunc i64 %high.1 to i32
  %bit.1 = trunc i32 %number.1 to i1
  %new.1 = icmp ne i32 %number.1, %seen.1
  %come.1 = and i1 %bit.1, %new.1
  %stir = or i1 %come.1, %surplus.2
  br i1 %stir, label %rise, label %doze
doze:
  call i32 @pthread_cond_wait(ptr @wake, ptr @mutex)
  br label %asleep
rise:
  atomicrmw sub ptr @sleepers, i32 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %idle
}

define internal i64 @nanoseconds() nounwind {
  %time = alloca [2 x i64]
  call i32 @clock_gettime(i32 <monotonic>, ptr %time)
  %seconds = load i64, ptr %time
  %place = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %place
  %whole = mul i64 %seconds, 1000000000
  %sum = add i64 %whole, %rest
  ret i64 %sum
}
"""

_NUMBERS = {  # what C's headers call by name
    "linux": {"key": "i32", "detached": "1", "setmask": "2", "monotonic": "1", "sigbus": "7"},
    "darwin": {"key": "i64", "detached": "2", "setmask": "3", "monotonic": "6", "sigbus": "10"},
}
_PAUSE = {  # tell the core that this is a loop that waits
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}


def pool_text(triple):
    """The LLVM IR of the pool for a system and a processor."""
    system = "darwin" if "apple" in triple or "darwin" in triple else "linux"
    declaration, pause = _PAUSE["x86_64" if triple.startswith("x86_64") else "aarch64"]
    text = _TEXT.replace("<declare pause>", declaration).replace("<pause>", pause)
    for name, number in _NUMBERS[system].items():
        text = text.replace(f"<{name}>", number)
    return text


@functools.cache
def pool():
    """The machine code of this process's pool: `parallel_for` and `scratch` are for native code, see `_TEXT`."""
    code = jit.compile(pool_text(host().triple), quick=True)
    ctypes.CFUNCTYPE(None)(code.address("initialize"))()
    ctypes.CFUNCTYPE(None, ctypes.c_int32)(code.address("want"))(get_num_threads())
    os.register_at_fork(after_in_child=ctypes.CFUNCTYPE(None)(code.address("start_anew")))
    return code


def parallel_for(function, args, tasks, scratch_bytes=0):
    """Run the tasks 0 .. tasks - 1 of the kernel at address `function`, without holding the interpreter's lock."""
    _in_parallel()(function, args, tasks, scratch_bytes)


@functools.cache
def _in_parallel():
    integers = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    return ctypes.CFUNCTYPE(None, *integers)(pool().address("parallel_for_anyone"))


_threads = None


def get_num_threads():
    """How many threads a kernel may use, the caller included."""
    global _threads
    if _threads is None:
        _threads = _default_threads()
    return _threads


def set_num_threads(count):
    """Use so many threads from the next kernel on.  Results stay the same."""
    global _threads
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"set_num_threads: a number of threads is an int, not {type(count).__name__}")
    if count < 1:
        raise RuntimeError(f"set_num_threads: {count} threads cannot run anything")
    _threads = count
    if pool.cache_info().currsize:  # else it asks when it is made
        ctypes.CFUNCTYPE(None, ctypes.c_int32)(pool().address("want"))(count)


def _default_threads():
    chosen = os.environ.get("RUSHLIGHT_NUM_THREADS", "")
    if chosen.isdigit() and int(chosen) > 0:
        return int(chosen)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
