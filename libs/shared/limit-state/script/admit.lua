-- Limits, 5 of 7: all scopes of a request, or none. Model: core/admit.ts.
local function window_figure(best, w, limit)
  local left = max(0, floor(limit - w.current - w.previous * (WINDOW - (now - w.start)) / WINDOW))
  local windows = w.current > 0 and 2 or w.previous > 0 and 1 or 0
  return tighter(best, limit, left, windows == 0 and 0 or w.start + windows * WINDOW - now)
end

local function figures(s, requests, tokens)
  if s.shadow then return requests, tokens end
  if s.rps >= 0 then
    local reset = s.rps > 0 and ceil((s.burst * 1000 - s.level) / s.rps) or 0
    requests = tighter(requests, floor(s.burst), floor(s.level / 1000), reset)
  end
  if s.rpm >= 0 then requests = window_figure(requests, s.requests, s.rpm) end
  if s.tpm >= 0 then tokens = window_figure(tokens, s.tokens, s.tpm) end
  return requests, tokens
end

local function charge(s, id, tokens)
  local flags = 0
  if s.rates and not s.shed then
    s.requests.current, s.rates_changed, flags = s.requests.current + 1, true, REQUESTS
    if s.rps >= 0 then s.level = s.level - 1000 end
    if s.tpm >= 0 then s.tokens.current, flags = s.tokens.current + tokens, REQUESTS + TOKENS end
  end
  if s.total then s.reserved, s.quota_changed, flags = s.reserved + tokens, true, flags + QUOTA end
  if s.leases then
    flags = flags + LEASE
    hold(s, member(id, tokens, now, flags))
  end
  return flags
end

-- The first alternative that fits; else the one that will soonest.
local function choose(alternatives, tokens)
  local chosen, limit, wait
  for _, i in ipairs(alternatives) do
    local by, w = refusal(scopes[i + 1], tokens)
    if not by then return i end
    if not chosen or is_longer(wait, w) then chosen, limit, wait = i, by, w end
  end
  return chosen, limit, wait
end

local function refusing(base, tokens)
  local at, limit, wait = nil, nil, 0
  for _, i in ipairs(base) do
    local by, w = refusal(scopes[i + 1], tokens)
    if by and is_longer(w, wait) then at, limit, wait = i, by, w end
  end
  return at, limit, wait
end
