-- Limits, 6 of 7: what becomes of an admitted request. Model: core/model.ts.
-- The op: kind, id, estimate, admitted at, { scope, flags, … }, and for settle: used (-1: unknown), again 0|1.
local function each_hold(op, apply)
  local applied = 0
  for j = 1, #op[5], 2 do
    local s, flags = scopes[op[5][j] + 1], op[5][j + 1]
    local name = flags >= LEASE and member(op[2], op[3], op[4], flags)
    if apply(s, flags, name) then applied = applied + 1 end
  end
  return applied
end

local function settle(op)
  local tokens, at, used, again = op[3], op[4], max(0, op[6]), op[7] == 1
  return each_hold(op, function(s, flags, name)
    if not name then return false end
    if release(s, name) then replace(s, flags, tokens, at, used) return true end
    -- It had expired and its estimate was given back; or, on a second try, the first may have been applied.
    if again or used == 0 then return false end
    replace(s, flags, 0, at, used)
    return true
  end)
end

local function undo(op)
  local tokens, at = op[3], op[4]
  return each_hold(op, function(s, flags, name)
    if name and not release(s, name) then return false end
    replace(s, flags, tokens, at, 0)
    if has(flags, REQUESTS) and s.rates then
      if s.rps >= 0 then s.level = min(s.burst * 1000, s.level + 1000) end
      amend(s.requests, -1, at)
      s.rates_changed = true
    end
    return true
  end)
end

local function renew(op)
  return each_hold(op, function(s, _, name)
    if not name or not s.known[name] then return false end
    s.added[name], s.touched = now + lease_ms, s.touched + 1
    return true
  end)
end

local function reset(op)
  local s, start = scopes[op[2] + 1], op[3]
  if not s.used or s.start >= start then return 0 end
  s.used, s.start, s.ends, s.quota_changed = 0, start, 0, true
  return 1
end
