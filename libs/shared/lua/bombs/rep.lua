-- ends by: memory
return string.rep("a", 1e8)
