"""What runs inside Redis, each script as one step that nobody sees half of.

A space is a hash, and a sorted set that knows the order in which its fields came. Other programs
may write the hash alone: fields that the order does not know come last, and names in the order
whose fields are gone do not count.
"""

from __future__ import annotations

_PAGE = r"""
-- UTF-8 and nothing else: characters of several bytes are taken out, and no such byte may be left.
local function is_text(name)
    if not string.find(name, '[\128-\255]') then return true end
    for _, character in ipairs({
        '[\194-\223][\128-\191]', '\224[\160-\191][\128-\191]', '\237[\128-\159][\128-\191]',
        '[\225-\236\238\239][\128-\191][\128-\191]', '\240[\144-\191][\128-\191][\128-\191]',
        '[\241-\243][\128-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]',
    }) do name = string.gsub(name, character, ' ') end
    return not string.find(name, '[\128-\255]')
end

local function chunked(command, key, names, found)
    for first = 1, #names, 1000 do
        local some = redis.call(command, key,
            unpack(names, first, math.min(first + 999, #names)))
        for i, value in ipairs(some) do found[first + i - 1] = value end
    end
    return found
end

local function names_of(hash, order)
    local fields = redis.call('HKEYS', hash)
    local known = redis.call('ZRANGE', order, 0, -1)
    local there, names, foreign = {}, {}, false
    for _, name in ipairs(fields) do there[name] = true end
    for _, name in ipairs(known) do
        if there[name] then
            names[#names + 1] = name
            there[name] = nil
        end
    end
    if #names < #fields then
        table.sort(fields)
        for _, name in ipairs(fields) do
            if there[name] then
                if is_text(name) then names[#names + 1] = name else foreign = name end
            end
        end
    end
    return names, foreign
end

local function slice(names, prefix, offset, limit)
    local picked = {}
    for _, name in ipairs(names) do
        if string.sub(name, 1, #prefix) == prefix then
            if offset > 0 then
                offset = offset - 1
            elseif limit < 0 or #picked < limit then
                picked[#picked + 1] = name
            else
                break
            end
        end
    end
    return picked
end

local function page(hash, order, prefix, offset, limit)
    if prefix == '' and limit >= 0 then
        local size = redis.call('HLEN', hash)
        if limit == 0 or size == 0 then return {} end
        if size == redis.call('ZCARD', order) then
            local names = redis.call('ZRANGE', order, offset, offset + limit - 1)
            local values = chunked('HMGET', hash, names, {})
            local pairs_, whole = {}, true
            for i, name in ipairs(names) do
                if not values[i] then whole = false break end
                pairs_[2 * i - 1], pairs_[2 * i] = name, values[i]
            end
            if whole then return pairs_ end
        end
    end
    local names, foreign = names_of(hash, order)
    names = slice(names, prefix, offset, limit)
    local values = chunked('HMGET', hash, names, {})
    local pairs_ = {}
    for i, name in ipairs(names) do
        pairs_[2 * i - 1], pairs_[2 * i] = name, values[i]
    end
    return pairs_, foreign
end
"""

#: ARGV: reads, one after another: `item` hash, field; `page` hash, order, prefix, offset, limit
#: (-1: none); `count` hash. Answers for each its value or an error; for a page key, value, key,
#: value… and, after these, a field whose name is no UTF-8: such fields are left out.
#:
#: It is a script because a server that is full refuses all that a transaction of commands holds.
READ = (
    _PAGE
    + """
local at, found, reads = 1, {}, {}

local function take()
    at = at + 1
    return ARGV[at - 1]
end

function reads.item() return redis.call('HGET', take(), take()) end

function reads.count() return redis.call('HLEN', take()) end

function reads.page()
    local pairs_, foreign = page(take(), take(), take(), tonumber(take()), tonumber(take()))
    return {pairs_, foreign or false}
end

local arguments = {item = 2, page = 5, count = 1}
while at <= #ARGV do
    local kind = take()
    local next_at = at + arguments[kind]
    local done, value = pcall(reads[kind])
    if not done then value = type(value) == 'table' and value or redis.error_reply(value) end
    found[#found + 1] = value
    at = next_at
end
return found
"""
)

#: KEYS[1] keeps the token of the latest commit of one engine. ARGV: the token, how many seconds to
#: keep it, then all checks, then all writes. Answers 1 when it is done, 0 when something changed.
#:
#: Checks: `item` hash, field, digest (empty: no field); `page` hash, order, prefix, offset, limit,
#: digest; `count` hash, number; `hashes` pattern, number, that many hashes.
#: Writes: `put` hash, order, field, value; `delete` hash, order, field; `drop` hash, order.
#:
#: A script that fails in the middle is not undone, so all writes are looked at before the first one
#: is made: whether the keys have the right types, and whether the server lets us write them.
COMMIT = (
    _PAGE
    + """
local at = 3

local function take()
    at = at + 1
    return ARGV[at - 1]
end

local function digest(parts)
    local framed = {}
    for i, part in ipairs(parts) do framed[i] = #part .. ':' .. part end
    return redis.sha1hex(table.concat(framed))
end

local checks = {}

function checks.item()
    local value = redis.call('HGET', take(), take())
    return take() == (value and redis.sha1hex(value) or '')
end

function checks.page()
    local found = page(take(), take(), take(), tonumber(take()), tonumber(take()))
    return digest(found) == take()
end

function checks.count()
    return redis.call('HLEN', take()) == tonumber(take())
end

function checks.hashes()
    local wanted, number = {}, 0
    for _, key in ipairs(redis.call('KEYS', take())) do
        if redis.call('TYPE', key).ok == 'hash' then
            wanted[key] = true
            number = number + 1
        end
    end
    local known = tonumber(take())
    local same = known == number
    for _ = 1, known do
        if not wanted[take()] then same = false end
    end
    return same
end

-- How many arguments each write has, and which commands it needs on its hash and on its order.
local arguments = {put = 4, delete = 3, drop = 2}
local needed = {
    put = {{'HSET'}, {'ZADD', 'ZRANGE'}}, delete = {{'HDEL'}, {'ZREM'}}, drop = {{'DEL'}, {'DEL'}},
}
local types = {'hash', 'zset'}

local function forbidden(command, key)
    if not redis.acl_check_cmd then return false end -- Redis 6
    if command == 'DEL' then return not redis.acl_check_cmd(command, key) end
    return not redis.acl_check_cmd(command, key, '1', '1')
end

-- Why the writes that begin at this argument cannot all be made; nil when they can.
local function refusal(from)
    local seen = {}
    while from <= #ARGV do
        local write = ARGV[from]
        for i = 1, 2 do
            local key = ARGV[from + i]
            if not seen[write .. key] then
                seen[write .. key] = true
                for _, command in ipairs(needed[write][i]) do
                    if forbidden(command, key) then
                        return 'NOPERM this user may not ' .. command .. ' ' .. key
                    end
                end
                local found = redis.call('TYPE', key).ok
                if found ~= 'none' and found ~= types[i] then
                    return 'WRONGTYPE ' .. key .. ' is a ' .. found .. ', no ' .. types[i]
                end
            end
        end
        from = from + 1 + arguments[write]
    end
end

local writes = {}

function writes.put()
    local hash, order, field, value = take(), take(), take(), take()
    if redis.call('HSET', hash, field, value) == 1 then
        local last = redis.call('ZRANGE', order, -1, -1, 'WITHSCORES')[2]
        redis.call('ZADD', order, (tonumber(last) or 0) + 1, field)
    end
end

function writes.delete()
    local hash, order, field = take(), take(), take()
    redis.call('HDEL', hash, field)
    redis.call('ZREM', order, field)
end

function writes.drop()
    redis.call('DEL', take(), take())
end

if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
while checks[ARGV[at]] do
    if not checks[take()]() then return 0 end
end
if at > #ARGV then return 1 end
local refused = refusal(at)
if refused then return redis.error_reply(refused) end
while at <= #ARGV do writes[take()]() end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
)
