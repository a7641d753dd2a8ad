-- ends by: instructions
local t = {}
for i = 1, 3500 do t[i] = i end
local function f(n)
  if n == 0 then return table.unpack(t) end
  return 1, f(n - 1)
end
while true do pcall(f, 500) end
