"""Errors that the person at the keyboard can mend."""

from __future__ import annotations


class InputError(ValueError):
    """Something given by the user is wrong: a file, a key, a value, an option.

    The message stands alone: it names the file and line (or the option), what is wrong, and what was
    expected. Commands print it without a traceback and end with exit code 2.
    """
