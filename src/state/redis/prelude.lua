-- What every script begins with. The store's clock is the server's, and the latest time it has seen: a clock that steps
-- back reopens no window. KEYS[1] keeps that time; ARGV[1] is empty, or the time that a test gives.

-- The key of what cannot be read, if there is such a thing: then nothing may be changed.
local damaged = nil

-- Furthest that the clock may be from the latest time seen, in milliseconds. Further is a clock that is wrong.
local JUMP = 366 * 86400000
-- Both times, if they are further apart.
local jumped = nil

-- Milliseconds since 1970, and what to add to make an expiry out of one: nothing, but in tests.
local function clock(keep)
  local time = redis.call('TIME')
  local real = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  local now = real
  if ARGV[1] ~= '' then now = tonumber(ARGV[1]) end
  local shift = real - now
  local stored = redis.call('GET', KEYS[1]) or '0'
  -- Digits alone: Lua takes `nan` and `inf` for numbers too, and what is no number compares with none. More digits than
  -- any time has are none of ours.
  local latest = string.match(stored, '^%d+$') and #stored <= 15 and tonumber(stored)
  if not latest then
    damaged = KEYS[1]
    latest = 0
  end
  if latest > 0 and math.abs(now - latest) > JUMP then
    damaged = KEYS[1]
    jumped = string.format('%.0f %.0f', latest, now)
    return latest, shift
  end
  if latest > now then
    now = latest
  elseif keep and now >= latest + 1000 then
    redis.call('SET', KEYS[1], string.format('%.0f', now))
  end
  return now, shift
end

local function whole(number)
  return string.format('%.0f', number)
end

local function damage()
  if jumped then return redis.error_reply('MCPOLJUMPED ' .. jumped) end
  return redis.error_reply('MCPOLDAMAGED ' .. damaged)
end
