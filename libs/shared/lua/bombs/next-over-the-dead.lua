-- ends by: instructions
local t = {}
for i = 1, 30000 do t[i] = i end
for i = 1, 30000 do t[i] = nil end
while true do pcall(next, t, 1) end
