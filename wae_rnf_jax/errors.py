"""The error that means: the program works, its input does not."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input by the user: a file, a setting, a name.

    The message is one clear sentence saying what is wrong, where, and what would be right. The
    command line prints it to standard error and exits with code 2, without a traceback.
    """
