-- ends by: memory
local t = {}
for i = 1, 3500 do t[i] = i end
while true do local _ = { table.unpack(t) } end
