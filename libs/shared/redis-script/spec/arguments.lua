-- For the spec: what a later file of the same script reads.
-- ARGV  more
local more = tonumber(ARGV[1])
