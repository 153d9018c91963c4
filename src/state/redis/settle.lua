-- Gives back what calls did not use, in the window in which it was reserved only: the next one never had these units.
-- KEYS: clock, one counter a receipt. ARGV: time, and for each receipt the start of the window and the amount.

for at = 2, #KEYS do
  local value = redis.call('GET', KEYS[at])
  if value then
    local began, used = string.match(value, '^(%d+) (%d+)$')
    if not began or #used > 19 then
      damaged = KEYS[at]
      return damage()
    end
    if began == ARGV[2 * at - 2] then
      local left = subtract(number(used), number(ARGV[2 * at - 1]))
      redis.call('SET', KEYS[at], began .. ' ' .. text(left), 'KEEPTTL')
    end
  end
end
return 1
