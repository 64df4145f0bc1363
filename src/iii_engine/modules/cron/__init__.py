"""Calls functions at times."""

from iii_engine.modules.cron.module import CronModule

__all__ = ["CronModule"]
