-- Limits, 8 of 8: reads what a batch needs, runs its ops, writes what they changed. Model: core/model.ts
local ADMIT, SETTLE, UNDO, RENEW, REAP, CHARGE = 1, 2, 3, 4, 5, 7
-- Of a scope, beside the keys it uses.
local USES_RATES, USES_LEASES, USES_QUOTA, IS_SHADOW, HAS_QUOTA, IS_QUOTA_SHADOW = 1, 2, 4, 8, 16, 32

local rules = {}
for i = 1, take() do
  local rule = { rps = take(), burst = take(), rpm = take(), tpm = take(), concurrent = take(), ttl = take() }
  rule.ttl_text = format('%.0f', rule.ttl)
  rules[i] = rule
end

local function read(rule, flags)
  local s = {
    rule = rule, shadow = has(flags, IS_SHADOW), in_flight = 0,
    level = 0, at = 0, rs = 0, rp = 0, rc = 0, ts = 0, tp = 0, tc = 0,
  }
  if has(flags, HAS_QUOTA) then
    s.total, s.seed = take(), take()
    s.period, s.period_end = take(), take()
    s.quota_shadow = has(flags, IS_QUOTA_SHADOW)
  end
  if has(flags, USES_RATES) then
    s.rates = next_key()
    read_rates(s, rule)
  end
  if has(flags, USES_LEASES) then
    s.leases, s.added, s.in_batch = next_key(), {}, 0
    s.in_flight = call('ZCARD', s.leases)
  end
  if has(flags, USES_QUOTA) then
    s.quota = next_key()
    read_quota(s)
  end
  return s
end

for i = 1, take() do scopes[i] = read(rules[take()], take()) end
for _ = 1, take() do
  local op = take()
  if op == ADMIT then admit()
  elseif op == SETTLE then reply(settle())
  elseif op == UNDO then reply(each_hold(undo_hold))
  elseif op == RENEW then reply(each_hold(renew_hold))
  elseif op == CHARGE then reply(charge_elsewhere())
  elseif op == REAP then reply(purge(scopes[take()], take()))
  else reply(reset()) end
end
for _, s in ipairs(scopes) do
  write(s)
  local rule = s.rule
  if rule.rpm >= 0 then reply(ceil(window_used(s.rs, s.rp, s.rc))) end
  if rule.tpm >= 0 then reply(ceil(window_used(s.ts, s.tp, s.tc))) end
  if rule.rps >= 0 then reply(floor(s.level)) end
  if s.total then reply(s.used + s.reserved) end
end
return replies
