-- Limits, 1 of 7: time, the sliding minute, the token bucket. Model: core/sliding-window.ts, core/token-bucket.ts
-- KEYS   of each scope of the batch, as far as used: rates, leases, quota
-- ARGV   now_ms (0: the clock of Redis), the batch as JSON (core/wire.ts)
-- reply  JSON: [now_ms, [one reply per op]]
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local WINDOW, NEVER = 60000, -1

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

-- A window that is over becomes the previous one. A clock that went back restarts it and forgets nothing.
local function roll(w)
  w.start = min(w.start, now)
  local age = now - w.start
  if age >= 2 * WINDOW then
    w.start, w.previous, w.current = now, 0, 0
  elseif age >= WINDOW then
    w.start, w.previous, w.current = w.start + WINDOW, w.current, 0
  end
end

-- How long until `cost` fits; 0: it fits.
local function window_wait(w, limit, cost)
  if limit <= 0 or cost > limit then return NEVER end
  local age, room = now - w.start, limit - w.current - cost
  if w.previous * (WINDOW - age) <= room * WINDOW then return 0 end
  local ripe = room > 0 and WINDOW - floor(room * WINDOW / w.previous) or WINDOW
  if ripe < WINDOW then return ripe - age end
  if w.current == 0 then return WINDOW - age end
  return WINDOW - age + max(0, WINDOW - floor((limit - cost) * WINDOW / w.current))
end

-- What was counted at `at` turns out to be `delta` more or less. More counts now; less, in the window of then.
local function amend(w, delta, at)
  if delta > 0 or at >= w.start then
    w.current = max(0, w.current + delta)
  elseif at >= w.start - WINDOW then
    w.previous = max(0, w.previous + delta)
  end
end

-- The level is in thousandths of a request, so that whole rates need no fractions. `at` 0: never used, full.
local function refill(s)
  if s.rps < 0 then return end
  s.level = min(s.burst * 1000, s.at == 0 and s.burst * 1000 or s.level + max(0, now - s.at) * s.rps)
  s.at = now
end

local function bucket_wait(s)
  if s.rps <= 0 or s.burst < 1 then return NEVER end
  return s.level >= 1000 and 0 or ceil((1000 - s.level) / s.rps)
end
