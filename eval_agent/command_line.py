"""The command line of an entry script: its docstring is the help, and a fault in it is one sentence."""

import argparse
import difflib


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
