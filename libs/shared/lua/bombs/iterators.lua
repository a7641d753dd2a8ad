-- ends by: memory
local t
while true do
  local last = t
  t = ("a"):gmatch("a")
end
