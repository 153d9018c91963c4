-- Asks. ARGV: id, ttl in milliseconds, ttl in seconds, body, most that may wait, and the arguments if they are kept.

local known = live()
if known or damaged then return answer({ known }) end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', whole(now))
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. whole(now - KEEP), 'LIMIT', 0, SWEEP)
for _, id in ipairs(old) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('DEL', prefix .. id)
end
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[7]) then return redis.error_reply('MCPOLFULL') end
local id = ARGV[3]
if redis.call('EXISTS', prefix .. id) == 1 then return redis.error_reply('MCPOLTAKEN') end
local expires = now + tonumber(ARGV[4])
redis.call('HSET', prefix .. id, 'state', 'pending', 'created', whole(now), 'expires', whole(expires), 'ttl', ARGV[5],
  'body', ARGV[6], 'live', KEYS[4])
if ARGV[8] then redis.call('HSET', prefix .. id, 'arguments', ARGV[8]) end
until_when(id, KEYS[4], expires)
redis.call('ZADD', KEYS[3], whole(expires), id)
return answer({ row(id) })
