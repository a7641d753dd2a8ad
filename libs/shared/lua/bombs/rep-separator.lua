-- ends by: memory
return ("a"):rep(1e7, "bb")
