-- Limits, 4 of 7: whether a request fits a scope. Model: core/admit.ts, core/quota.ts.
local BY_RPS, BY_RPM, BY_TPM, BY_CONCURRENT, BY_QUOTA = 0, 1, 2, 3, 4
local SOON = 1000 -- what is held will be given back, nobody knows when

local function is_longer(wait, than) return than ~= NEVER and (wait == NEVER or wait > than) end

-- The limit that makes a request wait longest, and how long; nil, 0: none.
local function rates_refusal(s, tokens)
  local limit, wait = nil, 0
  if s.rps >= 0 then
    local w = bucket_wait(s)
    if is_longer(w, wait) then limit, wait = BY_RPS, w end
  end
  if s.rpm >= 0 then
    local w = window_wait(s.requests, s.rpm, 1)
    if is_longer(w, wait) then limit, wait = BY_RPM, w end
  end
  if s.tpm >= 0 then
    local w = window_wait(s.tokens, s.tpm, tokens)
    if is_longer(w, wait) then limit, wait = BY_TPM, w end
  end
  if s.concurrent >= 0 and s.in_flight + 1 > s.concurrent then
    local w = s.concurrent < 1 and NEVER or SOON
    if is_longer(w, wait) then limit, wait = BY_CONCURRENT, w end
  end
  return limit, wait
end

local function quota_wait(s, tokens)
  if s.used >= s.total or s.used + tokens > s.total then return NEVER end
  return s.used + s.reserved + tokens > s.total and SOON or 0
end

-- The enforced limit that refuses, and how long; would-be refusals in `shed` (not charged) and `over` (quota).
local function refusal(s, tokens)
  local limit, wait = rates_refusal(s, tokens)
  s.shed, s.over = nil, false
  if limit and s.shadow then s.shed, limit, wait = limit, nil, 0 end
  local by_quota = s.total and quota_wait(s, tokens) or 0
  if by_quota ~= 0 then
    if s.quota_shadow then s.over = true
    elseif is_longer(by_quota, wait) then limit, wait = BY_QUOTA, by_quota end
  end
  return limit, wait
end

local function tighter(best, limit, remaining, reset)
  if best and best[2] <= remaining then return best end
  return { limit, remaining, reset }
end
