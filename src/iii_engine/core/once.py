"""Warnings that would only repeat themselves."""

from __future__ import annotations

import logging


class Once:
    """Gives the first of its warnings, which stands for all like it."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said = False

    def warn(self, text: str, *values: object) -> None:
        if not self._said:
            self._said = True
            self._log.warning(f"{text} (said once)", *values)
