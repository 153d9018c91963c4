-- Where counters stand, without a change. KEYS: clock, counters. ARGV: time, the window of each counter. Answers for each
-- the count and the end of the window.

local now = clock(false)
local out = {}
for at = 2, #KEYS do
  local counter = read(KEYS[at], ARGV[at], now)
  out[#out + 1] = { text(counter.used), whole(counter.ends) }
end
if damaged then return damage() end
return out
