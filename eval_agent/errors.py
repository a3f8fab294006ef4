"""The one exception for input a person can mend, and how an entry script shows it."""

import functools
import sys


class InputError(Exception):
    """Bad input: the message names the file, record and field, and what was expected."""


def exit_on_input_error(main):
    """Decorate an entry script's ``main``: an :class:`InputError` becomes one line and exit code 2."""

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return wrapped
