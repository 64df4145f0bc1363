"""Which functions get what is published on a topic."""

from __future__ import annotations

from typing import Final

from iii_engine.modules.queue.redis.scripts import Script

#: KEYS: the queue, the functions of its topic, the table, the queue of the topic without function.
#: ARGV: the function, what its queue is like, its row in the table, the engine, after how many
#: milliseconds without a sign of life an engine is forgotten.
#: The first function gets what was published before. Repeated it is a sign of life of the engine,
#: and puts back what another one has removed, taking this one for lost.
BIND: Final = Script("""
though_full()
local first = call('HLEN', KEYS[2]) == 0
call('HSET', KEYS[2], ARGV[1], ARGV[2])
call('ZADD', q .. ':holders', now_ms(), ARGV[4])
call('ZREMRANGEBYSCORE', q .. ':holders', '-inf', now_ms() - tonumber(ARGV[5]))
if call('HGET', KEYS[3], ARGV[3]) ~= '1' then
    call('HSET', KEYS[3], ARGV[3], '1')
    call('PUBLISH', 'iii:queue:changed', cjson.encode({ARGV[3], '1'}))
end
local early = KEYS[4]
if not first or call('EXISTS', early .. ':jobs') == 0 then return 0 end
if call('EXISTS', q .. ':jobs') == 0 then
    for _, name in ipairs({':waiting', ':delayed', ':jobs', ':groups', ':once'}) do
        if call('EXISTS', early .. name) == 1 then call('RENAME', early .. name, q .. name) end
    end
else
    local function move(id)
        call('HSET', q .. ':jobs', id, call('HGET', early .. ':jobs', id))
        for _, name in ipairs({':groups', ':once'}) do
            local value = call('HGET', early .. name, id)
            if value then call('HSET', q .. name, id, value) end
        end
    end
    local id = call('RPOP', early .. ':waiting')
    while id do
        if not known(q, id) then
            move(id)
            call('LPUSH', q .. ':waiting', id)
        end
        id = call('RPOP', early .. ':waiting')
    end
    local delayed = call('ZPOPMIN', early .. ':delayed')
    while #delayed > 0 do
        if not known(q, delayed[1]) then
            move(delayed[1])
            call('ZADD', q .. ':delayed', delayed[2], delayed[1])
        end
        delayed = call('ZPOPMIN', early .. ':delayed')
    end
    call('DEL', early .. ':jobs', early .. ':groups', early .. ':once')
end
call('PUBLISH', 'iii:queue:wake', cjson.encode(q))
return 1
""")

#: KEYS as for BIND. ARGV: the function, state of what dies, its row, the engine, for how long
#: another engine keeps the binding after a sign of life, dead letters that are kept, whether
#: silent engines were looked at before: nobody could give a sign while Redis was away.
#: Answers 1 when the function is not bound any more, -1 to be asked again about silent engines.
UNBIND: Final = Script("""
call('ZREM', q .. ':holders', ARGV[4])
if call('ZCOUNT', q .. ':holders', now_ms() - tonumber(ARGV[5]), '+inf') > 0 then return 0 end
if ARGV[7] == '0' and call('ZCARD', q .. ':holders') > 0 then return -1 end
call('DEL', q .. ':holders')
if call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
local most = tonumber(ARGV[6])

regroup()
for _, id in ipairs(call('ZRANGE', q .. ':delayed', 0, -1)) do
    call('LPUSH', q .. ':waiting', id)
end
call('DEL', q .. ':delayed')
local id = call('RPOP', q .. ':waiting')
while id do
    bury(q, id, ARGV[2], most)
    id = call('RPOP', q .. ':waiting')
end
call('DEL', q .. ':offered')
call('HSET', KEYS[3], ARGV[3], '0')
call('PUBLISH', 'iii:queue:changed', cjson.encode({ARGV[3], '0'}))
return 1
""")

#: KEYS: the table. Answers rows, each followed by `1` when it is bound.
TABLE: Final = Script("return call('HGETALL', q)", changes=False)
