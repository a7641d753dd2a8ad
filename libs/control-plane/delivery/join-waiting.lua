-- Puts the events of a job under way into another one that still waits for the attempt meant: both or neither, and nobody
-- has read the other one's data yet.
-- KEYS: the delayed set, the waiting job, the job its events come from, the lock of that. ARGV: the waiting job's id, its
-- attempts made, its data; the token of who has the lock, the data that goes; all events as they are together.
-- Answers 1; or 0, and changes nothing, when the lock is no longer the caller's or a job is not as it says: a caller that
-- was stopped or cut off may be late, and others have gone on meanwhile.
if redis.call('GET', KEYS[4]) ~= ARGV[4] then return 0 end
local from = redis.call('HGET', KEYS[3], 'data')
if from == '[]' then return 1 end -- it was sent a second time, because the answer was lost
local waiting = redis.call('HMGET', KEYS[2], 'atm', 'data')
if waiting[1] ~= ARGV[2] or waiting[2] ~= ARGV[3] or from ~= ARGV[5] then return 0 end
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], 'data', ARGV[6])
redis.call('HSET', KEYS[3], 'data', '[]')
return 1
