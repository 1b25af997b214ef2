-- SPDX-License-Identifier: MIT
-- Site policy: only images from a list may become flakes.
-- Install as /etc/flakes/hooks/register.d/allowlist.lua; the list is /etc/flakes/allowed-images,
-- one Lua pattern a line, # for comments.
return function(event)
  for line in io.lines("/etc/flakes/allowed-images") do
    local pattern = line:match("^%s*([^#%s]+)")
    if pattern and event.image:match("^" .. pattern .. "$") then return end
  end
  flake.deny(("image '%s' is not on the list of allowed images"):format(event.image))
end
