-- Limits, 5 of 8: a request is charged to its scopes and told how near their limits are. Model: core/admit.ts
local replies, replied = { now }, 1

local function reply(value)
  replied = replied + 1
  replies[replied] = value
end

local function charge(s, name, tokens)
  local rule, flags = s.rule, 0
  if s.rates and not s.shed then
    s.rc, s.rates_changed, flags = s.rc + 1, true, REQUESTS
    if rule.rps >= 0 then s.level = s.level - 1000 end
    if rule.tpm >= 0 then s.tc, flags = s.tc + tokens, REQUESTS + TOKENS end
  end
  if s.total then s.reserved, s.quota_changed, flags = s.reserved + tokens, true, flags + QUOTA end
  if s.leases then
    local added, n = s.added, s.in_batch
    added[n + 1], added[n + 2] = expiry, name .. text_of[flags + LEASE]
    s.in_batch, s.in_flight = n + 2, s.in_flight + 1
  end
end

-- The scope, and which of its limits, that leaves the least.
local nearest, nearest_limit, nearest_left, tokens_nearest, tokens_left

local function consider(s)
  local rule = s.rule
  if s.shadow then return end
  if rule.rps >= 0 and (not nearest or s.level / 1000 < nearest_left) then
    nearest, nearest_limit, nearest_left = s, BY_RPS, s.level / 1000
  end
  if rule.rpm >= 0 then
    local left = rule.rpm - s.rc - s.rp * (WINDOW - (now - s.rs)) / WINDOW
    if not nearest or left < nearest_left then nearest, nearest_limit, nearest_left = s, BY_RPM, left end
  end
  if rule.tpm >= 0 then
    local left = rule.tpm - s.tc - s.tp * (WINDOW - (now - s.ts)) / WINDOW
    if not tokens_nearest or left < tokens_left then tokens_nearest, tokens_left = s, left end
  end
end

-- Twice limit, remaining, reset; or one -1 where there is no limit.
local function reply_figures()
  local s, n = nearest, replied
  if not s then n = n + 1 replies[n] = NEVER
  else
    local rule, limit, reset = s.rule, s.rule.rpm, nil
    if nearest_limit == BY_RPM then reset = window_reset(s.rs, s.rp, s.rc)
    else limit, reset = floor(rule.burst), rule.rps > 0 and ceil((rule.burst * 1000 - s.level) / rule.rps) or 0 end
    replies[n + 1], replies[n + 2], replies[n + 3], n = limit, max(0, floor(nearest_left)), reset, n + 3
  end
  s = tokens_nearest
  if not s then n = n + 1 replies[n] = NEVER
  else
    local left, reset = max(0, floor(tokens_left)), window_reset(s.ts, s.tp, s.tc)
    replies[n + 1], replies[n + 2], replies[n + 3], n = s.rule.tpm, left, reset, n + 3
  end
  replied = n
end
