-- ends by: instructions
local first = {}
local last = first
for _ = 1, 1500 do
  local t = {}
  setmetatable(last, { __index = t })
  last = t
end
while true do local _ = first.x end
