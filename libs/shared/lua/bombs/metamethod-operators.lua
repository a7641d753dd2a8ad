-- ends by: instructions
local mt = {}
local function spin() while true do end end
for _, name in ipairs { "__add", "__concat", "__eq", "__lt", "__le", "__len", "__unm", "__call" } do mt[name] = spin end
local a, b = setmetatable({}, mt), setmetatable({}, mt)
pcall(function() return a < b end)
pcall(function() return a == b end)
pcall(function() return a .. b end)
return a()
