-- Limits, 2 of 8: scopes of the batch, each read once before the ops and written once after them.
-- Rates are eight doubles: level and time of the bucket; start, previous, current of requests (r) and of tokens (t).
local DOUBLES, RATES_BYTES = '<dddddddd', 64
local AHEAD = 3600000 -- clocks of gateways and of Redis differ by less
local batch, position, keys_taken = cjson.decode(ARGV[3]), 0, 0
local scopes = {}

local function take()
  local at = position + 1
  position = at
  return batch[at]
end

local function next_key()
  keys_taken = keys_taken + 1
  return KEYS[keys_taken]
end

-- The level is in thousandths of a request, so that whole rates need no fractions. `at` 0: never used, full.
-- Times to come are of a clock that has gone back. They become now and are stored, by a refusal too: else nothing would
-- age until the clock is where it was.
local function read_rates(s, rule)
  local stored = call('GET', s.rates)
  if stored and #stored == RATES_BYTES then
    s.is_stored = true
    s.level, s.at, s.rs, s.rp, s.rc, s.ts, s.tp, s.tc = unpack_doubles(DOUBLES, stored)
    if s.at > now or s.rs > now or s.ts > now then s.at, s.rates_changed = min(s.at, now), true end
  end
  if rule.rps >= 0 then
    local full = rule.burst * 1000
    s.level = s.at == 0 and full or min(full, s.level + max(0, now - s.at) * rule.rps)
    s.at = now
  end
  s.rs, s.rp, s.rc = roll(s.rs, s.rp, s.rc)
  s.ts, s.tp, s.tc = roll(s.ts, s.tp, s.tc)
end

-- No quota is known without a stored one or a seed. Where nobody holds a lease, nothing can be reserved.
local function read_quota(s)
  local stored = call('HMGET', s.quota, 'used', 'reserved', 'start', 'end')
  local start, ends = tonumber(stored[3] or -1), tonumber(stored[4] or -1)
  s.used, s.start = tonumber(stored[1] or s.seed), start >= 0 and start or s.period or 0
  s.reserved = s.in_flight > 0 and tonumber(stored[2] or 0) or 0
  if s.period and s.start < s.period then s.used, s.start = 0, s.period end
  -- A period that is far from begun was started by a clock that ran ahead: nothing would be reset before its time.
  if s.period and s.start > s.period and s.start > now + AHEAD then s.start, s.quota_changed = s.period, true end
  s.ends = max(0, ends)
  if s.period_end and (s.period_end == 0 or s.period_end > s.start) then s.ends = s.period_end end
  s.period_changed = s.start ~= start or s.ends ~= ends
end

local function write(s)
  if s.rates_changed and (s.is_stored or s.rule.ttl > 0) then
    local stored = pack(DOUBLES, s.level, s.at, s.rs, s.rp, s.rc, s.ts, s.tp, s.tc)
    if s.rule.ttl > 0 then call('SET', s.rates, stored, 'PX', s.rule.ttl_text)
    else call('SET', s.rates, stored, 'KEEPTTL') end
  end
  if s.quota_changed then
    call('HSET', s.quota, 'used', format('%.0f', s.used), 'reserved', format('%.0f', s.reserved))
    if s.period_changed then call('HSET', s.quota, 'start', s.start, 'end', s.ends) end
  end
  if s.leases and s.in_batch > 0 then call('ZADD', s.leases, unpack(s.added)) end
end
