"""What an enqueued call returns."""

from iii_sdk.compat import EnqueueResult

__all__ = ["EnqueueResult"]
