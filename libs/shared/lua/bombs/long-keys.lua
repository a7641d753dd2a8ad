-- ends by: instructions memory
local s, t = ("a"):rep(500000), {}
while true do
  t[s .. "x"] = nil
  local _ = t[s]
end
