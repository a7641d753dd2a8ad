-- For the spec: adds up numbers kept in Redis.
-- KEYS   counters
-- ARGV   more
-- reply  total
local total = more
for _, key in ipairs(KEYS) do total = total + tonumber(redis.call('GET', key) or '0') end
return total
