-- ends by: instructions
return table.move({}, 1, 1e9, 2)
