"""The native layer: targets, owned machine code, its cache on disk, the thread pool and whole programs in one call."""
import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import ml_dtypes
import numpy as np
import pytest

from rushlight.compiler.native import disk_cache, jit, target, threads
from rushlight.compiler.native.launch import Blueprint

COUNT_UP = """
; data[i] += step for the tasks; notes in scratch that it was there
define void @count_up(ptr %args, i64 %begin, i64 %end, ptr %scratch) nounwind {
entry:
  %data = load ptr, ptr %args
  %step.at = getelementptr i64, ptr %args, i64 1
  %step = load i64, ptr %step.at
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %body ]
  %more = icmp slt i64 %i, %end
  br i1 %more, label %body, label %done
body:
  %at = getelementptr i64, ptr %data, i64 %i
  %old = load i64, ptr %at
  %new = add i64 %old, %step
  store i64 %new, ptr %at
  store i64 %new, ptr %scratch
  %next = add i64 %i, 1
  br label %loop
done:
  ret void
}
"""
RETURN = "define i64 @number() nounwind {\n  ret i64 %d\n}\n"


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def restore_threads():
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def number(code):
    return ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("number"))()


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def entries(folder):
    return sorted(folder.glob("*.o"))


def in_a_new_process(program, **environment):
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# Targets

def test_the_host_has_vectors_and_caches():
    host = target.host()
    assert host.vector_bits in (128, 256, 512) and host.lanes(4) == host.vector_bits // 32
    assert 8 << 10 <= host.l1_bytes <= host.l2_bytes <= max(host.l3_bytes, host.l2_bytes)


def test_a_lower_level_can_be_asked_for_and_a_wrong_one_says_what_there_is():
    program = "from rushlight.compiler.native.target import host; t = host(); print(t.level, t.vector_bits, t.has_fma)"
    if target.host().level != "neon":
        assert in_a_new_process(program, RUSHLIGHT_TARGET="sse2") == "sse2 128 False"
    program = "from rushlight.compiler.native.target import host\ntry: host()\nexcept ValueError as error: print(error)"
    assert in_a_new_process(program, RUSHLIGHT_TARGET="mmx").startswith("RUSHLIGHT_TARGET is 'mmx'; this processor offers ")


@pytest.mark.parametrize("other", [target.x86_64("avx512"), target.x86_64("sse2"), target.aarch64(),
                                   target.aarch64("arm64-apple-macosx14.0")],
                         ids=lambda t: f"{t.level}-{t.triple.split('-')[1]}")
def test_code_for_other_processors_and_systems_is_emitted(other):
    assert len(jit.emit_object(threads.pool_text(other.triple), other)) > 1000


def test_wide_vectors_are_not_split():
    wide = target.x86_64("avx512")
    text = f"""define void @f(ptr %p) {wide.function_attributes} {{
      %x = load <16 x float>, ptr %p
      %y = fmul <16 x float> %x, %x
      store <16 x float> %y, ptr %p
      ret void\n}}"""
    assert "zmm" in jit.emit_assembly(text, wide) and "ymm" not in jit.emit_assembly(text, wide)


# Machine code in memory

def test_text_becomes_code_and_external_functions_are_found():
    code = jit.compile("""
        declare float @fmodf(float, float)
        declare ptr @memcpy(ptr, ptr, i64)
        @table = internal constant [4 x float] [float 1.0, float 2.0, float 3.0, float 5.5]
        define float @remainder(ptr %out) nounwind {
          call ptr @memcpy(ptr %out, ptr @table, i64 16)
          %last = getelementptr float, ptr %out, i64 3
          %x = load float, ptr %last
          %r = call float @fmodf(float %x, float 2.0)
          ret float %r
        }""")
    out = np.zeros(4, np.float32)
    assert ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_void_p)(code.address("remainder"))(out.ctypes.data) == 1.5
    assert out.tolist() == [1, 2, 3, 5.5] and code.names == ("remainder",)


def test_wrong_text_says_what_llvm_says():
    with pytest.raises(ValueError, match="(?s)LLVM does not take this text: .*undefined value"):
        jit.compile("define i64 @f() {\n  ret i64 %missing\n}")


def test_passes_run_only_when_asked():
    text = "define i64 @f(i64 %x) {\n  %p = alloca i64\n  store i64 %x, ptr %p\n  %y = load i64, ptr %p\n  ret i64 %y\n}"
    assert "(%rsp)" in jit.emit_assembly(text, target.x86_64()) and "(%rsp)" not in jit.emit_assembly(text, target.x86_64(), passes=True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_dropped_code_is_freed(monkeypatch):
    for cached, times in (("", 300), (None, 2000)):
        if cached is not None:
            monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", cached)
        else:
            monkeypatch.undo()
        for i in range(100):
            assert number(jit.compile(RETURN % (i % 3))) == i % 3
        before = resident_bytes()
        for i in range(times):
            jit.compile(RETURN % (i % 3))
        assert resident_bytes() - before < 3 << 20


def test_code_stays_while_it_is_held():
    held = [jit.compile(RETURN % i) for i in range(150)]
    del held[::2]
    gc.collect()
    assert [number(code) for code in held] == list(range(1, 150, 2))


def test_half_and_bfloat_are_converted_where_no_instruction_does_it():
    code = jit.compile("""
        define void @narrow(ptr %x, ptr %y) nounwind {
          %double = load double, ptr %x
          %half = fptrunc double %double to half
          store half %half, ptr %y
          %second = getelementptr half, ptr %y, i64 1
          %bfloat = fptrunc double %double to bfloat
          store bfloat %bfloat, ptr %second
          ret void
        }""")
    narrow = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(code.address("narrow"))
    inf, small = float("inf"), 2.0**-24
    tie = 1 + 2.0**-8  # between two bfloats; the last one is just above it, by less than a float can tell
    numbers = np.array([0, -0.0, 1 / 3, 65519.9, 65520, -inf, float("nan"), small, small / 2, -1.5 * small, 1e39, tie, tie + 2.0**-40])
    halves, bfloats = [], []
    for x in numbers:
        source, result = np.array([x]), np.zeros(2, np.uint16)
        narrow(source.ctypes.data, result.ctypes.data)
        halves.append(result[:1].view(np.float16)[0])
        bfloats.append(result[1:].view(ml_dtypes.bfloat16)[0])
    with np.errstate(over="ignore"):
        assert np.array_equal(np.array(halves), numbers.astype(np.float16), equal_nan=True)
    assert [float(x) for x in bfloats[-3:]] == [inf, 1, 1 + 2.0**-7] and np.isnan(float(bfloats[6]))


def test_threads_compile_side_by_side():
    results = []

    def work(start):
        results.extend(number(jit.compile(RETURN % i)) == i for i in range(start, start + 20))

    workers = [threading.Thread(target=work, args=(1000 * k,)) for k in range(4)]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert results == [True] * 80


# The cache on disk

def test_a_second_compile_reads_what_the_first_wrote(cache_folder, monkeypatch):
    assert number(jit.compile(RETURN % 7)) == 7 and len(entries(cache_folder)) == 1
    monkeypatch.setattr(jit, "emit_object", None)
    assert number(jit.compile(RETURN % 7)) == 7


def test_text_target_and_passes_are_told_apart():
    keys = {disk_cache.key(text, t, passes) for text in ("a", "b") for t in (target.x86_64(), target.x86_64("sse2")) for passes in (0, 1)}
    assert len(keys) == 8


@pytest.mark.parametrize("damage", [lambda e: b"", lambda e: e[:-1], lambda e: e[:60], lambda e: e[:200] + b"!" + e[201:],
                                    lambda e: b"other" + e], ids=["empty", "shorter", "header", "changed", "foreign"])
def test_a_damaged_entry_is_written_again(cache_folder, damage):
    jit.compile(RETURN % 8)
    [entry] = entries(cache_folder)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert number(jit.compile(RETURN % 8)) == 8 and entry.read_bytes() == whole


def test_an_entry_under_another_name_is_not_taken(cache_folder):
    jit.compile(RETURN % 9)
    [entry] = entries(cache_folder)
    other = disk_cache.key(RETURN % 10, target.host())
    entry.rename(cache_folder / (other + ".o"))
    assert number(jit.compile(RETURN % 10)) == 10


def test_a_disk_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", "/proc/nothing", ""):
        monkeypatch.setenv("RUSHLIGHT_CACHE_DIR", str(folder))
        monkeypatch.chdir(tmp_path)
        assert number(jit.compile(RETURN % 11)) == 11


def test_two_processes_fill_one_cache(cache_folder):
    program = f"""
from rushlight.compiler.native import jit
import ctypes
for i in range(30):
    code = jit.compile({RETURN!r} % i)
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(code.address("number"))() == i
"""
    both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    assert [p.wait(60) for p in both] == [0, 0]
    assert len(entries(cache_folder)) == 30 and not list(cache_folder.glob(".*"))


def test_pruning_keeps_what_was_used_last(cache_folder):
    for i in range(10):
        disk_cache.store(f"{i:064x}", bytes(1000))
        os.utime(cache_folder / f"{i:064x}.o", (i, i))
    disk_cache.load(f"{0:064x}")  # used long ago, and now again
    stale = cache_folder / ".left.1.1"
    stale.write_bytes(b"half an entry")
    os.utime(stale, (0, 0))
    disk_cache.prune(cache_folder, limit=8000)
    assert [int(p.stem, 16) for p in entries(cache_folder)] == [0, 6, 7, 8, 9] and not stale.exists()


def test_the_cache_is_bounded_without_being_asked(cache_folder, monkeypatch):
    monkeypatch.setattr(disk_cache, "LIMIT_BYTES", 100_000)
    for i in range(300):
        disk_cache.store(disk_cache.key(str(i), target.host()), bytes(2000))
    assert sum(p.stat().st_size for p in entries(cache_folder)) < 130_000


# Threads

@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("tasks", [0, 1, 2, 3, 7, 1000])
def test_every_task_runs_once(count, tasks, restore_threads):
    threads.set_num_threads(count)
    assert threads.get_num_threads() == count
    kernel = jit.compile(COUNT_UP)
    data = np.zeros(max(tasks, 1), np.int64)
    args = np.array([data.ctypes.data, 3], np.int64)
    for _ in range(200):
        threads.parallel_for(kernel.address("count_up"), args.ctypes.data, tasks, 100)
    assert (data[:tasks] == 600).all() and data[tasks:].sum() == 0


def test_sleeping_workers_are_woken_and_idle_ones_use_no_processor(restore_threads):
    threads.set_num_threads(3)
    kernel = jit.compile(COUNT_UP)
    data = np.zeros(64, np.int64)
    args = np.array([data.ctypes.data, 1], np.int64)
    for i in range(50):
        threads.parallel_for(kernel.address("count_up"), args.ctypes.data, 64, 1 << (i // 4))
        time.sleep(0.0003)
    assert (data == 50).all()
    time.sleep(0.01)
    before = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before < 0.02


def test_the_number_of_threads_may_change_at_any_time(restore_threads):
    kernel = jit.compile(COUNT_UP)
    data = np.zeros(32, np.int64)
    args = np.array([data.ctypes.data, 1], np.int64)
    for i in range(300):
        threads.set_num_threads(1 + i % 4)
        threads.parallel_for(kernel.address("count_up"), args.ctypes.data, 32, 64)
    assert (data == 300).all()


def test_python_threads_share_the_pool(restore_threads):
    threads.set_num_threads(2)
    kernel = jit.compile(COUNT_UP)
    outcomes = []

    def work():
        data = np.zeros(100, np.int64)
        args = np.array([data.ctypes.data, 1], np.int64)
        for _ in range(500):
            threads.parallel_for(kernel.address("count_up"), args.ctypes.data, 100, 64)
        outcomes.append((data == 500).all())

    workers = [threading.Thread(target=work) for _ in range(4)]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert outcomes == [True] * 4


def test_wrong_numbers_of_threads_are_refused():
    with pytest.raises(RuntimeError, match="set_num_threads: 0 threads cannot run anything"):
        threads.set_num_threads(0)
    with pytest.raises(TypeError, match="set_num_threads: a number of threads is an int, not float"):
        threads.set_num_threads(2.0)


def test_the_environment_sets_the_number_of_threads():
    program = "from rushlight.compiler.native import threads; print(threads.get_num_threads())"
    assert in_a_new_process(program, RUSHLIGHT_NUM_THREADS="3") == "3"
    assert int(in_a_new_process(program, RUSHLIGHT_NUM_THREADS="")) == len(os.sched_getaffinity(0))


def test_a_fork_gets_a_pool_of_its_own(restore_threads):
    threads.set_num_threads(3)
    kernel = jit.compile(COUNT_UP)
    data = np.zeros(1000, np.int64)
    args = np.array([data.ctypes.data, 1], np.int64)
    stop = threading.Event()

    def keep_busy():
        mine = np.zeros(1000, np.int64)
        mine_args = np.array([mine.ctypes.data, 1], np.int64)
        while not stop.is_set():
            threads.parallel_for(kernel.address("count_up"), mine_args.ctypes.data, 1000, 64)

    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                for _ in range(20):
                    threads.parallel_for(kernel.address("count_up"), args.ctypes.data, 1000, 64)
                workers = len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 3
                right = (data == 20).all() and workers == 3 and number(jit.compile(RETURN % 77)) == 77
                os._exit(0 if right else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        busy.join()


def test_the_interpreter_ends_while_threads_are_at_work():
    in_a_new_process(f"""
import threading, numpy as np, time
from rushlight.compiler.native import jit, threads
threads.set_num_threads(3)
kernel = jit.compile({COUNT_UP!r})
def work():
    data = np.zeros(100000, np.int64)
    args = np.array([data.ctypes.data, 1], np.int64)
    while True:
        threads.parallel_for(kernel.address("count_up"), args.ctypes.data, 100000, 64)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
""")


# Whole programs

def chain(kernel, data, length, tasks=1):
    """A launcher of `length` steps, each adding base 1 to its own elements of `data`."""
    numbers = np.array([0, tasks, 64, *(8 * tasks * i for i in range(length))])
    blueprint = Blueprint(steps=[(kernel.address("count_up"), 2 * i, 1) for i in range(length)], frame=[0] * (2 * length), bases="qq",
                          patches=[p for i in range(length) for p in ((2 * i, 0, 3 + i), (2 * i + 1, 1, 0))], scratch_bytes=2, keep=kernel)
    return blueprint.launcher(numbers)


def test_a_program_runs_its_steps_in_order_with_the_values_of_this_run():
    data = np.zeros(3, np.int64)
    program = chain(jit.compile(COUNT_UP), data, 3)
    program((data.ctypes.data, 5))
    program([data[1:].ctypes.data - 8, np.int64(-1)], True)
    program((data.ctypes.data, -1), release=True)
    assert data.tolist() == [3, 3, 3]


ADD_TO_NEXT = """
define void @add(ptr %args, i64 %begin, i64 %end, ptr %scratch) {
  %from = load ptr, ptr %args
  %to.at = getelementptr i64, ptr %args, i64 1
  %to = load ptr, ptr %to.at
  %x = load i64, ptr %from
  %old = load i64, ptr %to
  %sum = add i64 %x, %old
  store i64 %sum, ptr %to
  ret void
}
"""


def test_a_loop_moves_its_slots_after_each_turn_and_starts_afresh_in_the_next_run():
    """Running sums: each turn adds what the turn before wrote, wherever that was, to the next element."""
    kernel, start, data = jit.compile(ADD_TO_NEXT), np.array([10], np.int64), np.arange(5)
    numbers = np.array([0, 1, 5, 8])
    blueprint = Blueprint([(0, 0, 2)], [0, 0, 0], "qq", [(0, 0, 0), (1, 1, 0)], 0, kernel,
                          [([(kernel.address("add"), 0, 1)], [(0, 1, 0), (1, 1, 3)])])
    run = blueprint.launcher(numbers)
    run((start.ctypes.data, data.ctypes.data))
    assert data.tolist() == [10, 11, 13, 16, 20]
    run((start.ctypes.data, data.ctypes.data))
    assert data.tolist() == [20, 31, 44, 60, 80]
    with pytest.raises(ValueError, match="a loop that is none of 0"):
        Blueprint([(0, 0, 2)], [0], "q", [], 0)


SHOW = """
define void @show(ptr %args, i64 %begin, i64 %end, ptr %scratch) {
  %to = load ptr, ptr %args
  %from = getelementptr i64, ptr %args, i64 1
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 24, i1 false)
  ret void
}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""


def test_scalars_arrive_as_bits():
    kernel, seen = jit.compile(SHOW), np.zeros(3, np.int64)
    patches = [(slot, slot, 0) for slot in range(4)]
    run = Blueprint([(kernel.address("show"), 0, 1)], [0] * 4, "qqdf", patches, 0, kernel).launcher(np.array([0, 1]))
    run((seen.ctypes.data, -1, -1.0, -1))
    assert seen[0] == -1 and seen[1:2].view(np.float64)[0] == -1 and seen[2] == 0xBF800000
    run((seen.ctypes.data, 1 << 62, float("nan"), 1e39))
    assert seen[0] == 1 << 62 and np.isnan(seen[1:2].view(np.float64)[0]) and seen[2] == 0x7F800000


def test_a_new_batch_size_is_a_new_launcher_of_the_same_blueprint():
    kernel, data = jit.compile(COUNT_UP), np.zeros(10, np.int64)
    blueprint = Blueprint([(kernel.address("count_up"), 0, 0)], [1, 1], "q", [(0, 0, 2)], 3, kernel)
    small, large = (blueprint.launcher(np.array(numbers)) for numbers in ((4, 1, 0, 64), (9, 2, 8, 64)))
    for run in (small, large):
        run((data.ctypes.data,))
    assert data.tolist() == [1, 3, 3, 3, 2, 2, 2, 2, 2, 2]


def test_wrong_values_change_nothing_and_say_so():
    data = np.zeros(1, np.int64)
    program = chain(jit.compile(COUNT_UP), data, 1)
    for values, message in (((1,), "another number of base values"), ((data.ctypes.data, 1.5), "cannot be interpreted as an integer"),
                            ((data.ctypes.data, None), "cannot be interpreted"), (5, "not iterable")):
        with pytest.raises(TypeError, match=message):
            program(values)
    with pytest.raises(TypeError, match="run: takes the values of the bases in a tuple"):
        program()
    with pytest.raises(OverflowError):
        program((data.ctypes.data, 1 << 63))
    assert data[0] == 0


def test_tables_that_reach_outside_are_refused():
    with pytest.raises(ValueError, match="a step begins outside the frame of 2 slots"):
        Blueprint([(0, 3, 1)], [0, 0], "q", [], 0)
    with pytest.raises(ValueError, match="a patch is outside the frame of 2 slots or the 1 bases"):
        Blueprint([], [0, 0], "q", [(0, 1, 0)], 0)
    with pytest.raises(ValueError, match="a base is q, d, f or -, not 'x'"):
        Blueprint([], [], "x", [], 0)


def test_a_launcher_outlives_its_blueprint():
    data = np.zeros(2, np.int64)
    run = chain(jit.compile(COUNT_UP), data, 2)
    gc.collect()
    run((data.ctypes.data, 4))
    assert data.tolist() == [4, 4]


@pytest.mark.parametrize("release", [False, True])
def test_many_programs_run_side_by_side(release, restore_threads):
    threads.set_num_threads(2)
    outcomes = []

    def work():
        data = np.zeros(40, np.int64)
        programs = [chain(jit.compile(COUNT_UP), data, 10, 4) for _ in range(5)]
        for i in range(300):
            programs[i % 5]((data.ctypes.data, 1), release)
        outcomes.append((data == 300).all())

    workers = [threading.Thread(target=work) for _ in range(4)]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert outcomes == [True] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_dropped_programs_are_freed():
    data = np.zeros(40, np.int64)
    kernel = jit.compile(COUNT_UP)
    for _ in range(2):  # the first time memory is still being taken for good
        before = resident_bytes()
        for _ in range(300):
            chain(kernel, data, 40)((data.ctypes.data, 1))
    assert resident_bytes() - before < 1 << 20
    references = sys.getrefcount(None)
    program = chain(kernel, data, 1)
    for _ in range(1000):
        program((data.ctypes.data, 1))
    assert abs(sys.getrefcount(None) - references) < 100
