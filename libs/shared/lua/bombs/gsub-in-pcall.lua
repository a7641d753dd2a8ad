-- ends by: memory
local big = ("b"):rep(100000)
while true do pcall(string.gsub, ("a"):rep(100), "a", big) end
