-- Answers a question that waits. ARGV: id, the new state. A question that does not wait is answered as it is; one that
-- now has an answer comes with a second row, as it was.

local id = ARGV[3]
local known = row(id)
if not known then return answer({}) end
if known[2] ~= 'pending' or not is_open(known) then return answer({ known }) end
local binding = redis.call('HGET', prefix .. id, 'live')
if not binding then
  -- Before anything is written: half an answer is none.
  damaged = prefix .. id
  return answer({})
end
-- A person may have taken most of the time to answer: the approval lives as long again.
local expires = now + tonumber(known[5]) * 1000
redis.call('HSET', prefix .. id, 'state', ARGV[4], 'expires', whole(expires))
redis.call('ZREM', KEYS[3], id)
local of = redis.call('HGET', prefix .. id, 'of')
if of then redis.call('ZREM', of, id) end
if ARGV[4] == 'withdrawn' then redis.call('HDEL', prefix .. id, 'arguments') end
until_when(id, binding, expires)
return answer({ row(id), known })
