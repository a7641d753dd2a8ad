-- Limits, 4 of 8: whether a request fits a scope. Model: core/admit.ts, core/quota.ts
local BY_RPS, BY_RPM, BY_TPM, BY_CONCURRENT, BY_QUOTA = 0, 1, 2, 3, 4
local SOON = 1000 -- what is held will be given back, nobody knows when

local function is_longer(wait, than) return than ~= NEVER and (wait == NEVER or wait > than) end

-- The limit that makes a request wait longest, and how long; nil, 0: none.
local function rates_refusal(s, tokens)
  local rule, limit, wait = s.rule, nil, 0
  if rule.rps >= 0 then
    local w = bucket_wait(s.level, rule)
    if w ~= 0 then limit, wait = BY_RPS, w end
  end
  if rule.rpm >= 0 then
    local w = window_wait(s.rs, s.rp, s.rc, rule.rpm, 1)
    if w ~= 0 and is_longer(w, wait) then limit, wait = BY_RPM, w end
  end
  if rule.tpm >= 0 then
    local w = window_wait(s.ts, s.tp, s.tc, rule.tpm, tokens)
    if w ~= 0 and is_longer(w, wait) then limit, wait = BY_TPM, w end
  end
  if rule.concurrent >= 0 and s.in_flight + 1 > rule.concurrent then
    local w = rule.concurrent < 1 and NEVER or SOON
    if is_longer(w, wait) then limit, wait = BY_CONCURRENT, w end
  end
  return limit, wait
end

local function quota_wait(s, tokens)
  if s.used >= s.total or s.used + tokens > s.total then return NEVER end
  return s.used + s.reserved + tokens > s.total and SOON or 0
end

-- Before a scope refuses, those of its leases that have expired are ended.
local function has_room_after_purge(s)
  if not s.leases or s.is_purged then return false end
  s.is_purged = true
  return purge(s, PURGED_MAX) > 0
end

-- The enforced limit that refuses, and how long; would-be refusals in `shed` (not charged) and `over` (quota).
local function refusal(s, tokens)
  local rule = s.rule
  s.shed, s.over = nil, nil
  -- What the rest says of a request that fits, in one expression: this is run for every scope of every request.
  if (rule.rps < 0 or s.level >= 1000 and rule.rps > 0 and rule.burst >= 1)
    and (rule.rpm < 0 or rule.rpm > 0 and s.rp * (WINDOW - (now - s.rs)) <= (rule.rpm - s.rc - 1) * WINDOW)
    and (rule.tpm < 0 or rule.tpm > 0 and s.tp * (WINDOW - (now - s.ts)) <= (rule.tpm - s.tc - tokens) * WINDOW)
    and (rule.concurrent < 0 or s.in_flight + 1 <= rule.concurrent)
    and (not s.total or s.used < s.total and s.used + s.reserved + tokens <= s.total) then return nil, 0 end
  if has_room_after_purge(s) then return refusal(s, tokens) end
  local limit, wait = rates_refusal(s, tokens)
  if limit and s.shadow then s.shed, limit, wait = limit, nil, 0 end
  local by_quota = s.total and quota_wait(s, tokens) or 0
  if by_quota ~= 0 then
    if s.quota_shadow then s.over = true
    elseif is_longer(by_quota, wait) then limit, wait = BY_QUOTA, by_quota end
  end
  return limit, wait
end
