-- ends by: instructions
local s = ("a"):rep(1000000)
local what = ("a"):rep(1000) .. "b"
while true do local _ = s:find(what, 1, true) end
