-- ends by: instructions
return ("a"):rep(50000):gsub("a-b", "")
