-- Every question that is still kept, or the one whose id is ARGV[3].

local ids = ARGV[3] and { ARGV[3] } or redis.call('ZRANGE', KEYS[2], 0, -1)
local out = {}
for _, id in ipairs(ids) do out[#out + 1] = row(id) end
return answer(out)
