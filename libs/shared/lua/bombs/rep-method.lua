-- ends by: memory
return ("a"):rep(1e9)
