-- SPDX-License-Identifier: MIT
-- Small things that the rules of risk_*.lua share.
local M = {}

--- The words of a text as a set.
function M.set(words)
  local found = {}
  for word in words:gmatch("%S+") do found[word] = true end
  return found
end

--- What podman takes for a switch that is off.
M.FALSE = M.set "false False FALSE f F 0"

--- The entries of a list, which is CSV for podman: quotes are no part of a value.
function M.each(value)
  return value:gsub('"', ""):gmatch("[^,]+")
end

return M
