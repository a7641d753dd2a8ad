-- ends by: instructions
local s = ("("):rep(200000)
while true do local _ = s:find("%b()") end
