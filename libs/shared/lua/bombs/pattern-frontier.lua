-- ends by: instructions
local s = ("a"):rep(20000)
while true do local _ = s:find("%f[" .. ("b"):rep(3000) .. "]") end
