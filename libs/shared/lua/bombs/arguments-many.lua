-- ends by: instructions
local t = {}
for i = 1, 3500 do t[i] = i end
local function count(...) return select("#", ...) end
while true do count(table.unpack(t)) end
