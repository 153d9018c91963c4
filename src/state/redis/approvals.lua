-- Questions to people. KEYS: clock; all questions by when they lapse; those that wait, likewise; the one that is live
-- for a binding. ARGV: time, the prefix of a question's own key, then what the operation needs.

-- Questions are kept this long after they lapsed, in milliseconds.
local KEEP = 7 * 86400000
-- Lapsed questions taken out of the list at a time.
local SWEEP = 100

local now, shift = clock(true)
if damaged then return damage() end
local prefix = ARGV[2]

-- id, state, created, expires, ttl, body, arguments; nothing if it is gone.
local function row(id)
  local fields = redis.call('HMGET', prefix .. id, 'state', 'created', 'expires', 'ttl', 'body', 'arguments')
  if not fields[1] then return nil end
  local function is_whole(field) return field and #field <= 15 and string.match(field, '^%d+$') end
  if not (is_whole(fields[2]) and is_whole(fields[3]) and is_whole(fields[4])) then
    damaged = prefix .. id
    return nil
  end
  return { id, fields[1], fields[2], fields[3], fields[4], fields[5], fields[6] }
end

local function is_open(question)
  return question and question[2] ~= 'used' and question[2] ~= 'withdrawn' and tonumber(question[4]) > now
end

-- The question that is live for the binding.
local function live()
  local id = redis.call('GET', KEYS[4])
  local question = id and row(id)
  if is_open(question) then return question end
  return nil
end

-- Notes until when a question is live, and how long it is kept.
local function until_when(id, binding, expires)
  redis.call('ZADD', KEYS[2], whole(expires), id)
  redis.call('PEXPIREAT', prefix .. id, whole(expires + KEEP + shift))
  redis.call('SET', binding, id, 'PXAT', whole(expires + KEEP + shift))
end

local function answer(questions)
  if damaged then return damage() end
  return { whole(now), questions }
end
