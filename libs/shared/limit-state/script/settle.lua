-- Limits, 6 of 8: what becomes of an admitted request. Model: core/model.ts
-- The ops: name of the lease up to its flags, estimate, admitted at, count of scopes, { scope, flags }…
local function each_hold(apply)
  local prefix, tokens, at, count = take(), take(), take(), take()
  local first, applied = position, 0
  position = position + 2 * count
  for i = first + 1, position, 2 do
    local s, flags = scopes[batch[i]], batch[i + 1]
    local name = flags >= LEASE and prefix .. text_of[flags]
    if apply(s, flags, name, tokens, at) then applied = applied + 1 end
  end
  return applied
end

-- Before the lease: used (-1: unknown), again 0|1
local function settle()
  local used, again = max(0, take()), take() == 1
  local prefix, tokens, at, count = take(), take(), take(), take()
  local first, applied = position + 1, 0
  position = position + 2 * count
  for i = first, position, 2 do
    local s, flags = scopes[batch[i]], batch[i + 1]
    local was_held = flags >= LEASE and release(s, prefix .. text_of[flags])
    -- Not held: it had expired and its estimate was given back; or, on a second try, the first may have been applied.
    if was_held or flags >= LEASE and used > 0 and not again then
      replace(s, flags, was_held and tokens or 0, at, used)
      applied = applied + 1
    end
  end
  return applied
end

-- Before the lease: how many requests, once 0|1
local function charge_elsewhere()
  local requests, once = take(), take() == 1
  return each_hold(function(s, flags, name, tokens, at)
    if name then
      if call('ZSCORE', s.leases, name) then return false end
      call('ZADD', s.leases, expiry, name)
      s.in_flight = s.in_flight + 1
    elseif once and not call('SET', next_key(), '', 'NX', 'PX', CHARGED_TTL) then return false
    end
    if s.rates and has(flags, REQUESTS) then
      if s.rule.rps >= 0 then s.level = s.level - 1000 * requests end
      s.rs, s.rp, s.rc = charged(s.rs, s.rp, s.rc, requests, at)
      if holds_tokens[flags] then s.ts, s.tp, s.tc = charged(s.ts, s.tp, s.tc, tokens, at) end
      s.rates_changed = true
    end
    if holds_quota[flags] and s.used then
      if name then s.reserved = s.reserved + tokens else s.used = s.used + tokens end
      s.quota_changed = true
    end
    return true
  end)
end

local function undo_hold(s, flags, name, tokens, at)
  if name and not release(s, name) then return false end
  replace(s, flags, tokens, at, 0)
  if has(flags, REQUESTS) and s.rates then
    if s.rule.rps >= 0 then s.level = min(s.rule.burst * 1000, s.level + 1000) end
    s.rp, s.rc = amend(s.rs, s.rp, s.rc, -1, at)
    s.rates_changed = true
  end
  return true
end

local function renew_hold(s, _, name)
  if not name or not call('ZSCORE', s.leases, name) then return false end
  call('ZADD', s.leases, expiry, name)
  call('PEXPIRE', s.leases, LEASES_TTL)
  return true
end

local function reset()
  local s, start = scopes[take()], take()
  if not s.used or s.start >= start then return 0 end
  s.used, s.start, s.ends, s.quota_changed, s.period_changed = 0, start, 0, true, true
  return 1
end
