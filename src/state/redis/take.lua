-- Uses an approval up: the one caller for whom it was there gets the question as it was.

local known = live()
if not known or known[2] ~= 'approved' then return answer({}) end
redis.call('HSET', prefix .. known[1], 'state', 'used')
redis.call('HDEL', prefix .. known[1], 'arguments')
redis.call('DEL', KEYS[4])
return answer({ known })
