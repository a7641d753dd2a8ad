-- ends by: instructions memory
local f = ("%99.99f"):rep(500)
local t = {}
for i = 1, 500 do t[i] = 1e300 end
while true do local _ = f:format(table.unpack(t)) end
