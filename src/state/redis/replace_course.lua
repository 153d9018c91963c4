-- KEYS: what is kept of a session. ARGV: what was read of it (empty for nothing), what it is now, and for how many
-- milliseconds it is kept. Answers 1, or 0 where it is not any more what was read.
local held = redis.call('GET', KEYS[1]) or ''
if held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
