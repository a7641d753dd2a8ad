-- ends by: instructions
local s = (" "):rep(500000) .. "1"
while true do
  local _ = tonumber(s)
  pcall(function() return s + 1 end)
end
