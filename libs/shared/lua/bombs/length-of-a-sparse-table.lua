-- ends by: instructions
local t = {}
for i = 1, 20000 do t[i] = true end
local at = 20001 + 40
for _ = 1, 40 do
  t[at] = true
  at = at * 2
end
while true do local _ = #t end
