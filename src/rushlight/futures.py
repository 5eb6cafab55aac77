"""torch.futures: results that are not there yet.  https://docs.pytorch.org/docs/stable/futures.html"""
import concurrent.futures
import types


class Future:
    """A place for a result: one thread sets it, others wait for it, or say what is to be done with it.

    >>> future = torch.futures.Future()
    >>> doubled = future.then(lambda f: 2 * f.value())
    >>> future.set_result(3)
    >>> doubled.wait()
    6
    """

    __class_getitem__ = classmethod(types.GenericAlias)

    def __init__(self, *, devices=None):
        self._inner = concurrent.futures.Future()

    def done(self):
        """Whether the result (or an exception) is there."""
        return self._inner.done()

    def wait(self):
        """The result, as soon as it is there; the exception is raised."""
        return self._inner.result()

    def value(self):
        """The result.  RuntimeError where it is not there yet."""
        if not self.done():
            raise RuntimeError("Future.value: the future is not completed yet; use wait()")
        return self._inner.result()

    def set_result(self, result):
        """Give the result.  RuntimeError where there is one already."""
        if self.done():
            raise RuntimeError("Future can only be marked completed once")
        self._inner.set_result(result)

    def set_exception(self, result):
        """Give an exception, which whoever waits for the result gets."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._inner.set_exception(result)

    def then(self, callback):
        """A Future of callback(self), which is called as soon as this one is done."""
        follower = Future()

        def follow(_):
            try:
                follower.set_result(callback(self))
            except Exception as error:
                follower.set_exception(error)
        self._inner.add_done_callback(follow)
        return follower

    def add_done_callback(self, callback):
        """callback(self) as soon as this one is done."""
        self._inner.add_done_callback(lambda _: callback(self))


def collect_all(futures):
    """A Future of the list of these, done when all are."""
    futures, together = list(futures), Future()
    waiting = [len(futures)]

    def count(_):
        waiting[0] -= 1
        if waiting[0] == 0:
            together.set_result(futures)
    if not futures:
        together.set_result([])
    for future in futures:
        future.add_done_callback(count)
    return together


def wait_all(futures):
    """The results of all, in order."""
    return [f.wait() for f in collect_all(futures).wait()]
