-- Takes the server's time for the latest seen. KEYS: clock. ARGV: empty, or the time that a test gives.

local time = redis.call('TIME')
local now = ARGV[1]
if now == '' then now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)) end
redis.call('SET', KEYS[1], now)
return 1
