"""What runs inside Redis, each script as one step that nobody sees half of.

The keys of a queue begin with its base, `KEYS[1]`:

- `waiting`: a list of ids; new jobs come in at the left, the next to run is at the right
- `active`: a list of the ids of jobs that run; `leases`: when each of them comes back;
  `tokens`: who holds it
- `delayed`: ids by the time they are due
- `dlq`: a list of the ids of dead jobs, newest at the left
- `jobs`: each job as it was made; `states`: what became of it since then
- `groups`: the groups of jobs; `lanes`: the group in which a job has a place, `places`: how many
  are taken in each group; `held:…`: ids that wait for one, `full`: the groups that have such,
  `offered`: the id that left its wait last and has not run yet
- `due`: until when a job holds up its group
- `once`: the key that remembers the producer's name for a job

All times are the server's, so the clocks of the engines do not matter.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar, Final

_COMMON: Final = """
local call = redis.call
local q = KEYS[1]

local function now_ms()
    local time = call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A Redis without room refuses a script whose first change needs some, and nothing after a change.
local function though_full() call('HDEL', q .. ':tokens', '') end

local function held(base, lane) return base .. ':held:' .. redis.sha1hex(lane) end

-- Whoever takes looks again when nothing was left; else it knows that there is more.
local function enter(base, id, first)
    local length = call(first and 'RPUSH' or 'LPUSH', base .. ':waiting', id)
    if length == 1 then call('PUBLISH', 'iii:queue:wake', cjson.encode(base)) end
end

-- A place in a group is free: the first that waits for one goes ahead.
local function offer(base, lane)
    local id = call('LPOP', held(base, lane))
    if id then
        call('HSET', base .. ':offered', lane, id)
        enter(base, id, true)
    else
        call('SREM', base .. ':full', lane)
        call('HDEL', base .. ':offered', lane)
    end
end

local function leave_lane(base, id)
    local lane = call('HGET', base .. ':lanes', id)
    if lane then
        call('HDEL', base .. ':lanes', id)
        if call('HINCRBY', base .. ':places', lane, -1) <= 0 then
            call('HDEL', base .. ':places', lane)
        end
        offer(base, lane)
    end
end

local function end_lease(base, id)
    call('LREM', base .. ':active', 1, id)
    call('ZREM', base .. ':leases', id)
    call('HDEL', base .. ':tokens', id)
end

local function holds(id, token) return call('HGET', q .. ':tokens', id) == token end

local function forget(base, id)
    for _, name in ipairs({':jobs', ':states', ':groups', ':due', ':once'}) do
        call('HDEL', base .. name, id)
    end
    leave_lane(base, id)
end

-- Its producer may make it anew.
local function free_key(base, id)
    local once = call('HGET', base .. ':once', id)
    if once and call('GET', once) == id then call('DEL', once) end
end

local function bury(base, id, state, most)
    call('HSET', base .. ':states', id, state)
    call('HDEL', base .. ':due', id)
    leave_lane(base, id)
    local length = call('LPUSH', base .. ':dlq', id)
    for _ = most + 1, length do forget(base, call('RPOP', base .. ':dlq')) end
end

local function delay(base, id, due)
    call('ZADD', base .. ':delayed', due, id)
    local first = call('ZRANGE', base .. ':delayed', 0, 0)
    if first[1] == id then call('PUBLISH', 'iii:queue:wake', cjson.encode(base)) end
end

-- A new job. Where a group keeps its order a delayed job takes its place in the line.
local function put(base, id, record, group, due, ordered)
    call('HSET', base .. ':jobs', id, record)
    if group ~= '' then call('HSET', base .. ':groups', id, group) end
    if due > 0 and not ordered then
        delay(base, id, due)
    else
        if due > 0 then call('HSET', base .. ':due', id, due) end
        enter(base, id, false)
    end
end

-- What waits for a place in its group goes back into the line, in its order.
local function regroup()
    for _, lane in ipairs(call('SMEMBERS', q .. ':full')) do
        local id = call('RPOP', held(q, lane))
        while id do
            call('RPUSH', q .. ':waiting', id)
            id = call('RPOP', held(q, lane))
        end
        local first = call('HGET', q .. ':offered', lane)
        if first and call('LREM', q .. ':waiting', -1, first) > 0 then
            call('RPUSH', q .. ':waiting', first)
        end
    end
    call('DEL', q .. ':full')
end

-- Whether another job has the id: of another function, or under another key.
local function known_otherwise(base, id, once)
    return call('HEXISTS', base .. ':jobs', id) == 1 and call('HGET', base .. ':once', id) ~= once
end

-- Whether the job is there already; a dead one makes room for its successor.
local function known(base, id)
    if call('HEXISTS', base .. ':jobs', id) == 0 then return false end
    if call('LREM', base .. ':dlq', 1, id) == 0 then return true end
    forget(base, id)
    return false
end

-- Take the place of the job of the same group that still waits under the same debounce key;
-- answers its id.
local function replace(base, name, record, group, due)
    local id = call('GET', base .. ':debounce:' .. redis.sha1hex(name))
    if not id or (call('HGET', base .. ':groups', id) or '') ~= group then return false end
    if call('ZSCORE', base .. ':delayed', id) and call('HEXISTS', base .. ':states', id) == 0 then
        call('ZADD', base .. ':delayed', due, id)
    elseif call('HEXISTS', base .. ':due', id) == 1 then
        call('HSET', base .. ':due', id, due)
    else
        return false
    end
    call('HSET', base .. ':jobs', id, record)
    return id
end

local function store(base, id, record, group, delay_ms, ordered, debounce_ms, name)
    local wait = math.max(delay_ms, debounce_ms)
    local due = wait > 0 and now_ms() + wait or 0
    if debounce_ms > 0 then
        id = replace(base, name, record, group, due) or id
        call('SET', base .. ':debounce:' .. redis.sha1hex(name), id, 'PX', wait)
    end
    if not known(base, id) then put(base, id, record, group, due, ordered) end
    return id
end
"""


class Script:
    """The text of one script, and the name that Redis has for it. `known` are all there are."""

    known: ClassVar[list[Script]] = []

    def __init__(self, text: str, *, changes: bool = True) -> None:
        self.changes = changes
        self.text = _COMMON + text
        self.sha = hashlib.sha1(self.text.encode()).hexdigest()
        self.known.append(self)
