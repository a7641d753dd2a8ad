-- Count one failed authentication of a scope; the one that makes it too many blocks the scope and tells every gateway.
-- KEYS[1]  counter; it lives for one window, and from the block on for as long as that lasts
-- ARGV     failures_max, window_ms, block_ms, channel, message
-- reply    blocked_ms: 0 when the scope is not blocked
local failures_max, window_ms, block_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local failures = redis.call('INCR', KEYS[1])

-- How long the counter still lives: `most`, where a clock that has gone back left it more.
local function at_most(most)
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left <= most then return left end
  redis.call('PEXPIRE', KEYS[1], most)
  return most
end

if failures < failures_max then
  at_most(window_ms)
  return 0
end
-- Failures of gateways that have not heard yet do not lengthen the block.
if failures > failures_max then return math.max(at_most(block_ms), 1) end
redis.call('PEXPIRE', KEYS[1], block_ms)
redis.call('PUBLISH', ARGV[4], ARGV[5])
return block_ms
