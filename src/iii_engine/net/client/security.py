"""Where requests may go."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field


class Security(Struct, forbid_unknown_fields=True):
    """Where calls may go. `url_allowlist` holds globs (`*`, `?`) that the host must match."""

    #: Globs (`*`, `?`) that the host must match one of.
    url_allowlist: list[str] = field(default_factory=lambda: ["*"])
    #: Refuse addresses of this machine and of private networks.
    block_private_ips: bool = True
    #: Refuse URLs that are not https.
    require_https: bool = True


#: For URLs of the config file: whoever writes that may send the engine anywhere.
CONFIGURED: Final = Security(block_private_ips=False, require_https=False)
