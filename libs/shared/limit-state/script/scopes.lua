-- Limits, 2 of 7: scopes of the batch, each read once before the ops and written once after them.
local batch = cjson.decode(ARGV[2])
local lease_ms, ops = batch[1], batch[3]
local scopes, keys_taken = {}, 0
local RATES = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$'

local function next_key()
  keys_taken = keys_taken + 1
  return KEYS[keys_taken]
end

local function read_rates(s)
  local stored = redis.call('GET', s.rates)
  local level, at, rs, rp, rc, ts, tp, tc = string.match(stored or '0 0 0 0 0 0 0 0', RATES)
  s.level, s.at, s.is_stored = tonumber(level), tonumber(at), stored ~= false
  s.requests = { start = tonumber(rs), previous = tonumber(rp), current = tonumber(rc) }
  s.tokens = { start = tonumber(ts), previous = tonumber(tp), current = tonumber(tc) }
  refill(s)
  roll(s.requests)
  roll(s.tokens)
end

-- No quota is known without a stored one or a seed. Where nobody holds a lease, nothing can be reserved.
local function read_quota(s)
  local stored = redis.call('HMGET', s.quota, 'used', 'reserved', 'start', 'end')
  s.used, s.start = tonumber(stored[1] or s.seed), tonumber(stored[3] or s.period or 0)
  s.reserved = s.in_flight > 0 and tonumber(stored[2] or 0) or 0
  if s.period and s.start < s.period then s.used, s.start = 0, s.period end
  local ends = s.period_end or -1
  s.ends = (ends == 0 or ends > s.start) and ends or tonumber(stored[4] or 0)
end

local function read(def)
  local uses, s = def[1], { rps = def[2], burst = def[3], rpm = def[4], tpm = def[5], concurrent = def[6] }
  s.shadow, s.ttl = def[7] == 1, def[8]
  s.total, s.seed, s.period, s.period_end, s.quota_shadow = def[9], def[10], def[11], def[12], def[13] == 1
  if uses % 2 == 1 then s.rates = next_key() read_rates(s) end
  if uses % 4 >= 2 then
    s.leases, s.known, s.added, s.gone, s.touched = next_key(), {}, {}, {}, 0
    s.in_flight = redis.call('ZCARD', s.leases)
  end
  if uses >= 4 then s.quota = next_key() read_quota(s) end
  return s
end

local function write(s)
  if s.rates_changed and (s.is_stored or s.ttl > 0) then
    local r, t = s.requests, s.tokens
    local text = string.format('%.17g %.0f %.0f %.0f %.0f %.0f %.0f %.0f',
      s.level, s.at, r.start, r.previous, r.current, t.start, t.previous, t.current)
    if s.ttl > 0 then redis.call('SET', s.rates, text, 'PX', s.ttl)
    else redis.call('SET', s.rates, text, 'KEEPTTL') end
  end
  if s.quota_changed then
    redis.call('HSET', s.quota, 'used', s.used, 'reserved', s.reserved, 'start', s.start, 'end', s.ends)
  end
end
