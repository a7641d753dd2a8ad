-- Limits, 3 of 7: leases of requests under way, and what they hold. Model: core/leases.ts.
local REQUESTS, TOKENS, QUOTA, LEASE = 1, 2, 4, 8
local LEASES_TTL = 86400000 -- a scope that nobody uses or looks after for a day

local function has(flags, flag) return flags % (2 * flag) >= flag end
local function member(id, tokens, at, flags) return id .. ':' .. tokens .. ':' .. at .. ':' .. flags end

-- Replaces an estimate by what was used.
local function replace(s, flags, tokens, at, used)
  if has(flags, TOKENS) and s.rates then
    amend(s.tokens, used - tokens, at)
    s.rates_changed = true
  end
  if has(flags, QUOTA) and s.used then
    s.reserved, s.used = max(0, s.reserved - tokens), s.used + used
    s.quota_changed = true
  end
end

-- Whether the lease was there. It is not any more.
local function release(s, name)
  if not s.known[name] then return false end
  s.known[name], s.added[name], s.gone[name] = nil, nil, true
  s.in_flight, s.touched = s.in_flight - 1, s.touched + 1
  return true
end

local function hold(s, name)
  s.known[name], s.added[name] = true, now + lease_ms
  s.in_flight = s.in_flight + 1
end

-- Ends up to `count` expired leases and gives back what they held. Redis does not know yet what this batch touched.
local function purge(s, count)
  local purged = 0
  if not s.leases then return purged end
  local expired = redis.call('ZRANGEBYSCORE', s.leases, '-inf', now, 'LIMIT', 0, count + s.touched)
  for _, name in ipairs(expired) do
    if purged < count and not s.gone[name] and not s.added[name] then
      local tokens, at, flags = string.match(name, ':(%d+):(%d+):(%d+)$')
      s.known[name] = true
      release(s, name)
      replace(s, tonumber(flags), tonumber(tokens), tonumber(at), 0)
      purged = purged + 1
    end
  end
  return purged
end

local function write_leases(s)
  local gone, added = {}, {}
  for name in pairs(s.gone) do gone[#gone + 1] = name end
  for name, expiry in pairs(s.added) do added[#added + 1], added[#added + 2] = expiry, name end
  if #gone > 0 then redis.call('ZREM', s.leases, unpack(gone)) end
  if #added > 0 then
    redis.call('ZADD', s.leases, unpack(added))
    redis.call('PEXPIRE', s.leases, LEASES_TTL)
  end
end
