-- ends by: instructions
local t = {}
for i = 1, 3500 do t[i] = i end
local function f(...)
  while true do local _ = (select("#", ...)) end
end
while true do pcall(f, table.unpack(t)) end
