-- Reserves the charges of many calls, in order; each call all or none. KEYS: clock, counters. ARGV: time, the window of
-- each counter, and for each call how many charges it has, and of each the counter, the amount and the maximum.
-- Answers the time, and for each call `held` with the starts of the windows, or `refused` with the charge that did not
-- fit, the count, and the end of the window.

local now, shift = clock(true)
local counters = {}
for at = 2, #KEYS do counters[at - 1] = read(KEYS[at], ARGV[at], now) end
if damaged then return damage() end

local out = {}
local at = #KEYS + 1
while at <= #ARGV do
  local last = at + 3 * tonumber(ARGV[at])
  local sums, outcome = {}, { 'held' }
  for charge = at + 1, last, 3 do
    local index = tonumber(ARGV[charge])
    local counter = counters[index]
    local sum = add(sums[index] or counter.used, number(ARGV[charge + 1]))
    if exceeds(sum, number(ARGV[charge + 2])) then
      outcome = { 'refused', whole((charge - at - 1) / 3), text(counter.used), whole(counter.ends) }
      sums = {}
      break
    end
    sums[index] = sum
    outcome[#outcome + 1] = whole(counter.starts)
  end
  for index, sum in pairs(sums) do
    counters[index].used = sum
    counters[index].changed = true
  end
  out[#out + 1] = outcome
  at = last + 1
end
for _, counter in ipairs(counters) do
  if counter.changed then
    local value = whole(counter.starts) .. ' ' .. text(counter.used)
    redis.call('SET', counter.key, value, 'PXAT', whole(counter.ends + KEEP + shift))
  end
end
return { whole(now), out }
