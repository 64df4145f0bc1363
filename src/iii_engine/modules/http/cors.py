"""Cross-origin rules: which header lines an answer gets, and what a preflight is told."""

from __future__ import annotations

import logging

from iii_engine.modules.http.options import CorsOptions

log = logging.getLogger("iii.http")

_ANY_ORIGIN = b"access-control-allow-origin: *\r\naccess-control-expose-headers: *\r\n"


class Cors:
    """Permissive without options: any origin, method and header, and no credentials."""

    def __init__(self, options: CorsOptions | None) -> None:
        options = options or CorsOptions()
        if "*" in options.allowed_origins and len(options.allowed_origins) > 1:
            log.warning("cors.allowed_origins has `*` beside others: any origin is allowed")
        any_origin = not options.allowed_origins or "*" in options.allowed_origins
        self._origins = (
            None if any_origin else frozenset(o.encode("latin-1") for o in options.allowed_origins)
        )
        self._methods = _any_or_list(options.allowed_methods)
        self._headers = _any_or_list(options.allowed_headers)

    def lines(self, origin: bytes | None) -> bytes:
        """Header lines of an ordinary answer to a request of this origin."""
        if self._origins is None:
            return _ANY_ORIGIN
        if origin is not None and origin in self._origins:
            return (
                b"access-control-allow-origin: %b\r\n"
                b"access-control-expose-headers: *\r\nvary: origin\r\n" % origin
            )
        return b"vary: origin\r\n"

    def preflight(self, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """Header lines of the answer to a preflight, or None when the request is not one."""
        known = dict(headers)
        if b"access-control-request-method" not in known:
            return None
        lines = self.lines(known.get(b"origin"))
        if b"allow-origin" not in lines:
            return lines
        # `*` would not cover `authorization`, so the headers asked for are repeated.
        asked = known.get(b"access-control-request-headers")
        headers_allowed = asked if self._headers is None else self._headers
        lines += b"access-control-allow-methods: %b\r\n" % (self._methods or b"*")
        if headers_allowed:
            lines += b"access-control-allow-headers: %b\r\n" % headers_allowed
        return lines


def _any_or_list(names: list[str]) -> bytes | None:
    return None if not names or "*" in names else ", ".join(names).encode("latin-1")
