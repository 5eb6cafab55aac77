"""torch.profiler: how long each call takes.

    with torch.profiler.profile(record_shapes=True) as prof:
        model(x).sum().backward()
    print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=10))
    prof.export_chrome_trace("trace.json")                              for chrome://tracing or https://ui.perfetto.dev

Usually calls are recorded and run together, fused.  To tell one from the other, every call runs at once while a profile is recorded, so
the sum of the times is that of the program without fusion; `RUSHLIGHT_DEBUG=time` prints the times of the fused kernels.
A backward pass is one call.  https://docs.pytorch.org/docs/stable/profiler.html

`profile` records, by a mode (tensors/dispatch.py) that sees every call; `EventList` adds up and prints.
"""
import contextlib
import functools
import gzip
import json
import os
import threading
import time
from collections import namedtuple
from enum import Enum

from ._paths import open_below
from .runtime.recorder import here
from .tensors.dispatch import TorchFunctionMode
from .tensors.tensor import Tensor

_recording = threading.local()


class ProfilerAction(Enum):
    """What a profile does in a step."""

    NONE, WARMUP, RECORD, RECORD_AND_SAVE = range(4)


class ProfilerActivity(Enum):
    """What can be measured; here, calls on the CPU."""

    CPU, XPU, CUDA, MTIA, HPU, PrivateUse1 = range(6)


DeviceType = Enum("DeviceType", ["CPU", "CUDA"], start=0)
ExecutionTraceObserver = namedtuple("ExecutionTraceObserver", [])


def supported_activities():
    """What can be measured."""
    return {ProfilerActivity.CPU}


def kineto_available():
    """Whether PyTorch's own recorder is there: no."""
    return False


class FunctionEvent:
    """One call: `name`, `time_range` (microseconds), `input_shapes`, and what was called inside (`cpu_children`)."""

    count, device_type, is_async, is_remote, node_id = 1, DeviceType.CPU, False, False, -1
    device_time_total = self_device_time_total = cuda_time_total = cpu_memory_usage = self_cpu_memory_usage = flops = 0

    def __init__(self, name, start, thread, input_shapes, is_user_annotation):
        self.name = self.key = name
        self.start, self.end, self.thread, self.input_shapes = start, start, thread, input_shapes
        self.is_user_annotation, self.cpu_children, self.cpu_parent = is_user_annotation, [], None

    @property
    def cpu_time_total(self):
        """Microseconds from its begin to its end."""
        return self.end - self.start

    cpu_time = cpu_time_total

    @property
    def self_cpu_time_total(self):
        """Microseconds without what was called inside."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def time_range(self):
        """Begin and end in microseconds."""
        return _Interval(self.start, self.end)

    def __repr__(self):
        return f"<FunctionEvent name={self.name} cpu_time={_time(self.cpu_time_total)} input_shapes={self.input_shapes}>"


class _Interval(namedtuple("Interval", ["start", "end"])):
    def elapsed_us(self):
        return self.end - self.start


class FunctionEventAvg:
    """All calls of one name (and of one shape): how many, and their times in microseconds."""

    device_type, is_async, is_remote, node_id = DeviceType.CPU, False, False, -1
    device_time_total = self_device_time_total = cuda_time_total = cpu_memory_usage = self_cpu_memory_usage = flops = 0

    def __init__(self, key, input_shapes):
        self.key, self.input_shapes, self.count = key, input_shapes, 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0

    def add(self, event):
        """One call more."""
        self.count += event.count
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total

    @property
    def cpu_time(self):
        """Microseconds a call."""
        return self.cpu_time_total / self.count

    def __repr__(self):
        return f"<FunctionEventAvg key={self.key} self_cpu_time={_time(self.self_cpu_time_total)} cpu_time={_time(self.cpu_time)}>"


def _time(us):
    """Microseconds as text."""
    for unit, name in ((1e6, "s"), (1e3, "ms")):
        if us >= unit:
            return f"{us / unit:.3f}{name}"
    return f"{us:.3f}us"


class EventList(list):
    """Calls, or what they add up to."""

    @property
    def self_cpu_time_total(self):
        """Microseconds of all together."""
        return sum(event.self_cpu_time_total for event in self)

    def key_averages(self, group_by_input_shapes=False, group_by_stack_n=0, group_by_overload_name=False):
        """The calls of each name (and shapes) together."""
        groups = {}
        for event in self:
            shapes = event.input_shapes if group_by_input_shapes else []
            groups.setdefault((event.name, str(shapes)), FunctionEventAvg(event.name, shapes)).add(event)
        return EventList(groups.values())

    def total_average(self):
        """All together."""
        total = FunctionEventAvg("Total", [])
        for event in self:
            total.add(event)
        return total

    def table(self, sort_by=None, row_limit=100, max_src_column_width=75, max_name_column_width=55, max_shapes_column_width=80, header=None,
              top_level_events_only=False, **_):
        """A table as text; `sort_by`: "cpu_time", "cpu_time_total", "self_cpu_time_total" or "count", the largest first."""
        events = [e for e in self if not top_level_events_only or getattr(e, "cpu_parent", None) is None]
        if sort_by is not None:
            if sort_by not in ("cpu_time", "cpu_time_total", "self_cpu_time_total", "count"):
                sort_by = sort_by.replace("cuda", "cpu").replace("device", "cpu")
            events.sort(key=lambda event: getattr(event, sort_by), reverse=True)
        total, shapes = self.self_cpu_time_total or 1.0, any(event.input_shapes for event in events)
        rows = [("Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls") + (("Input Shapes",) if shapes else ())]
        for event in events[:row_limit] if row_limit > 0 else events:
            name = event.key if len(event.key) <= max_name_column_width else event.key[:max_name_column_width - 3] + "..."
            rows.append((name, f"{100 * event.self_cpu_time_total / total:.2f}%", _time(event.self_cpu_time_total),
                         f"{100 * event.cpu_time_total / total:.2f}%", _time(event.cpu_time_total), _time(event.cpu_time), str(event.count))
                        + ((str(event.input_shapes)[:max_shapes_column_width],) if shapes else ()))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        rule = "  ".join("-" * width for width in widths)
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
        return "\n".join([*([header] if header else []), rule, lines[0], rule, *lines[1:], rule,
                          f"Self CPU time total: {_time(self.self_cpu_time_total)}", ""])

    def export_chrome_trace(self, path):
        """Write the calls as JSON for chrome://tracing."""
        trace = {"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": [
            {"ph": "X", "cat": "user_annotation" if e.is_user_annotation else "cpu_op", "name": e.name, "pid": os.getpid(), "tid": e.thread,
             "ts": e.start, "dur": e.cpu_time_total, "args": {"Input Dims": e.input_shapes} if e.input_shapes else {}} for e in self]}
        with gzip.open(path, "wt") if str(path).endswith(".gz") else open(path, "w") as file:
            json.dump(trace, file)

    def __str__(self):
        return self.table()


class _Mode(TorchFunctionMode):
    """Runs every call at once, and notes when."""

    def __init__(self, events, record_shapes):
        self.events, self.record_shapes, self.open = events, record_shapes, []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.begin(_known_as(func), args)
        try:
            result = func(*args, **(kwargs or {}))
            here.recorder.flush()
        finally:
            self.end()
        return result

    def begin(self, name, args=(), is_user_annotation=False):
        shapes = [list(a.shape) if isinstance(a, Tensor) else [] for a in args] if self.record_shapes else []
        here.recorder.flush()
        event = FunctionEvent(name, time.perf_counter_ns() / 1000, threading.get_ident(), shapes, is_user_annotation)
        if self.open:
            event.cpu_parent = self.open[-1]
            self.open[-1].cpu_children.append(event)
        self.open.append(event)
        self.events.append(event)

    def end(self):
        self.open.pop().end = time.perf_counter_ns() / 1000


def _known_as(function):
    name = getattr(function, "__name__", str(function))
    if name in ("backward", "grad"):
        return f"autograd::{name}"
    return f"aten::{name.strip('_') if name.startswith('__') else name}"


class record_function(contextlib.ContextDecorator):
    """A block (or a decorated function) that a profile shows under this name."""

    def __init__(self, name, args=None):
        self.name, self._modes = name, []

    def __enter__(self):
        mode = getattr(_recording, "mode", None)
        self._modes.append(mode)
        if mode is not None:
            mode.begin(self.name, is_user_annotation=True)
        return self

    def __exit__(self, *_):
        mode = self._modes.pop()
        if mode is not None:
            here.recorder.flush()
            mode.end()


def _default_schedule_fn(step):
    return ProfilerAction.RECORD


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """What to do in each step: leave `skip_first` out, then again and again (or `repeat` times) wait, warm up, and record `active` steps.
    https://docs.pytorch.org/docs/stable/profiler.html#torch.profiler.schedule
    """
    if min(wait, warmup, active, repeat, skip_first) < 0 or active == 0:
        raise AssertionError("Invalid profiler schedule arguments")

    def action(step):
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        step += wait if skip_first_wait else 0
        turn, step = divmod(step, wait + warmup + active)
        if repeat and turn >= repeat or step < wait:
            return ProfilerAction.NONE
        if step < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if step == wait + warmup + active - 1 else ProfilerAction.RECORD
    return action


def tensorboard_trace_handler(dir_name, worker_name=None, use_gzip=False):
    """For `on_trace_ready`: writes each trace into a file of its own in this directory."""
    def handler(prof):
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{os.uname().nodename}_{os.getpid()}"
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker}.{time.time_ns()}.pt.trace.json{'.gz' if use_gzip else ''}"))
    return handler


class profile:
    """A block whose calls are measured.

    schedule: what is done in each step (`step()` says that one is over); else all is recorded
    on_trace_ready: called with this profile when a recording is complete
    record_shapes: note the shapes of the arguments
    activities, profile_memory, with_stack, with_flops, with_modules and the rest are taken, and change nothing.
    """

    def __init__(self, *, activities=None, schedule=None, on_trace_ready=None, record_shapes=False, profile_memory=False, with_stack=False,
                 with_flops=False, with_modules=False, **_):
        self.schedule, self.on_trace_ready, self.record_shapes = schedule or _default_schedule_fn, on_trace_ready, record_shapes
        self._steps_named, self.step_num, self.current_action = schedule is not None, 0, ProfilerAction.NONE
        self.profiler, self._events, self._mode, self._step, self._metadata = self, EventList(), None, None, {}

    def start(self):
        """Begin, with the first step."""
        self._go_to(self.schedule(self.step_num))

    def stop(self):
        """End; a recording under way is complete."""
        recorded = self._mode is not None
        self._end()
        if recorded and self.on_trace_ready is not None:
            self.on_trace_ready(self)
        self.current_action = ProfilerAction.NONE

    def step(self):
        """A step is over, the next begins."""
        before, self.step_num = self.current_action, self.step_num + 1
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._end()
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
        elif self._step is not None:
            self._step.__exit__(None, None, None)
            self._step = None
        self._go_to(self.schedule(self.step_num))

    def _go_to(self, action):
        self.current_action = action
        records = action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if records and self._mode is None:
            self._events = EventList()
            self._mode = _recording.mode = _Mode(self._events, self.record_shapes).__enter__()
        elif not records:
            self._end()
        if records and self._steps_named:
            self._step = record_function(f"ProfilerStep#{self.step_num}").__enter__()

    def _end(self):
        if self._step is not None:
            self._step.__exit__(None, None, None)
            self._step = None
        if self._mode is not None:
            here.recorder.flush()
            self._mode.__exit__(None, None, None)
            self._mode = _recording.mode = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def events(self):
        """The calls, in order."""
        return self._events

    @property
    def function_events(self):
        """The calls, in order."""
        return self._events

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0, group_by_overload_name=False):
        """The calls of each name (and shapes) together: an EventList, whose `table()` is text."""
        return self._events.key_averages(group_by_input_shape)

    def export_chrome_trace(self, path):
        """Write the calls as JSON for chrome://tracing (compressed where the name ends in .gz)."""
        self._events.export_chrome_trace(path)

    def add_metadata(self, key, value):
        """Keep a word about this profile."""
        self._metadata[key] = value

    add_metadata_json = add_metadata


class autograd_profile(profile):
    """torch.autograd.profiler.profile, the older form: `enabled`, and no steps."""

    def __init__(self, enabled=True, *, record_shapes=False, **_):
        super().__init__(record_shapes=record_shapes)
        self.enabled = enabled

    def __enter__(self):
        if self.enabled:
            self.start()
        return self

    @property
    def self_cpu_time_total(self):
        """Microseconds of all calls together."""
        return self._events.self_cpu_time_total

    def table(self, **settings):
        """The calls as a table."""
        return self._events.table(**settings)

    def total_average(self):
        """All calls together."""
        return self._events.total_average()

    def __str__(self):
        return str(self._events)


emit_nvtx = emit_itt = functools.partial(contextlib.nullcontext, None)
__getattr__ = open_below(__name__)
