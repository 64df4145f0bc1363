"""Which subjects of a JetStream bucket the records are: `$KV.<bucket>.<space>.<key>`."""

from __future__ import annotations

from iii_engine.net.nats_client import MAX_SUBJECT, text_of, token
from iii_engine.storage.base import StoreError


class Names:
    """Space and key are one token each, so that a space is a filter of subjects."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.stream = f"KV_{bucket}"
        self._root = f"$KV.{bucket}."

    def of_record(self, space: str, key: str) -> str:
        """Raises `StoreError` for names that are too long for NATS."""
        subject = f"{self._root}{token(space)}.{token(key)}"
        if len(subject) > MAX_SUBJECT:
            raise StoreError("scope and key together are too long for NATS")
        return subject

    def of_space(self, space: str) -> str:
        """All records of the space."""
        return f"{self._root}{token(space)}.*"

    def record_of(self, subject: str) -> tuple[str, str] | None:
        """None for a subject that no record has."""
        space, _, key = subject[len(self._root) :].partition(".")
        try:
            record = text_of(space), text_of(key)
            return record if self.of_record(*record) == subject else None
        except (UnicodeDecodeError, StoreError):
            return None
