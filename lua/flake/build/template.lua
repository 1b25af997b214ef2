-- SPDX-License-Identifier: MIT
-- Templates: @key@ becomes a value, in one pass, so that nothing in a value counts as a template.
-- A line with @key?@ goes away if the value is empty; @@ is one @. The values are quoted for the
-- format by whoever gives them.
local M = {}

--- Returns the text, or nil, message, "EUSAGE". name: of the template, for messages.
function M.render(text, values, name)
  local out, number, problem = {}, 0, nil
  for line in text:gmatch("[^\n]*\n?") do
    number = number + 1
    local drop = false
    local rendered = line:gsub("@([%w_]*)(%??)@", function(key, optional)
      if key == "" then return optional == "" and "@" or nil end
      local value = values[key]
      if value == nil then
        problem = problem or ("%s:%d: there is no value '%s'"):format(name, number, key)
      elseif optional == "?" and value == "" then
        drop = true
      end
      return value ~= nil and tostring(value) or nil
    end)
    if not drop then table.insert(out, rendered) end
  end
  if problem then return nil, problem, "EUSAGE" end
  return table.concat(out)
end

return M
