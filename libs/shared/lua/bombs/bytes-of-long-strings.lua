-- ends by: instructions
local s = ("a"):rep(500000)
while true do local _ = s:byte(1, 3500) end
