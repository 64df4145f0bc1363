"""Functions that are remote HTTP endpoints."""

from iii_engine.modules.http_functions.module import HttpFunctionsModule

__all__ = ["HttpFunctionsModule"]
