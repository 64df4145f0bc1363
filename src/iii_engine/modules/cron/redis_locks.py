"""Locks in Redis: the key `cron_lock:<job>:<instant>` lives as long as the lock of a tick,
`cron_lock:<job>` as long as that of a run."""

from __future__ import annotations

from typing import Any, Final

from iii_engine.modules.cron.server_locks import ServerLocks
from iii_engine.net.redis_client import check_keeping, open_redis, told, warn_of_loss

#: Nothing is ever here; the server is asked whether there could be.
ROOM: Final = "cron_lock:room"

#: An instant that no engine wrote is none.
_LATEST: Final = """
local function latest(key)
    local known = redis.call('GET', key)
    if not known or #known > 15 or not string.match(known, '^%d+$') then return nil end
    return known
end
"""

#: KEYS: the lock, the job's latest run. ARGV: token, milliseconds, instant or empty.
TAKE: Final = (
    _LATEST
    + """
local known = ARGV[3] ~= '' and latest(KEYS[2]) -- it may fail: so before anything is written
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
end
if ARGV[3] ~= '' then
    if not known or tonumber(known) < tonumber(ARGV[3]) then
        redis.call('SET', KEYS[2], ARGV[3])
    end
end
return 1
"""
)

#: KEYS: the lock. ARGV: token, milliseconds.
PROLONG: Final = """
local held = redis.call('GET', KEYS[1])
if not held or held == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
"""

#: KEYS: the lock. ARGV: token.
RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

#: KEYS: the job's latest run. ARGV: now, the oldest instant that counts.
SINCE: Final = (
    _LATEST
    + """
local known = latest(KEYS[1])
if known and tonumber(known) >= tonumber(ARGV[2]) then return known end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
"""
)


class RedisLocks(ServerLocks):
    """See `Locks`."""

    def __init__(self, url: str, owner: str, ttl_ms: int) -> None:
        super().__init__(owner, ttl_ms)
        self._url = url

    async def open(self) -> None:
        self._redis = await open_redis(self._url)
        try:
            await warn_of_loss(self._redis, self._url, "locks of cron jobs", ROOM)
        except BaseException:
            await self._redis.aclose()
            raise
        await super().open()

    async def close(self) -> None:
        await super().close()
        await self._redis.aclose()

    async def _greet(self) -> None:
        await check_keeping(self._redis, self._url, ROOM)

    async def _take(self, key: str, token: str, job: str, remember_ms: int | None) -> bool:
        instant = "" if remember_ms is None else str(remember_ms)
        keys = f"cron_lock:{key}", _run(job)
        return bool(await self._run_script(TAKE, keys, token, self.ttl_ms, instant))

    async def _prolong(self, key: str, token: str) -> None:
        await self._run_script(PROLONG, (f"cron_lock:{key}",), token, self.ttl_ms)

    async def _release(self, key: str, token: str) -> None:
        await self._run_script(RELEASE, (f"cron_lock:{key}",), token)

    async def _since(self, job: str, now_ms: int, oldest_ms: int) -> int:
        return int(await self._run_script(SINCE, (_run(job),), now_ms, oldest_ms))

    async def _run_script(self, script: str, keys: tuple[str, ...], *arguments: str | int) -> Any:
        with told(self._url):
            return await self._redis.eval(script, len(keys), *keys, *arguments)


def _run(job: str) -> str:
    return f"cron_run:{job}"
