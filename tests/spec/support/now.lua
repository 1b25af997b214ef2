-- SPDX-License-Identifier: MIT
-- A helper of busted: notes the test that runs in the file $FLAKE_NOW, for the case that it hangs.
local busted = require "busted"

local path = os.getenv("FLAKE_NOW")

busted.subscribe({ "test", "start" }, function(element)
  local file = path and io.open(path, "w")
  if file then
    file:write(element.trace and ("line %d, "):format(element.trace.currentline) or "",
      element.name, "\n")
    file:close()
  end
  return nil, true
end)
