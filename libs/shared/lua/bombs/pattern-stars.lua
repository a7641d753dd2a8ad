-- ends by: instructions
return string.find(("a"):rep(30), ("a*"):rep(15) .. "b")
