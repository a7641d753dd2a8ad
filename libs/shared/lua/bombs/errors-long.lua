-- ends by: instructions memory
local s = ("a"):rep(1000000)
while true do pcall(error, s) end
