-- Notes that a grant has begun a task. KEYS: clock, the task, the grant's tasks by when they were begun. ARGV: time, the
-- grant, the task, what begins the key of a task, how long one is kept in milliseconds, most tasks of a grant, and how it is
-- claimed if it can be one grant's alone. Answers 1 if it is the grant's now.

local now, shift = clock(true)
if damaged then return damage() end
local keep = tonumber(ARGV[5])
local mine = 'one ' .. ARGV[2]
local known = redis.call('GET', KEYS[2])
if ARGV[7] == 'named' and known and known ~= mine then return 0 end
if ARGV[7] == '' and known and known ~= mine then
  -- Another grant has begun a task of this id: it is neither's from now on.
  redis.call('SET', KEYS[2], 'several', 'PXAT', whole(now + keep + shift))
  return 0
end
redis.call('SET', KEYS[2], mine, 'PXAT', whole(now + keep + shift))
redis.call('ZADD', KEYS[3], whole(now), ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', whole(now - keep))
while redis.call('ZCARD', KEYS[3]) > tonumber(ARGV[6]) do
  local oldest = ARGV[4] .. redis.call('ZPOPMIN', KEYS[3])[1]
  -- What two grants have begun stays doubtful for as long as it is kept.
  if redis.call('GET', oldest) == mine then redis.call('DEL', oldest) end
end
redis.call('PEXPIREAT', KEYS[3], whole(now + keep + shift))
return 1
