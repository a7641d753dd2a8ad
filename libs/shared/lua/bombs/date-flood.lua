-- ends by: instructions memory
while true do local _ = os.date(("%c"):rep(60)) end
