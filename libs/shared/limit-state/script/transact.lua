-- Limits, 7 of 7: a batch. Model: core/model.ts.
local ADMIT, SETTLE, UNDO, RENEW, REAP = 1, 2, 3, 4, 5
local PURGED_MAX = 100

local function admit(op)
  local id, tokens, base = op[2], op[3], op[4]
  local alternative, at, limit, wait = -1, refusing(base, tokens)
  local asked, shadow = { unpack(base) }, {}
  if not limit and op[5] ~= 0 and #op[5] > 0 then
    alternative, limit, wait = choose(op[5], tokens)
    at = alternative
    asked[#asked + 1] = alternative
  end
  local held, spent, requests, left = {}, -1, nil, nil
  for _, i in ipairs(asked) do
    local s = scopes[i + 1]
    if s.shed then shadow[#shadow + 1], shadow[#shadow + 2] = i, s.shed end
    if s.over then shadow[#shadow + 1], shadow[#shadow + 2] = i, BY_QUOTA end
    if not limit then held[#held + 1], held[#held + 2] = i, charge(s, id, tokens) end
    if s.total then spent = s.used + s.reserved end
    requests, left = figures(s, requests, left)
  end
  requests, left, shadow = requests or 0, left or 0, #shadow > 0 and shadow or 0
  if limit then return { 0, at, requests, left, shadow, limit, wait } end
  return { 1, alternative, requests, left, shadow, #held > 0 and held or 0, spent }
end

-- Which leases that the batch speaks of are there, in one call per scope.
local function look_up(s)
  if not s.asked then return end
  for j, score in ipairs(redis.call('ZMSCORE', s.leases, unpack(s.asked))) do
    if score then s.known[s.asked[j]] = true end
  end
end

for i, def in ipairs(batch[2]) do scopes[i] = read(def) end
for _, op in ipairs(ops) do
  if op[1] == ADMIT then
    for _, i in ipairs(op[4]) do scopes[i + 1].admits = true end
    for _, i in ipairs(op[5] ~= 0 and op[5] or {}) do scopes[i + 1].admits = true end
  elseif op[1] <= RENEW then
    each_hold(op, function(s, _, name)
      if name then s.asked = s.asked or {} s.asked[#s.asked + 1] = name end
    end)
  end
end
for _, s in ipairs(scopes) do
  look_up(s)
  if s.admits then purge(s, PURGED_MAX) end
end
local run = { admit, settle, undo, renew, function(op) return purge(scopes[op[2] + 1], op[3]) end, reset }
local replies = {}
for i, op in ipairs(ops) do replies[i] = run[op[1]](op) end
for _, s in ipairs(scopes) do write(s) if s.leases then write_leases(s) end end
return cjson.encode({ now, replies })
