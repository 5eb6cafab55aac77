"""RemovableHandle: what every register_..._hook returns, and what takes the hook away again.

    handle = module.register_forward_hook(hook)
    with handle: ...        or        handle.remove()

The hooks stand in an ordered dictionary that their owner calls in order; a handle knows that dictionary weakly, so that a
kept handle keeps no module alive.
"""
import itertools
import weakref
from collections import OrderedDict

_ids = itertools.count()


class RemovableHandle:
    """Removes one hook.  `extra_dict` are dictionaries that hold flags of the same hook under the same id."""

    def __init__(self, hooks_dict, *, extra_dict=None):
        extra = [] if extra_dict is None else extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.id = next(_ids)
        self._dictionaries = [weakref.ref(d) for d in (hooks_dict, *extra)]

    @property
    def hooks_dict_ref(self):
        return self._dictionaries[0]

    def remove(self):
        for reference in self._dictionaries:
            dictionary = reference()
            if dictionary is not None:
                dictionary.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def __getstate__(self):
        return [reference() for reference in self._dictionaries], self.id

    def __setstate__(self, state):
        dictionaries, self.id = state
        self._dictionaries = [weakref.ref(OrderedDict() if d is None else d) for d in dictionaries]


def add_hook(hooks, hook):
    """Register a hook in an ordered dictionary of hooks."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle
