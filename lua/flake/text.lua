-- SPDX-License-Identifier: MIT
-- Small questions about texts that many ask.
local M = {}

--- The last part of a path.
function M.base(path)
  return path:match("([^/]*)$")
end

--- Is the value a text with something in it?
function M.is_text(value)
  return type(value) == "string" and value ~= ""
end

return M
