-- ends by: instructions
for _ = 1, math.huge do end
