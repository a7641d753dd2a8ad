-- ends by: instructions memory
local s = ("aB"):rep(400000)
while true do local _ = s:lower(), s:upper(), s:reverse() end
