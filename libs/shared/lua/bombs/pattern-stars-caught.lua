-- ends by: instructions
while true do pcall(string.find, ("a"):rep(24), ("a*"):rep(9) .. "b") end
