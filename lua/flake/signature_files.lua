-- SPDX-License-Identifier: MIT
-- Files beside a definition that hold what its flake demands to be signed.
local fs = require "flake.fs"

local M = { policy = "signature-policy.json" }

--- Name of the file of the Nth key.
function M.key(n)
  return ("signature-%d.pub"):format(n)
end

--- Adds the steps that write files: {{to=, text=}, …}. made: changes.made.
function M.add_steps(steps, texts, made)
  for _, one in ipairs(texts or {}) do
    table.insert(steps, made(one.to, function()
      return fs.write(one.to, one.text, { mode = 420 })
    end, fs.unlink))
  end
end

--- Removes from the directory NAME.d what is none of the texts: of a demand that is none any more.
function M.drop_others(fragments, texts)
  local keep = {}
  for _, one in ipairs(texts or {}) do keep[one.to] = true end
  for _, name in ipairs(fs.list(fragments) or {}) do
    local path = ("%s/%s"):format(fragments, name)
    local is_ours = name == M.policy or name:match("^signature%-%d+%.pub$")
    if is_ours and not keep[path] then fs.unlink(path) end
  end
end

return M
