"""What goes wrong and can be mended by a person, and how an entry script shows it: one line, no traceback."""

import functools
import os
import sys


class InputError(Exception):
    """Bad input: the message names the file, record and field, and what was expected."""


def exit_on_input_error(main):
    """Decorate an entry script's ``main``: an :class:`InputError` or OSError becomes one line and exit code 2.

    An interrupt (Ctrl-C) is one word and exit code 130; a reader of our output that went away is no fault.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        for stream in (sys.stdout, sys.stderr):  # a path may hold bytes that are no text
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            return main(*args, **kwargs)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more as it ends
            sys.exit(0)
        except (InputError, OSError) as error:
            print(f"error: {sentence(error)}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)

    return wrapped


def sentence(error: Exception) -> str:
    """What ``error`` says, of an OSError "FILE: the system's words" as far as it knows them."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error) or type(error).__name__
    file = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes, os.PathLike)) else ""
    if file and error.strerror.startswith(file[:-2]):  # said already
        return error.strerror
    return file + error.strerror[0].lower() + error.strerror[1:]


def warn(message: str) -> None:
    """One line on stderr, once however many processes train."""
    if os.environ.get("RANK", "0") == "0":
        print(f"warning: {message}", file=sys.stderr)
