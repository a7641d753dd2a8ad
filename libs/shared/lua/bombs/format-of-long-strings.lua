-- ends by: instructions memory
local s, long = ("a\n"):rep(8000), ("a"):rep(1000000)
while true do
  local _ = ("%q"):format(s), ("%s%s"):format("", long)
end
