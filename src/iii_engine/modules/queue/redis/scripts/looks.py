"""Single jobs, dead ones, and numbers."""

from __future__ import annotations

from typing import Final

from iii_engine.modules.queue.redis.scripts import Script

#: ARGV: id. Answers 1 when it waited, and is gone.
CANCEL: Final = Script("""
local id = ARGV[1]
if call('HEXISTS', q .. ':jobs', id) == 0 or call('HEXISTS', q .. ':tokens', id) == 1 then
    return 0
end
local group = call('HGET', q .. ':groups', id) or ''
local found = call('ZREM', q .. ':delayed', id) + call('LREM', q .. ':waiting', -1, id)
if found == 0 then
    found = call('LREM', held(q, group), 1, id) + call('LREM', held(q, ''), 1, id)
end
if found == 0 then return 0 end
free_key(q, id)
forget(q, id)
for _, lane in ipairs({group, ''}) do  -- whose turn it was
    if call('HGET', q .. ':offered', lane) == id then offer(q, lane) end
end
return 1
""")

#: ARGV: id. Answers record, state and when it is due, or nothing.
FIND: Final = Script(
    """
local record = call('HGET', q .. ':jobs', ARGV[1])
if not record then return {} end
local due = call('ZSCORE', q .. ':delayed', ARGV[1]) or call('HGET', q .. ':due', ARGV[1])
return {record, call('HGET', q .. ':states', ARGV[1]) or '', due or '0'}
""",
    changes=False,
)

#: ARGV: offset, limit. Answers id, record and state of each, newest first.
DEAD: Final = Script(
    """
local found, offset = {}, tonumber(ARGV[1])
if tonumber(ARGV[2]) == 0 then return found end
for i, id in ipairs(call('LRANGE', q .. ':dlq', offset, offset + tonumber(ARGV[2]) - 1)) do
    found[i] = {id, call('HGET', q .. ':jobs', id), call('HGET', q .. ':states', id)}
end
return found
""",
    changes=False,
)

#: ARGV: an id, or the number of dead jobs that shall run again, oldest first, as `all`, number.
REDRIVE: Final = Script("""
local function revive(id)
    call('HDEL', q .. ':states', id)
    enter(q, id, false)
end

if ARGV[2] then
    for done = 1, tonumber(ARGV[2]) do
        local id = call('RPOP', q .. ':dlq')
        if not id then return done - 1 end
        revive(id)
    end
    return tonumber(ARGV[2])
end
if call('LREM', q .. ':dlq', 1, ARGV[1]) == 0 then return 0 end
revive(ARGV[1])
return 1
""")

#: ARGV: id. Answers how many dead jobs were forgotten.
DISCARD: Final = Script("""
if call('LREM', q .. ':dlq', 1, ARGV[1]) == 0 then return 0 end
free_key(q, ARGV[1])
forget(q, ARGV[1])
return 1
""")

#: KEYS: the names of what is paused. ARGV: a name, and 1 to pause it or 0 to let it go on.
PAUSE: Final = Script("""
call('SREM', q, '')  -- so that a full Redis lets it be
call(ARGV[2] == '1' and 'SADD' or 'SREM', q, ARGV[1])
call('PUBLISH', 'iii:queue:paused', cjson.encode({ARGV[1], ARGV[2]}))
return 1
""")

#: KEYS: the names of what is paused. Answers them.
PAUSED_NAMES: Final = Script("return call('SMEMBERS', q)", changes=False)

#: Answers how many jobs there are, run, are delayed, and are dead.
STATS: Final = Script(
    """
return {call('HLEN', q .. ':jobs'), call('LLEN', q .. ':active'),
    call('ZCARD', q .. ':delayed'), call('LLEN', q .. ':dlq')}
""",
    changes=False,
)
