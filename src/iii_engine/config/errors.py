"""What is wrong with a configuration, in words for the person who wrote it."""

from __future__ import annotations


class ConfigError(Exception):
    """The configuration cannot be used. Nothing has been started or changed."""
