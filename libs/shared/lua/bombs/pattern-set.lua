-- ends by: instructions
local s, set = ("a"):rep(1000), "[" .. ("b"):rep(4000) .. "]"
while true do local _ = s:find(set) end
