-- ends by: memory
local t = {}
local s = ("a"):rep(100000)
for i = 1, 100 do t[i] = s end
return table.concat(t)
