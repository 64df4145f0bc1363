"""Files with a secret that is made once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_secret(path: Path, content: bytes) -> bool:
    """Write a new file, readable by its owner only: whole or not at all, whenever we are killed.

    False when there is a file already; it stays as it is. Raises `OSError`.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link fails where a rename would replace the secret of a process that was faster.
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True
