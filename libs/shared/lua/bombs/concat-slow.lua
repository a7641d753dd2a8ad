-- ends by: memory instructions
local s = ""
while true do s = s .. "a line of text" end
