-- Limits, 1 of 8: time, the sliding minute, the token bucket. Model: core/sliding-window.ts, core/token-bucket.ts
-- KEYS   of each scope of the batch, as far as it uses them: rates, leases, quota; of each charge that counts once: charged
-- ARGV   now_ms (0: the clock of Redis), lease_ms, the batch as a flat JSON array (core/wire.ts)
-- reply  flat array of integers: now_ms, then what each op answers, then what is used of each scope
local floor, ceil, max, min, format = math.floor, math.ceil, math.max, math.min, string.format
local call, pack, unpack_doubles = redis.call, struct.pack, struct.unpack
local WINDOW, NEVER = 60000, -1

local now = tonumber(ARGV[1])
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

-- A window that is over becomes the previous one. A clock that went back restarts it and forgets nothing.
local function roll(start, previous, current)
  if start > now then start = now end
  local age = now - start
  if age < WINDOW then return start, previous, current end
  if age < 2 * WINDOW then return start + WINDOW, current, 0 end
  return now, 0, 0
end

-- How long until `cost` fits; 0: it fits.
local function window_wait(start, previous, current, limit, cost)
  if limit <= 0 or cost > limit then return NEVER end
  local age, room = now - start, limit - current - cost
  if previous * (WINDOW - age) <= room * WINDOW then return 0 end
  local ripe = room > 0 and WINDOW - floor(room * WINDOW / previous) or WINDOW
  if ripe < WINDOW then return ripe - age end
  if current == 0 then return WINDOW - age end
  return WINDOW - age + max(0, WINDOW - floor((limit - cost) * WINDOW / current))
end

local function window_reset(start, previous, current)
  if current > 0 then return start + 2 * WINDOW - now end
  return previous > 0 and start + WINDOW - now or 0
end

-- What was counted at `at` turns out to be `delta` more or less. More counts now; less, in the window of then.
local function amend(start, previous, current, delta, at)
  if delta > 0 or at >= start then return previous, max(0, current + delta) end
  if at >= start - WINDOW then return max(0, previous + delta), current end
  return previous, current
end

-- `count` was admitted elsewhere at `at`, as though it had been asked for here and then.
local function charged(start, previous, current, count, at)
  if at > now then at = now end
  if previous == 0 and current == 0 then return roll(at, 0, count) end
  if at >= start then return start, previous, current + count end
  -- It was the first request of this window.
  if previous == 0 and now - at < WINDOW then return at, previous, current + count end
  if at >= start - WINDOW then return start, previous + count, current end
  return start, previous, current
end

local function window_used(start, previous, current)
  return current + previous * (WINDOW - (now - start)) / WINDOW
end

local function bucket_wait(level, rule)
  if rule.rps <= 0 or rule.burst < 1 then return NEVER end
  return level >= 1000 and 0 or ceil((1000 - level) / rule.rps)
end
