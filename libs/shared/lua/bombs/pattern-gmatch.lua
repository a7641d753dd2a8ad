-- ends by: instructions
for _ in ("a"):rep(50000):gmatch(".-b") do end
