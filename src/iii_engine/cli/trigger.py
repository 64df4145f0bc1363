"""`iii trigger`: call a function on a running engine."""

from __future__ import annotations

import argparse


def trigger(arguments: argparse.Namespace) -> int:
    """The exit code: 0 answered, 1 error, 2 wrong usage."""
    raise NotImplementedError(arguments)
