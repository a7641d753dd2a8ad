-- ends by: instructions
local s = ("a"):rep(60000)
while true do local _ = s:find("^(a*)%1b") end
