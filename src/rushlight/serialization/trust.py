"""Classes and functions that the user admits when only weights are loaded.

    add_safe_globals([Settings])              from now on
    with safe_globals([Settings]): ...        inside
    get_unsafe_globals_in_checkpoint(path)    which names of a file would be refused

Each is a class or function, or a pair of one and the full name that files call it by
(https://docs.pytorch.org/docs/stable/notes/serialization.html#torch.serialization.add_safe_globals).
"""
from . import names
from .archive import Archive
from .files import is_path
from .unpickler import names_in

_admitted = []


def add_safe_globals(safe_globals):
    """Admit classes and functions from now on.  What they do when they are made is then up to the file."""
    for item in safe_globals:
        full_name(item)
    _admitted.extend(item for item in safe_globals if item not in _admitted)


def get_safe_globals():
    """What is admitted."""
    return list(_admitted)


def clear_safe_globals():
    """Admit nothing any more."""
    _admitted.clear()


class safe_globals:
    """Inside `with safe_globals([...])` these are admitted too."""

    def __init__(self, safe_globals):
        self.wanted = list(safe_globals)

    def __enter__(self):
        self.before = get_safe_globals()
        add_safe_globals(self.wanted)

    def __exit__(self, *_):
        _admitted[:] = self.before


def full_name(item):
    """The name that files call an admitted class or function by."""
    if isinstance(item, tuple):
        if len(item) != 2 or not isinstance(item[1], str):
            raise ValueError(f"add_safe_globals: expected a class or function, or a pair of one and its full name, but got {item!r}")
        return item[1]
    if not hasattr(item, "__module__") or not hasattr(item, "__qualname__"):
        raise TypeError(f"add_safe_globals: {item!r} is neither a class nor a function")
    return f"{item.__module__}.{item.__qualname__}"


def trusted():
    """full name -> class or function."""
    return {full_name(item): item[0] if isinstance(item, tuple) else item for item in _admitted}


def get_unsafe_globals_in_checkpoint(f):
    """The full names in a file that `load` would refuse, found without running anything."""
    if is_path(f):
        with open(f, "rb") as file:
            return get_unsafe_globals_in_checkpoint(file)
    known = trusted()
    found = names_in(Archive(f).read("data.pkl"))
    return [f"{module}.{name}" for module, name in found if (module, name) not in names.ADMITTED and f"{module}.{name}" not in known]
