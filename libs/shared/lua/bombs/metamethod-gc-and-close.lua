-- ends by: instructions memory
local spin = function() while true do end end
while true do setmetatable({}, { __gc = spin, __close = spin, __mode = "k" }) end
