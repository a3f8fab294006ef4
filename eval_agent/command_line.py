"""The command line of an entry script, and numbers in the environment: a fault in them is one sentence.

The entry's docstring is the help.
"""

import argparse
import difflib
import os

from eval_agent.errors import InputError


class Parser(argparse.ArgumentParser):
    """A parser whose help is ``about`` as it is laid out; what is wrong ends the program with one line, exit code 2."""

    def __init__(self, about: str, **options):
        super().__init__(description=about, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def parse_args(self, args=None, namespace=None):
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown argument {unknown[0]}{self._meant(unknown[0])}")
        return known

    def _meant(self, flag: str) -> str:
        """"; did you mean --gamma?" where one of the flags is written nearly so."""
        near = difflib.get_close_matches(flag.partition("=")[0], self._option_string_actions, n=1, cutoff=0.75)
        return f"; did you mean {near[0]}?" if near else ""

    def error(self, message: str):
        self.exit(2, f"error: {message} (--help lists the arguments)\n")


def positive(text: str) -> int:
    """Type of a flag: a whole number from 1 on; argparse shows the message of what this raises."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a positive whole number")
    return number


def positive_variable(name: str, default: int) -> int:
    """A whole number from 1 on in the environment; ``default`` where it is not set. Raises InputError."""
    text = os.environ.get(name) or str(default)
    try:
        return positive(text)
    except (ValueError, argparse.ArgumentTypeError):
        raise InputError(f'${name} is "{text}", expected a positive whole number') from None
