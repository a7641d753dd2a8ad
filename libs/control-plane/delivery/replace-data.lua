-- Gives a job under way other data. KEYS: the job, its lock. ARGV: the token of who has the lock, the data as it is, as it
-- becomes. Answers 1, also when it was sent a second time because the answer was lost; or 0, and changes nothing, when the
-- lock is no longer the caller's or the data is not what it says.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local data = redis.call('HGET', KEYS[1], 'data')
if data == ARGV[3] then return 1 end
if data ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[3])
return 1
