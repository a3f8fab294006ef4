"""Types of the entry scripts' flags."""

import argparse


def positive(text: str) -> int:
    """A whole number from 1 on; argparse shows the message of what this raises."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a positive whole number")
    return number
