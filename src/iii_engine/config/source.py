"""The config file of a running engine: read again whenever it has changed."""

from __future__ import annotations

from pathlib import Path

from iii_engine.config.entries import Config, load, with_port

#: Modification and change time, size, device and inode; None for a file that is not there.
Stamp = tuple[int, int, int, int, int] | None


class ConfigSource:
    """Where the config comes from. `port` replaces the one of the first worker listener.

    `read_stamp` is the file's stamp before it was last read: what is written while it is being
    read counts as a change.
    """

    def __init__(self, path: Path, port: int | None = None) -> None:
        self.path = path
        self._port = port
        self.read_stamp: Stamp = None

    def read(self) -> Config:
        """Raises `ConfigError`."""
        self.read_stamp = self.stamp()
        config = load(self.path)
        return config if self._port is None else with_port(config, self._port)

    def stamp(self) -> Stamp:
        """Differs from that of another content. A symbolic link is followed every time."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (
            found.st_mtime_ns,
            found.st_ctime_ns,
            found.st_size,
            found.st_dev,
            found.st_ino,
        )
