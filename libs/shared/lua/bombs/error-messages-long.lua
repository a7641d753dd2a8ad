-- ends by: instructions memory
local t = setmetatable({}, { __name = ("a"):rep(1000000) })
while true do pcall(function() return t + 1 end) end
