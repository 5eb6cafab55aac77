"""What the code generator must know about a processor: vectors, registers, instructions, caches.

    level     vectors     registers   needs
    avx512    512 bits    32          avx512 f, bw, dq, vl, cd
    avx2      256 bits    16          avx2, fma, f16c
    sse2      128 bits    16          any x86-64
    neon      128 bits    32          any AArch64

Everything follows from the processor's feature flags; its name is not asked, because it lies in virtual machines.  Set
RUSHLIGHT_TARGET=avx512, avx2 or sse2 to use less than the host has.  Start with `host`; `x86_64` and `aarch64` give targets
to emit code for without running it.
"""
import ctypes
import functools
import os
import platform
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import llvmlite.binding as llvm

_AVX2 = ("avx2", "fma", "f16c")
_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd")
_BEFORE_AVX = ("cmov", "cx8", "cx16", "fxsr", "mmx", "movbe", "popcnt", "sahf", "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "xsave")
_V3 = [*_BEFORE_AVX, "avx", *_AVX2, "bmi", "bmi2", "lzcnt"]
_LEVELS = {  # level: LLVM's name for a processor of this kind, vector bits, vector registers, what it has at least
    "avx512": ("x86-64-v4", 512, 32, [*_V3, *_AVX512]),
    "avx2": ("x86-64-v3", 256, 16, _V3),
    "sse2": ("x86-64", 128, 16, ["cmov", "cx8", "fxsr", "mmx", "sse", "sse2"]),
    "neon": ("generic", 128, 32, ["neon", "fp-armv8"]),
}
_KB = 1024


@dataclass(frozen=True)
class Target:
    """One kind of processor.  Two targets are equal when the same code may run on both; caches only guide choices of size."""

    triple: str
    level: str
    features: str  # as LLVM takes them: "+avx2,-avx512f,..."
    l1_bytes: int = field(default=32 * _KB, compare=False)  # of data, for one core
    l2_bytes: int = field(default=1024 * _KB, compare=False)
    l3_bytes: int = field(default=8192 * _KB, compare=False)  # shared; the L2 where there is no L3

    @property
    def cpu(self):
        return _LEVELS[self.level][0]

    @property
    def vector_bits(self):
        return _LEVELS[self.level][1]

    @property
    def vector_registers(self):
        return _LEVELS[self.level][2]

    def lanes(self, element_bytes):
        """How many elements of this size one vector register holds."""
        return self.vector_bits // 8 // element_bytes

    def has(self, feature):
        """Whether LLVM's feature of this name is on: has("avx512bf16"), has("amx-bf16"), has("bf16")."""
        return "+" + feature in self.features.split(",")

    def loads_under_mask(self, element_bytes):
        """Whether vectors of elements of this size can be loaded under a mask by one instruction."""
        return self.level == "avx512" or (self.level == "avx2" and element_bytes >= 4)

    @property
    def stores_under_mask(self):
        """Whether a store under a mask costs little more than a store.  (That of AVX2 takes dozens of cycles on some processors.)"""
        return self.level == "avx512"

    @property
    def streamed_bytes(self):
        """From how many bytes on, read and written by one kernel, what it writes had better go past the caches: it would be gone before
        anybody reads it, and a store into a cache reads the memory that it writes over first.  (Measured: from half of the L3 on.)"""
        return min(self.l3_bytes // 2, 32 * 1024 * _KB)

    @property
    def converts_to_long(self):
        """Whether floats become integers of 64 bits by vectors."""
        return self.level in ("avx512", "neon")

    @property
    def has_fma(self):
        return self.level == "neon" or self.has("fma")

    @property
    def function_attributes(self):
        """Attributes every kernel is defined with.  Without the width LLVM may split vectors of 512 bits in two."""
        return f'nounwind "min-legal-vector-width"="{self.vector_bits}" "prefer-vector-width"="{self.vector_bits}"'

    def machine(self, quick=False):
        """LLVM's code generator for this target, in this thread; if `quick`, one that takes a third of the time to make slower code.

        Position independent code of the small model reads constants relative to the program counter, inside vector
        instructions; the large model, usual for a JIT, needs a register for the address of each.
        """
        machines = _here.__dict__.setdefault("machines", {})
        if (self, quick) not in machines:
            _initialize(self.triple)
            _set_options()
            machines[self, quick] = llvm.Target.from_triple(self.triple).create_target_machine(
                cpu=self.cpu, features=self.features, opt=0 if quick else 3, reloc="pic", codemodel="small", jit=True)
        return machines[self, quick]


_here = threading.local()


@functools.cache
def host():
    """The processor we run on, or less of it if RUSHLIGHT_TARGET says so."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    flags = llvm.get_host_cpu_features()
    wanted = os.environ.get("RUSHLIGHT_TARGET")
    if platform.machine().lower() in ("arm64", "aarch64"):
        offered = ["neon"]
    else:
        offered = [level for level in ("avx512", "avx2", "sse2") if all(flags.get(f) for f in _LEVELS[level][3])]
    if wanted and wanted not in offered:
        raise ValueError(f"RUSHLIGHT_TARGET is {wanted!r}; this processor offers {', '.join(offered)}")
    level = wanted or offered[0]
    return Target(triple, level, _restrict(flags, level), **cache_sizes())


def x86_64(level="avx2", triple="x86_64-unknown-linux-gnu"):
    """A target of exactly this level, for code that is looked at but not run."""
    return Target(triple, level, _flag_text(dict.fromkeys(_LEVELS[level][3], True), level))


def aarch64(triple="aarch64-unknown-linux-gnu"):
    """64-bit Arm with NEON, for code that is looked at but not run."""
    return Target(triple, "neon", _flag_text(dict.fromkeys(_LEVELS["neon"][3], True), "neon"))


def _restrict(flags, level):
    """The host's features as far as `level` goes; what it does not name stays as the host has it."""
    if level == "sse2":
        return x86_64("sse2").features
    if level == "avx2":  # avx512f, avx10.1, evex512, amx-tile, ...
        flags = {f: on and not f.startswith(("avx512", "avx10", "evex512", "amx")) for f, on in flags.items()}
    return _flag_text(flags, level)


def _flag_text(flags, level):
    if level == "avx512":
        flags = flags | {"prefer-256-bit": False}
    return ",".join(("+" if on else "-") + f for f, on in sorted(flags.items()))


@functools.cache
def _initialize(triple):
    """Load the back end that a triple needs; all of them only when it is not the host's."""
    if triple == llvm.get_process_triple():
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()


@functools.cache
def _set_options():
    """LLVM's search for cheaper induction variables takes a quarter of the time of code generation, and our loops have none to win."""
    llvm.set_option("", "-disable-lsr")


# Caches

def cache_sizes():
    """The bytes of each cache level that the system tells, as arguments of Target."""
    found = _sizes_of_macos() if sys.platform == "darwin" else _sizes_of_linux()
    if found.get(2) and not found.get(3):
        found[3] = found[2]
    return {f"l{level}_bytes": size for level, size in found.items() if size and level <= 3}


def _sizes_of_linux():
    sizes = {}
    folder = "/sys/devices/system/cpu/cpu0/cache/"
    try:
        for entry in os.listdir(folder):
            if entry.startswith("index"):
                level, kind, size = (Path(folder, entry, name).read_text().strip() for name in ("level", "type", "size"))
                if kind != "Instruction" and size.endswith("K"):
                    sizes[int(level)] = int(size[:-1]) * _KB
    except (OSError, ValueError):  # a container may hide the folder or parts of it
        pass
    return sizes


def _sizes_of_macos():
    sizes = {}
    system = ctypes.CDLL(None)
    for level, names in {1: ("hw.perflevel0.l1dcachesize", "hw.l1dcachesize"),
                         2: ("hw.perflevel0.l2cachesize", "hw.l2cachesize"), 3: ("hw.l3cachesize",)}.items():
        for name in names:
            value, length = ctypes.c_uint64(0), ctypes.c_size_t(8)
            if system.sysctlbyname(name.encode(), ctypes.byref(value), ctypes.byref(length), None, 0) == 0 and value.value:
                sizes[level] = value.value
                break
    return sizes
