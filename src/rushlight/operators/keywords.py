"""NumPy's names for arguments, which PyTorch's functions take beside their own: `x.sum(axis=1, keepdims=True)`.

    axis -> dim      keepdims -> keepdim      x, a, x1 -> input      x2 -> other

A function that users call has a `**words` for them.  It is empty in all but a few calls, and those come `again` under PyTorch's names
(https://github.com/pytorch/pytorch/blob/main/torch/csrc/utils/python_arg_parser.cpp, numpy_compatibility_arg_names).
"""
import functools
import inspect
import types

NUMPY_WORDS = {"dim": ("axis",), "keepdim": ("keepdims",), "input": ("x", "a", "x1"), "other": ("x2",)}
_OWN = {word: name for name, words in NUMPY_WORDS.items() for word in words}


class _Missing:
    def __repr__(self):
        return "<missing>"


MISSING = _Missing()  # the default of an argument that has to be given under one of its names


def again(function, given, words):
    """The call of an operator's function with NumPy's `words` under their own names; TypeError where one is none of them, or is
    there twice, or where an argument did not come at all."""
    parameters = inspect.signature(function).parameters
    for word, value in words.items():
        name = _OWN.get(word)
        if name not in given:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument '{word}'")
        default = parameters[name].default
        if given[name] is not (MISSING if default is inspect.Parameter.empty else default):
            raise TypeError(f"{function.__name__}() got multiple values for argument '{name}'")
        given[name] = value
    absent = [name for name, value in given.items() if value is MISSING]
    if absent:
        names = ", ".join(f'"{name}"' for name in absent)
        raise TypeError(f"{function.__name__}() missing {len(absent)} required positional arguments: {names}")
    return function(**given)


def takes_numpy_words(function):
    """A plain function that also takes NumPy's names for its `dim` and `keepdim`; itself where it has neither."""
    if not isinstance(function, types.FunctionType) or hasattr(function, "asks_itself"):  # a class, or an operator, which does it itself
        return function
    code = function.__code__
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
    hands_on = code.co_flags & inspect.CO_VARARGS and code.co_flags & inspect.CO_VARKEYWORDS  # to one that has them, or refuses them
    if not hands_on and "dim" not in names and "keepdim" not in names:
        return function

    def own(word):
        name = _OWN.get(word, word)
        return name if hands_on and word not in names or name in names else word

    @functools.wraps(function)
    def translated(*args, **kwargs):
        return function(*args, **({own(word): value for word, value in kwargs.items()} if kwargs else kwargs))
    return translated
