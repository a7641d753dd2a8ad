-- A worker is alive; how many are.
-- KEYS[1]  sorted set: worker → its last sign of life
-- ARGV     now_ms (0: the clock of Redis), worker, ttl_ms
-- reply    workers with a sign of life within ttl_ms, this one included
local now, ttl = tonumber(ARGV[1]), tonumber(ARGV[3])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
redis.call('ZADD', KEYS[1], now, ARGV[2])
-- Signs to come are of a clock that has gone back: they count from now, else dead workers would share for as long.
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  redis.call('ZADD', KEYS[1], now, worker)
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl)
redis.call('PEXPIRE', KEYS[1], ttl)
return redis.call('ZCARD', KEYS[1])
