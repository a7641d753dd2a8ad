-- Take tags off the list of scopes to look after, unless they were used since they were read.
-- KEYS[1]  sorted set: tag → last use
-- ARGV     tag, last use as read, tag, last use as read, …
-- reply    number of tags that were removed
local removed = 0
for at = 1, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    removed = removed + redis.call('ZREM', KEYS[1], ARGV[at])
  end
end
return removed
