-- ends by: instructions memory
local function f()
  return (("aaaa"):gsub("a", f))
end
while true do pcall(f) end
