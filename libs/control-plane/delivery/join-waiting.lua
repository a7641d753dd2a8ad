-- Puts the events of one job into another one that still waits for its attempt: both or neither, and nobody has read the
-- other one's data yet. KEYS: the delayed set, the waiting job, the job its events come from. ARGV: the waiting job's id,
-- all events as they are together. Answers 1, or 0 when the job waits no longer.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) or redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[2], 'data', ARGV[2])
redis.call('HSET', KEYS[3], 'data', '[]')
return 1
