"""torch.utils.benchmark: how long a statement takes, measured so that figures can be compared.

    timer = Timer("torch.relu(x)", globals={"x": torch.randn(1000)})
    print(timer.blocked_autorange())          a Measurement: median, spread

The statement is run in blocks that take long enough for the clock; before the clock is read, what was recorded is run.
https://docs.pytorch.org/docs/stable/benchmark_utils.html
"""
import statistics
import time
import timeit
from enum import Enum

import numpy as np

import rushlight as torch

from ..runtime.recorder import here

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def timer():
    """The clock, once everything that was recorded has run."""
    here.recorder.flush()
    return time.perf_counter()


class Language(Enum):
    """What a statement is written in."""

    PYTHON, CPP = 0, 1


def select_unit(t):
    """The unit in which a time (in seconds) is best written, and how many seconds it is."""
    for unit, name in _UNITS:
        if t >= unit:
            return name, unit
    return "ns", 1e-9


def _text(seconds):
    name, unit = select_unit(seconds)
    return f"{seconds / unit:.2f} {name}"


class TaskSpec:
    """What is measured: a statement, and words that say what it is about."""

    def __init__(self, stmt, setup="", global_setup="", label=None, sub_label=None, description=None, env=None, num_threads=1):
        self.stmt, self.setup, self.global_setup, self.label = stmt, setup, global_setup, label
        self.sub_label, self.description, self.env, self.num_threads = sub_label, description, env, num_threads

    @property
    def title(self):
        """The label, or the statement."""
        title = self.label or self.stmt
        return title + (f": {self.sub_label}" if self.sub_label else "")


class Measurement:
    """Times of a statement: `raw_times` of blocks of `number_per_run` runs each; `times` are of one run, in seconds."""

    def __init__(self, number_per_run, raw_times, task_spec, metadata=None):
        self.number_per_run, self.raw_times, self.task_spec, self.metadata = number_per_run, list(raw_times), task_spec, metadata

    @property
    def times(self):
        """Seconds of one run, block by block."""
        return [t / self.number_per_run for t in self.raw_times]

    median = property(lambda self: statistics.median(self.times))
    mean = property(lambda self: statistics.fmean(self.times))
    has_warnings = property(lambda self: self.iqr / self.median > 0.1 if self.raw_times else False)
    significant_figures = property(lambda self: 4 if self.iqr / self.median < 0.01 else 3 if self.iqr / self.median < 0.1 else 2)
    stmt, label, sub_label, description, num_threads, env, title = (property(lambda self, name=name: getattr(self.task_spec, name)) for name in (
        "stmt", "label", "sub_label", "description", "num_threads", "env", "title"))

    @property
    def iqr(self):
        """The distance between the lower and the upper quartile, in seconds."""
        low, high = np.quantile(self.times, [0.25, 0.75])
        return float(high - low)

    def meets_confidence(self, threshold=0.1):
        """Whether the spread is below this part of the median."""
        return self.iqr / self.median < threshold

    @staticmethod
    def merge(measurements):
        """Measurements of the same task together."""
        groups = {}
        for m in measurements:
            groups.setdefault((tuple(vars(m.task_spec).values())), []).append(m)
        merged = []
        for group in groups.values():
            times = [t for m in group for t in m.times]
            merged.append(Measurement(1, times, group[0].task_spec))
        return merged

    def __repr__(self):
        lines = [f"<torch.utils.benchmark.utils.common.Measurement object at {hex(id(self))}>", self.title]
        lines += [self.task_spec.description] if self.task_spec.description else []
        lines += [f"setup:\n  {self.task_spec.setup}"] if self.task_spec.setup and self.task_spec.setup != "pass" else []
        count = len(self.raw_times)
        if count == 1:
            lines.append(f"  {_text(self.median)}")
        else:
            lines.append(f"  Median: {_text(self.median)}\n  IQR:    {_text(self.iqr)}")
        runs = "runs" if self.number_per_run != 1 else "run"
        measured = f"{count} measurement{'s' if count != 1 else ''}, {self.number_per_run} {runs}" + (" per measurement" if count != 1 else "")
        lines.append(f"  {measured}, {self.num_threads} thread{'s' if self.num_threads != 1 else ''}")
        return "\n".join(lines)


class Timer:
    """Measures a statement of Python.

    stmt, setup: as for `timeit.Timer`; `globals`: what names in them mean
    label, sub_label, description, env: words for tables;  num_threads: on how many threads it runs
    """

    def __init__(self, stmt="pass", setup="pass", global_setup="", timer=timer, globals=None, label=None, sub_label=None, description=None,
                 env=None, num_threads=1, language=Language.PYTHON):
        if language not in (Language.PYTHON, "python", "Python"):
            raise RuntimeError("torch.utils.benchmark.Timer: Rushlight measures statements of Python only")
        names = dict(globals or {})
        names.setdefault("torch", torch)
        self._timer = timeit.Timer(stmt=stmt, setup=setup, timer=timer, globals=names)
        self._task_spec = TaskSpec(str(stmt), str(setup), global_setup, label, sub_label, description, env, num_threads)

    def _timeit(self, number):
        before = torch.get_num_threads()
        torch.set_num_threads(self._task_spec.num_threads)
        try:
            return max(self._timer.timeit(number), 1e-9)
        finally:
            torch.set_num_threads(before)

    def timeit(self, number=1_000_000):
        """A Measurement of one block of `number` runs, after a hundredth of it to warm up."""
        self._timeit(max(number // 100, 2))
        return Measurement(number, [self._timeit(number)], self._task_spec)

    def _block(self, min_run_time):
        """How many runs make a block that takes a thousandth of the whole, and longer than reading the clock."""
        number, overhead = 1, min(self._timeit(0) for _ in range(5))
        while True:
            taken = self._timeit(number)
            if taken >= max(min_run_time / 1000, 1e4 * overhead if taken < 1e-3 else 0) or taken > min_run_time:
                return number
            number *= 10

    def blocked_autorange(self, callback=None, min_run_time=0.2):
        """A Measurement of as many blocks as take `min_run_time` seconds."""
        number, times = self._block(min_run_time), []
        while sum(times) < min_run_time:
            times.append(self._timeit(number))
            if callback is not None:
                callback(number, times[-1])
        return Measurement(number, times, self._task_spec)

    def adaptive_autorange(self, threshold=0.1, *, min_run_time=0.01, max_run_time=10.0, callback=None):
        """A Measurement of as many blocks as it takes until the spread is below `threshold` of the median."""
        number, times = self._block(min_run_time), []
        while sum(times) < max_run_time:
            times.append(self._timeit(number))
            if callback is not None:
                callback(number, times[-1])
            if sum(times) >= min_run_time and len(times) > 3 and Measurement(number, times, self._task_spec).meets_confidence(threshold):
                break
        return Measurement(number, times, self._task_spec)

    def collect_callgrind(self, *_, **__):
        """RuntimeError: instructions are not counted."""
        raise RuntimeError("torch.utils.benchmark.Timer.collect_callgrind: Rushlight counts no instructions; use blocked_autorange")


class Compare:
    """Measurements side by side: a row for each sub_label, a column for each description, a table for each label."""

    def __init__(self, results):
        self._results = list(results)

    def extend_results(self, results):
        """More measurements."""
        self._results.extend(results)

    def trim_significant_figures(self):
        """Times are written with three figures anyway."""

    def colorize(self, rowwise=False):
        """Tables have no colours."""

    highlight_warnings = trim_significant_figures

    def __str__(self):
        results = Measurement.merge(self._results)
        tables = []
        for label in dict.fromkeys(m.label for m in results):
            mine = [m for m in results if m.label == label]
            name, unit = select_unit(min(m.median for m in mine))
            columns = list(dict.fromkeys(m.description or m.env or "" for m in mine))
            rows = dict.fromkeys((m.num_threads, m.sub_label or m.stmt) for m in mine)
            cells = [["", *columns]]
            for threads, row in rows:
                found = {m.description or m.env or "": m for m in mine if (m.num_threads, m.sub_label or m.stmt) == (threads, row)}
                cells.append([row if threads == 1 else f"{row} ({threads} threads)",
                              *(f"{found[c].median / unit:.3g}" if c in found else "" for c in columns)])
            widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
            lines = ["  |  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths))) for line in cells]
            tables.append("\n".join([f"[ {label or ''} ]", *lines, f"Times are in {name}."]))
        return "\n\n".join(tables)

    def print(self):
        """Print the tables."""
        print(self)
