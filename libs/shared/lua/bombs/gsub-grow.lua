-- ends by: memory
local s = ("a"):rep(1000)
while true do s = s:gsub("a", "%0%0%0%0%0%0%0%0") end
