"""A worker process: takes what the sampler gave, fetches the batch, sends it back, one after the other.

    loader -- ("fetch", [3, 1, 4]) -->  listener thread -> queue -> main thread -- ("batch", ...) --> loader

The listener always takes what comes, so that the loader never waits to send.  When the loader is gone, or wants no more, the listener
reads the end: the main thread stops after the batch in hand, and if that takes longer than GRACE seconds the process ends without it.

Messages to a worker: ("fetch", what the sampler gave), ("restart", None).  From it, one for each: ("batch", batch), ("error", WorkerError),
("exhausted", None) at the end of a stream, ("ready", None) after a restart.  Start with `main`.
"""
import os
import pickle
import queue
import random
import signal
import threading
import time
import traceback

import numpy as np

import rushlight as torch

from .fetching import Stream, fetcher
from .transport import Channel, close_loaders_ends, packed

GRACE = 5.0     # seconds
_LOOK = 5.0     # seconds between two looks whether the parent process still lives
_info = None


class WorkerInfo:
    """What a worker knows of itself: `id`, `num_workers`, `seed`, and `dataset`, its own copy."""

    def __init__(self, **facts):
        self.__dict__.update(facts)

    def __setattr__(self, name, value):
        raise RuntimeError(f"Cannot assign attributes to {type(self).__name__} objects")

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.__dict__.items())})"


def get_worker_info():
    """In a worker process its WorkerInfo, elsewhere None
    (https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.get_worker_info).
    """
    return _info


class WorkerError:
    """An exception that was raised in a worker, with its traceback as text."""

    def __init__(self, error, number):
        self.kind, self.name = type(error), type(error).__name__
        self.where = f"in DataLoader worker process {number}"
        self.text = "".join(traceback.format_exception(error))
        try:
            pickle.dumps(self.kind)
        except Exception:  # a class that only the worker knows
            self.kind = RuntimeError

    def reraise(self):
        """Raise an exception of the same class, which tells where it came from."""
        message = f"Caught {self.name} {self.where}.\nOriginal {self.text}"
        if self.kind is KeyError:
            message = _Shown(message)
        elif getattr(self.kind, "message", None):
            raise self.kind(message=message)
        try:
            error = self.kind(message)
        except Exception:  # a class that is not made of one message
            error = RuntimeError(message)
        raise error


class _Shown(str):
    """A string that is its own repr: KeyError would show the traceback in one line."""

    def __repr__(self):
        return self


def main(connection, number, count, base_seed, dataset, batched, collate_fn, drop_last, initialize):
    """Run worker `number` of `count` until the loader wants no more."""
    close_loaders_ends()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    channel, tasks = Channel(connection), queue.SimpleQueue()
    threading.Thread(target=_listen, args=(channel, os.getppid(), tasks), daemon=True).start()
    try:
        _work(channel, tasks, number, count, base_seed, dataset, (batched, collate_fn, drop_last), initialize)
    except (KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        pass  # the loader's process has been interrupted too, or is gone
    finally:
        channel.close()


def _listen(channel, parent, tasks):
    try:
        while True:
            while not channel.connection.poll(_LOOK):
                if os.getppid() != parent:
                    raise EOFError
            try:
                tasks.put(channel.receive())
            except (EOFError, OSError):
                raise
            except Exception as error:  # what a sampler gave cannot be unpickled here
                tasks.put(("unreadable", error))
    except (EOFError, OSError):
        tasks.put(None)
    time.sleep(GRACE)
    os._exit(1)


def _work(channel, tasks, number, count, base_seed, dataset, how, initialize):
    global _info
    torch.set_num_threads(1)
    seed = base_seed + number
    random.seed(seed)
    torch.manual_seed(seed)
    np.random.seed(np.random.SeedSequence([number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]).generate_state(4))
    _info = WorkerInfo(id=number, num_workers=count, seed=seed, dataset=dataset)
    failure = None
    try:
        if initialize is not None:
            initialize(number)
    except Exception as error:
        failure = error
    fetch, exhausted = _fetcher(failure, dataset, how), False
    while (task := tasks.get()) is not None:
        kind, wanted = task
        if kind == "restart":
            fetch, exhausted = _fetcher(failure, dataset, how), False
            channel.send(("ready", None))
        elif kind == "unreadable":
            channel.send(("error", WorkerError(wanted, number)))
        elif not exhausted:
            kind, message = _answer(fetch, wanted, number)
            exhausted = kind == "exhausted"
            channel.send_packed(message)
        del task, wanted


def _fetcher(failure, dataset, how):
    """The function that fetches; where the worker could not begin, one that says why."""
    if failure is None:
        try:
            return fetcher(dataset, *how)
        except Exception as error:
            failure = error

    def fail(wanted):
        raise failure
    return fail


def _answer(fetch, wanted, number):
    """(kind, packed message) for a batch that is wanted."""
    try:
        return "batch", packed(("batch", fetch(wanted)))
    except Exception as error:
        if isinstance(error, StopIteration) and isinstance(fetch, Stream):
            return "exhausted", packed(("exhausted", None))
        return "error", packed(("error", WorkerError(error, number)))
