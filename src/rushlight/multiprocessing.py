"""torch.multiprocessing: Python's multiprocessing, whose queues and pipes take tensors (by their content), and `spawn`.

    torch.multiprocessing.spawn(work, args=(model,), nprocs=2)            work(0, model) and work(1, model), each in a process

Processes are always started afresh ("spawn"), unless a start method is set: a forked one would not have the threads that compute.
https://docs.pytorch.org/docs/stable/multiprocessing.html
"""
import multiprocessing as _multiprocessing
import sys
import traceback
from multiprocessing import *  # noqa: F403
from multiprocessing import connection, get_context, pool  # noqa: F401

_strategy = ["file_descriptor"]


class ProcessException(Exception):
    """What a process of `spawn` ended with: `error_index` says which, `error_pid` its number."""

    def __init__(self, msg, error_index, pid):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self):
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """An exception was raised in a process."""


class ProcessExitedException(ProcessException):
    """A process ended with `exit_code`, or by a signal."""

    def __init__(self, msg, error_index, pid, exit_code, signal_name=None):
        super().__init__(msg, error_index, pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self):
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _work(fn, number, args, errors):
    try:
        fn(number, *args)
    except KeyboardInterrupt:
        pass
    except BaseException:
        errors.put(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """The processes that `start_processes` started."""

    def __init__(self, processes, error_queues):
        self.processes, self.error_queues = processes, error_queues
        self._running = {process.sentinel: number for number, process in enumerate(processes)}

    def pids(self):
        """Their numbers."""
        return [process.pid for process in self.processes]

    def join(self, timeout=None, grace_period=None):
        """Wait for some to end; True when all have.  If one failed, the others are ended and what it raised is raised here."""
        for sentinel in connection.wait(list(self._running), timeout) if self._running else ():
            number = self._running.pop(sentinel)
            process = self.processes[number]
            process.join()
            if process.exitcode:
                self._fail(number, process, grace_period)
        return not self._running

    def _fail(self, number, failed, grace_period):
        for process in self.processes:
            if process.is_alive():
                process.join(grace_period) if grace_period else process.terminate()
        for process in self.processes:
            process.join()
        queue = self.error_queues[number]
        if not queue.empty():
            raise ProcessRaisedException(f"\n\n-- Process {number} terminated with the following error:\n{queue.get()}", number, failed.pid)
        raise ProcessExitedException(f"process {number} terminated with exit code {failed.exitcode}", number, failed.pid, failed.exitcode)


SpawnContext = ProcessContext


def start_processes(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """`fn(number, *args)` in `nprocs` processes; waits for them unless `join` is False, and then returns their context."""
    maker = get_context(start_method)
    queues = [maker.SimpleQueue() for _ in range(nprocs)]
    processes = [maker.Process(target=_work, args=(fn, number, args, queue), daemon=daemon) for number, queue in enumerate(queues)]
    for process in processes:
        process.start()
    context = ProcessContext(processes, queues)
    if not join:
        return context
    while not context.join():
        pass
    return None


def spawn(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """As `start_processes`, with processes that are started afresh."""
    return start_processes(fn, args, nprocs, join, daemon, start_method="spawn")


def get_all_sharing_strategies():
    """The ways to hand memory to another process that `set_sharing_strategy` takes."""
    return {"file_descriptor", "file_system"}


def set_sharing_strategy(new_strategy):
    """Taken as it is: tensors are sent by their content."""
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"set_sharing_strategy: {new_strategy!r} is none of {sorted(get_all_sharing_strategies())}")
    _strategy[:] = [new_strategy]


def get_sharing_strategy():
    """What `set_sharing_strategy` was last told."""
    return _strategy[0]


def __getattr__(name):
    return getattr(_multiprocessing, name)
