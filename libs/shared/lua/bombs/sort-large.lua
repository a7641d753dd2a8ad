-- ends by: instructions
local t = {}
for i = 1, 30000 do t[i] = (i * 7919) % 30011 end
while true do table.sort(t) end
