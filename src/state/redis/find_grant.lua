-- The grant of a token. KEYS: grants by name, names by token. ARGV: the token's hash.

local name = redis.call('HGET', KEYS[2], ARGV[1])
return name and redis.call('HGET', KEYS[1], name)
