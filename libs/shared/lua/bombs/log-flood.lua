-- ends by: instructions
while true do log("flood") end
