-- Limits, 3 of 8: leases of requests under way, and what they hold. Model: core/leases.ts
local REQUESTS, TOKENS, QUOTA, LEASE = 1, 2, 4, 8
local LEASES_TTL, CHARGED_TTL = 86400000, 3600000
local PURGED_MAX = 100
local expiry = format('%.0f', now + tonumber(ARGV[2]))
-- Numbers become text slowly; these are needed for each lease.
local now_text, text_of, holds_tokens, holds_quota = format('%.0f', now) .. ':', {}, {}, {}

local function has(flags, flag) return flags % (2 * flag) >= flag end

for flags = 0, 15 do
  text_of[flags], holds_tokens[flags], holds_quota[flags] = tostring(flags), has(flags, TOKENS), has(flags, QUOTA)
end

-- Replaces an estimate by what was used.
local function replace(s, flags, tokens, at, used)
  if holds_tokens[flags] and s.rates then
    s.tp, s.tc = amend(s.ts, s.tp, s.tc, used - tokens, at)
    s.rates_changed = true
  end
  if holds_quota[flags] and s.used then
    s.reserved, s.used = max(0, s.reserved - tokens), s.used + used
    s.quota_changed = true
  end
end

-- Whether the lease was there. It is not any more.
local function release(s, name)
  if call('ZREM', s.leases, name) == 0 then return false end
  s.in_flight = s.in_flight - 1
  return true
end

-- No lease lasts longer than one made now: such an expiry is of a clock that has gone back.
local function shorten(s, count)
  local names = call('ZRANGEBYSCORE', s.leases, '(' .. expiry, '+inf', 'LIMIT', 0, count)
  for _, name in ipairs(names) do call('ZADD', s.leases, expiry, name) end
end

-- Ends up to `count` expired leases and gives back what they held.
local function purge(s, count)
  if not s.leases then return 0 end
  shorten(s, count)
  local names = call('ZRANGEBYSCORE', s.leases, '-inf', now_text:sub(1, -2), 'LIMIT', 0, count)
  if #names == 0 then return 0 end
  call('ZREM', s.leases, unpack(names))
  call('PEXPIRE', s.leases, LEASES_TTL)
  s.in_flight = s.in_flight - #names
  for _, name in ipairs(names) do
    local tokens, at, flags = string.match(name, ':(%d+):(%d+):(%d+)$')
    replace(s, tonumber(flags), tonumber(tokens), tonumber(at), 0)
  end
  return #names
end
