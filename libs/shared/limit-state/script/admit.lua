-- Limits, 7 of 8: admission. Model: core/model.ts

-- All scopes, and of the alternatives the first that fits; else the one that will soonest says how long. Positions in
-- the batch are followed instead of lists, which would have to be made.
local function choose(first, last, tokens)
  local chosen, limit, wait
  for i = first, last do
    local by, w = refusal(scopes[batch[i]], tokens)
    if not by then return batch[i] end
    if not chosen or is_longer(wait, w) then chosen, limit, wait = batch[i], by, w end
  end
  return chosen, limit, wait
end

local function reply_shadow(first, last, alternative)
  reply(0)
  local counter = replied
  for i = first, last + 1 do
    local index = i <= last and batch[i] or alternative
    local s = scopes[index]
    if s and s.shed then replies[counter] = replies[counter] + 1 reply(index - 1) reply(s.shed) end
    if s and s.over then replies[counter] = replies[counter] + 1 reply(index - 1) reply(BY_QUOTA) end
  end
end

local function admit()
  local name, tokens, count = take() .. now_text, take(), take()
  local first, last, at, limit, wait = position + 1, position + count, nil, nil, 0
  for i = first, last do
    local by, w = refusal(scopes[batch[i]], tokens)
    if by and is_longer(w, wait) then at, limit, wait = batch[i], by, w end
  end
  position = last
  local others, alternative = take(), nil
  if not limit and others > 0 then
    alternative, limit, wait = choose(position + 1, position + others, tokens)
  end
  position = position + others
  local is_shadow = false
  nearest, tokens_nearest = nil, nil
  for i = first, last + 1 do
    local s = scopes[i <= last and batch[i] or alternative]
    if s then
      if not limit then charge(s, name, tokens) end
      if s.shed or s.over then is_shadow = true end
      consider(s)
    end
  end
  if limit then reply(0) reply((at or alternative) - 1) reply(limit) reply(wait)
  else reply(1) reply((alternative or 0) - 1) end
  reply_figures()
  if is_shadow then reply_shadow(first, last, alternative) else reply(0) end
end
