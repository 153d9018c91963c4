-- Counters: a key each, which holds the start of its window in milliseconds and the count, as decimal digits.

-- Kept this long after the window, in milliseconds.
local KEEP = 60000
local DAY = 86400000

-- Counts go up to 2^63 - 1 and Lua's numbers are exact up to 2^53, so a count is two numbers: tens of billions, rest.
local BASE = 10000000000

local function number(digits)
  if #digits <= 10 then return { 0, tonumber(digits) } end
  return { tonumber(string.sub(digits, 1, -11)), tonumber(string.sub(digits, -10)) }
end

local function text(a)
  if a[1] == 0 then return whole(a[2]) end
  return string.format('%.0f%010.0f', a[1], a[2])
end

local function exceeds(a, b)
  return a[1] > b[1] or (a[1] == b[1] and a[2] > b[2])
end

local function add(a, b)
  local low = a[2] + b[2]
  if low >= BASE then return { a[1] + b[1] + 1, low - BASE } end
  return { a[1] + b[1], low }
end

-- Never below zero.
local function subtract(a, b)
  if exceeds(b, a) then return { 0, 0 } end
  local low = a[2] - b[2]
  if low < 0 then return { a[1] - b[1] - 1, low + BASE } end
  return { a[1] - b[1], low }
end

-- Days from 1970-01-01 to the first of a month; years are counted from March, so that the leap day ends them.
local function first_of(year, month)
  if month <= 2 then year, month = year - 1, month + 12 end
  local of_year = math.floor((153 * (month - 3) + 2) / 5)
  return year * 365 + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400) + of_year - 719468
end

-- Where the month of a day begins and ends, in days from 1970-01-01.
local function month_of(day)
  -- A month has 30.436875 days on average, so the guess is a month off at most.
  local months = math.floor(day / 30.436875)
  local function from(n) return first_of(1970 + math.floor(n / 12), n % 12 + 1) end
  while from(months) > day do months = months - 1 end
  while from(months + 1) <= day do months = months + 1 end
  return from(months), from(months + 1)
end

-- The window around a time: `week`, `month`, or the length in seconds of one that is counted from 1970.
local function span(window, now)
  if window == 'month' then
    local starts, ends = month_of(math.floor(now / DAY))
    return starts * DAY, ends * DAY
  end
  if window == 'week' then
    -- 1970-01-05 was a Monday.
    local starts = math.floor((now - 4 * DAY) / (7 * DAY)) * 7 * DAY + 4 * DAY
    return math.max(starts, 0), starts + 7 * DAY
  end
  local length = tonumber(window) * 1000
  local starts = now - now % length
  return starts, starts + length
end

-- The counter in its window: the one of now, or a later one that it is in already.
local function read(key, window, now)
  local starts, ends = span(window, now)
  local counter = { key = key, starts = starts, ends = ends, used = { 0, 0 } }
  local value = redis.call('GET', key)
  if value then
    local began, used = string.match(value, '^(%d+) (%d+)$')
    if not began or #began > 15 or #used > 19 then
      damaged = key
    elseif tonumber(began) >= starts then
      counter.starts = tonumber(began)
      counter.used = number(used)
      local _, later = span(window, counter.starts)
      counter.ends = later
    end
  end
  return counter
end
