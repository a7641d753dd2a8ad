-- ends by: instructions
local s = ("a"):rep(500000)
local a, b = s .. "1", s .. "2"
while true do local _ = a < b, a == b end
