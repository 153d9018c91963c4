-- A page of what is stored. KEYS: clock. ARGV: the cursor, the pattern of the counters' keys, and about how many. Answers
-- the next cursor, the latest time seen, and each key with its value.

local page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local out = {}
for _, key in ipairs(page[2]) do
  local value = redis.call('GET', key)
  if value then out[#out + 1] = { key, value } end
end
return { page[1], redis.call('GET', KEYS[1]) or '0', out }
