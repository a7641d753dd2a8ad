-- ends by: instructions
return ("a"):rep(40):match(("a?"):rep(40) .. ("a"):rep(40) .. "b")
