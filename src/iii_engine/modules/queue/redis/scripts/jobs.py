"""The way of a job: stored, taken, and what its lease ended with."""

from __future__ import annotations

from typing import Final

from iii_engine.modules.queue.redis.scripts import Script

#: ARGV: id, record, group, delay, debounce, its key, idempotency key, its window, another id; then
#: `ordered` for a named queue, or for a topic nothing, with the hash of its functions as KEYS[2],
#: the table as KEYS[3] and as ARGV[10] the row there of who has no function. Answers id and whether
#: it was there before.
PUBLISH: Final = Script("""
local id, record, group = ARGV[1], ARGV[2], ARGV[3]
local delay_ms, debounce_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local once = ARGV[7] ~= '' and q .. ':once:' .. redis.sha1hex(ARGV[7])
local before = once and call('GET', once)
if before then return {before, 1} end
local fresh, made = false, id

local function add(base, ordered, own_ms)
    local wait = math.max(delay_ms, own_ms)
    if known_otherwise(base, id, once) then id = ARGV[9] end
    if debounce_ms > 0 or not known(base, id) then
        fresh = true
        made = store(base, id, record, group, wait, ordered, debounce_ms, ARGV[6])
        if once then call('HSET', base .. ':once', made, once) end
    end
end

if #KEYS == 1 then
    add(q, ARGV[10] == '1', 0)
else
    local functions = call('HGETALL', KEYS[2])
    for i = 1, #functions, 2 do
        local like = cjson.decode(functions[i + 1])
        add(q .. functions[i], like.ordered, like.delay_ms)
    end
    if #functions == 0 then
        if call('HSETNX', KEYS[3], ARGV[10], '0') == 1 then
            call('PUBLISH', 'iii:queue:changed', cjson.encode({ARGV[10], '0'}))
        end
        add(q, false, 0)
    end
end
if once and tonumber(ARGV[8]) > 0 then call('SET', once, made, 'PX', ARGV[8]) end
return {made, fresh and 0 or 1}
""")

#: KEYS: the queue, the names of what is paused. ARGV: how many, lease, places of each group (0: any
#: number), ordered, single, the name under which it would be paused. Answers whether
#: there may be more, the milliseconds until somebody should look again (-1: never), and id, record,
#: state and token of each.
TAKE: Final = Script("""
if call('SISMEMBER', KEYS[2], ARGV[6]) == 1 then return {0, -1, {}} end
local limit, lease_ms, places = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local ordered, single = ARGV[4] == '1', ARGV[5] == '1'
local now, waiting, found = now_ms(), q .. ':waiting', {}

local due = call('ZRANGEBYSCORE', q .. ':delayed', '-inf', now, 'LIMIT', 0, 1000)
for i = #due, 1, -1 do
    call('ZREM', q .. ':delayed', due[i])
    call('RPUSH', waiting, due[i])
end
local lost = call('ZRANGEBYSCORE', q .. ':leases', '-inf', now, 'LIMIT', 0, 1000)
for i = #lost, 1, -1 do
    end_lease(q, lost[i])
    call('RPUSH', waiting, lost[i])
end

-- Whether the job has a place in its group; without one it waits there.
local function placed(id)
    if places == 0 or call('HEXISTS', q .. ':lanes', id) == 1 then return true end
    local lane = single and '' or call('HGET', q .. ':groups', id) or ''
    local used = tonumber(call('HGET', q .. ':places', lane) or 0)
    if used >= places then
        call('RPUSH', held(q, lane), id)
        call('SADD', q .. ':full', lane)
        return false
    end
    if call('HGET', q .. ':offered', lane) == id then call('HDEL', q .. ':offered', lane) end
    call('HINCRBY', q .. ':places', lane, 1)
    call('HSET', q .. ':lanes', id, lane)
    if used + 1 < places then offer(q, lane) end
    return true
end

-- Whether it may run; the group of one that is not due yet waits with it.
local function ready(id)
    if not placed(id) then return false end
    local due = call('HGET', q .. ':due', id)
    if not due then return true end
    call('HDEL', q .. ':due', id)
    if tonumber(due) <= now then return true end
    call('ZADD', q .. ':delayed', due, id)
    if not ordered then leave_lane(q, id) end
    return false
end

local looks = 2000
while #found < limit and looks > 0 do
    looks = looks - 1
    local id = call('RPOP', waiting)
    if not id then break end
    local record = call('HGET', q .. ':jobs', id)
    if record and ready(id) then
        local token = tostring(call('INCR', q .. ':token'))
        call('LPUSH', q .. ':active', id)
        call('ZADD', q .. ':leases', now + lease_ms, id)
        call('HSET', q .. ':tokens', id, token)
        found[#found + 1] = {id, record, call('HGET', q .. ':states', id) or '', token}
    end
end

local next_ms = -1
for _, name in ipairs({':delayed', ':leases'}) do
    local first = call('ZRANGE', q .. name, 0, 0, 'WITHSCORES')[2]
    if first then
        local left = math.max(0, tonumber(first) - now)
        if next_ms < 0 or left < next_ms then next_ms = left end
    end
end
return {looks == 0 and 1 or 0, next_ms, found}
""")

#: ARGV: id, token, and 1 when it was cancelled. Answers 1, or 0 when somebody else holds it.
COMPLETE: Final = Script("""
if not holds(ARGV[1], ARGV[2]) then return 0 end
end_lease(q, ARGV[1])
if ARGV[3] == '1' then free_key(q, ARGV[1]) end
forget(q, ARGV[1])
return 1
""")

#: ARGV: id, token, state, delay, ordered, dead letters that are kept, the state in which the job
#: dies when its subscription has ended; then for a topic the function, whose hash is KEYS[2].
RETRY: Final = Script("""
local id, delay_ms = ARGV[1], tonumber(ARGV[4])
if not holds(id, ARGV[2]) then return 0 end
end_lease(q, id)
if KEYS[2] and call('HEXISTS', KEYS[2], ARGV[8]) == 0 then
    bury(q, id, ARGV[7], tonumber(ARGV[6]))
    return 1
end
call('HSET', q .. ':states', id, ARGV[3])
if ARGV[5] == '0' then leave_lane(q, id) end
if delay_ms > 0 then
    delay(q, id, now_ms() + delay_ms)
else
    enter(q, id, true)
end
return 1
""")

#: ARGV: id, token, state, dead letters that are kept.
BURY: Final = Script("""
if not holds(ARGV[1], ARGV[2]) then return 0 end
end_lease(q, ARGV[1])
bury(q, ARGV[1], ARGV[3], tonumber(ARGV[4]))
return 1
""")

#: ARGV: lease, then id and token of each. Answers the tokens that hold nothing any more.
RENEW: Final = Script("""
though_full()
local till, lost = now_ms() + tonumber(ARGV[1]), {}
for i = 2, #ARGV, 2 do
    if holds(ARGV[i], ARGV[i + 1]) then
        call('ZADD', q .. ':leases', 'XX', till, ARGV[i])
    else
        lost[#lost + 1] = ARGV[i + 1]
    end
end
return lost
""")

#: ARGV: id and token of each job that goes back as it is, the next to run last.
RETURN: Final = Script("""
for i = 1, #ARGV, 2 do
    if holds(ARGV[i], ARGV[i + 1]) then
        end_lease(q, ARGV[i])
        enter(q, ARGV[i], true)
    end
end
call('PUBLISH', 'iii:queue:wake', cjson.encode(q))
return 1
""")

#: What waits for a place in its group is judged anew, in its order.
REGROUP: Final = Script("""
regroup()
return 1
""")
