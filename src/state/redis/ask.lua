-- Asks. KEYS[5]: those of the grant that wait, by when they lapse. ARGV: id, ttl in milliseconds, ttl in seconds, body,
-- most that may wait, most of one grant that may, and what is shown of the call.

local known = live()
if known or damaged then return answer({ known }) end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', whole(now))
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', whole(now))
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. whole(now - KEEP), 'LIMIT', 0, SWEEP)
for _, id in ipairs(old) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('DEL', prefix .. id)
end
if redis.call('ZCARD', KEYS[5]) >= tonumber(ARGV[8]) then return redis.error_reply('MCPOLGRANTFULL') end
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[7]) then return redis.error_reply('MCPOLFULL') end
local id = ARGV[3]
if redis.call('EXISTS', prefix .. id) == 1 then return redis.error_reply('MCPOLTAKEN') end
local expires = now + tonumber(ARGV[4])
redis.call('HSET', prefix .. id, 'state', 'pending', 'created', whole(now), 'expires', whole(expires), 'ttl', ARGV[5],
  'body', ARGV[6], 'live', KEYS[4], 'of', KEYS[5])
if ARGV[9] then redis.call('HSET', prefix .. id, 'arguments', ARGV[9]) end
until_when(id, KEYS[4], expires)
redis.call('ZADD', KEYS[3], whole(expires), id)
redis.call('ZADD', KEYS[5], whole(expires), id)
redis.call('PEXPIREAT', KEYS[5], whole(expires + KEEP + shift))
return answer({ row(id) })
