"""The loader's side of its worker processes: who gets which task, whose batch comes next, and that nobody waits for the dead.

    tasks     0   1   2   3   4 ...      given round and round, `prefetch_factor` ahead for each worker
    worker    0   1   0   1   0          batches come back in the order of the tasks (`in_order`), or as they are ready

Each worker has a channel of its own and answers in order, so the next batch is the next message of the worker whose turn it is.  Waiting
for one also waits for the deaths of all.  The workers end with the iterator: when it is exhausted, dropped, or the process ends.  Start
with `WorkerIterator.__next__`.
"""
import collections
import multiprocessing
import os
import signal
import time
import weakref
from multiprocessing.connection import wait

from ...runtime.recorder import here
from . import worker
from .transport import Channel


class Workers:
    """The processes, their channels, and how many tasks each has in hand."""

    def __init__(self, loader, base_seed):
        context = loader.multiprocessing_context or multiprocessing.get_context()
        self.owner, self.processes, self.channels, self.in_hand, self.stopped = os.getpid(), [], [], [], False
        here.recorder.flush()  # what was recorded is not to be run once more in each child
        for number in range(loader.num_workers):
            channel, theirs = Channel.pair(context)
            arguments = (theirs, number, loader.num_workers, base_seed, loader.dataset, loader.batched, loader.collate_fn,
                         loader.drop_last, loader.worker_init_fn)
            process = context.Process(target=worker.main, args=arguments, daemon=True)
            try:
                process.start()
            except BaseException:
                self.stop()
                raise
            finally:
                theirs.close()
            self.processes.append(process)
            self.channels.append(channel)
            self.in_hand.append(0)

    def send(self, number, task):
        """Give a task to a worker."""
        try:
            self.channels[number].send(task)
        except OSError:
            self.raise_death(number)
        self.in_hand[number] += 1

    def receive(self, numbers, timeout):
        """(worker, message) of the first of these workers that has one; RuntimeError where one has died, or after `timeout` seconds."""
        connections = {self.channels[number].connection: number for number in numbers}
        deaths = {process.sentinel: number for number, process in enumerate(self.processes)}
        ready = wait([*connections, *deaths], timeout or None)
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
        answering = [connections[found] for found in ready if found in connections]
        if not answering:
            self.raise_death(deaths[ready[0]])
        try:
            message = self.channels[answering[0]].receive()
        except (EOFError, OSError):
            self.raise_death(answering[0])
        except Exception as error:
            message = "unreadable", error
        self.in_hand[answering[0]] -= 1
        return answering[0], message

    def raise_death(self, number):
        """Tell of a worker that has died, and stop the others."""
        process = self.processes[number]
        process.join(worker.GRACE)
        code = process.exitcode
        self.stop()
        if code is not None and code < 0:
            raise RuntimeError(f"DataLoader worker (pid {process.pid}) is killed by signal: {signal.strsignal(-code)}. ")
        raise RuntimeError(f"DataLoader worker (pid {process.pid}) exited unexpectedly with exit code {code}. Details are lost due to "
                           "multiprocessing. Rerunning with num_workers=0 may give better error trace.")

    def restart(self, timeout):
        """Begin a new epoch; what is still under way of the last one is thrown away."""
        for number in range(len(self.processes)):
            self.send(number, ("restart", None))
        for number in range(len(self.processes)):
            while self.receive([number], timeout)[1][0] != "ready":
                pass
        self.in_hand = [0] * len(self.processes)

    def stop(self):
        """End the processes: in peace, for as long as a batch may take, and then not."""
        if os.getpid() != self.owner:
            return  # the copy of a forked child
        self.stopped = True
        for channel in self.channels:
            channel.close()  # the workers read the end
        deadline = time.monotonic() + worker.GRACE
        for end in (lambda process: None, multiprocessing.process.BaseProcess.terminate, multiprocessing.process.BaseProcess.kill):
            for process in self.processes:
                if process.is_alive():
                    end(process)
            for process in self.processes:
                process.join(max(0.0, deadline - time.monotonic()))
            deadline = time.monotonic() + 1


class WorkerIterator:
    """The batches of one epoch after the other, of a DataLoader with worker processes."""

    def __init__(self, loader, indices, base_seed):
        self.timeout, self.in_order, self.persistent = loader.timeout, loader.in_order, loader.persistent_workers
        self.count, self.ahead = loader.num_workers, loader.prefetch_factor * loader.num_workers
        self.sampler = loader.batch_sampler if loader.batched else loader.sampler
        self.workers = Workers(loader, base_seed)
        self.stop = weakref.finalize(self, self.workers.stop)
        self.begin(indices)

    def begin(self, indices):
        """Give out the first tasks of an epoch."""
        self.indices, self.ended = indices, False
        self.active = list(range(self.count))  # all workers but those whose stream has ended
        self.turns = collections.deque()       # the workers that the tasks under way were given to, in order
        self.next_worker = 0
        for _ in range(self.ahead):
            self.give()

    def restart(self, indices):
        """The next epoch, with the same processes."""
        self.workers.restart(self.timeout)
        self.begin(indices)

    def give(self):
        """Give the next task to the worker whose turn it is, or out of order to the one that has least to do."""
        if self.ended or not self.active:
            return
        try:
            wanted = next(self.indices)
        except StopIteration:
            self.ended = True
            return
        if self.in_order:
            number = next((n for n in self.active if n >= self.next_worker), self.active[0])
            self.next_worker = number + 1
        else:
            number = min(self.active, key=self.workers.in_hand.__getitem__)
        self.workers.send(number, ("fetch", wanted))
        self.turns.append(number)

    def __iter__(self):
        return self

    def __len__(self):
        return len(self.sampler)

    def __next__(self):
        try:
            return self.next_batch()
        except Exception:
            raise
        except BaseException:  # Ctrl-C, in the middle of anything: nobody knows any more whose turn it is
            self.stop()
            raise
        finally:
            if self.workers.stopped:
                self.turns.clear()

    def next_batch(self):
        while self.turns:
            number, (kind, content) = self.workers.receive([self.turns[0]] if self.in_order else set(self.turns), self.timeout)
            self.turns.remove(number)
            if kind == "exhausted":
                self.active.remove(number)
                self.turns = collections.deque(turn for turn in self.turns if turn != number)
                self.workers.in_hand[number] = 0
            self.give()
            if kind == "error":
                content.reraise()
            if kind == "unreadable":
                raise content
            if kind == "batch":
                return content
        if not self.persistent:
            self.stop()
        raise StopIteration
