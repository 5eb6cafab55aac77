"""The error that a command ends with."""


class CommandError(Exception):
    """Something the user has to know, in one sentence; the command ends with exit code 1."""


def reason(error):
    """What went wrong, in one line."""
    return getattr(error, "strerror", None) or (str(error) or type(error).__name__).splitlines()[0]
