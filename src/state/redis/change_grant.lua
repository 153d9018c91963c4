-- Puts a grant in the place of what was there, if it is still the same. KEYS: grants by name, names by token, servers.
-- ARGV: name, the grant that was there or nothing, the new one, the token that is worthless from now on or nothing, the
-- token that is good, most grants, and the servers.

local known = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if known ~= ARGV[2] then return 'changed' end
if known == '' and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[6]) then return 'full' end
if ARGV[4] ~= '' then redis.call('HDEL', KEYS[2], ARGV[4]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[5], ARGV[1])
for at = 7, #ARGV do redis.call('SADD', KEYS[3], ARGV[at]) end
return 'done'
