-- ends by: memory
while true do pcall(string.rep, "a", 1e8) end
