-- SPDX-License-Identifier: MIT
-- Does an image work for a flake? A real container of it starts, with the flake's own options, and
-- flake-init looks the flake's program up there.
local pilot = require "flake.pilot"
local references = require "flake.references"

local M = {}

local PATIENCE = 120 -- seconds for one container
local INSIDE = "/dev/flake-init"

-- Options that a container beside a running one must not have, or that ask for a network.
local WITH_VALUE = { "name", "publish", "p", "network", "net", "network-alias", "ip", "ip6",
  "mac-address", "dns", "dns-option", "dns-search", "add-host", "cidfile", "pidfile",
  "conmon-pidfile", "pod", "pod-id-file", "restart", "entrypoint" }
local FLAGS = { "publish-all", "P", "detach", "d", "replace", "rm", "tty", "interactive", "t", "i",
  "ti", "it" }

local drops = {}
for _, name in ipairs(WITH_VALUE) do drops[name] = "value" end
for _, name in ipairs(FLAGS) do drops[name] = "flag" end

--- The options (one token each) without those that a trial cannot have.
function M.options(tokens)
  local kept, i = {}, 1
  while i <= #tokens do
    local name, joined = tokens[i]:match("^%-%-?([%w-]+)(=?)")
    local kind = name and drops[name]
    if not kind then table.insert(kept, tokens[i]) end
    i = i + (kind == "value" and joined == "" and 2 or 1)
  end
  return kept
end

-- The program behind the target "/".
local function entry_point(image)
  local config = image.config
  local words = config.Entrypoint or config.Cmd
  return type(words) == "table" and words[1] or nil
end

local function try(store, image, init, options, target)
  local argv = { "podman", "run", "--rm", "--pull=never", "--net=none",
    ("--volume=%s:%s:ro"):format(init, INSIDE) }
  table.move(options, 1, #options, #argv + 1, argv)
  for _, word in ipairs { "--entrypoint=" .. INSIDE, image.id, "--check", target } do
    table.insert(argv, word)
  end
  local result, message, code = store:tool(argv, PATIENCE)
  if not result then return nil, message, code end
  if result.timed_out then return nil, "its container does not end", "ETIMEDOUT" end
  if result.code == 0 then return true end
  return nil, (store.reason(result.stderr):gsub("^flake%-init: ", "")), "EENGINE"
end

local function targets_of(name, image, flake)
  local targets = references.targets(name, flake)
  for i, target in ipairs(targets) do
    if target == "/" then targets[i] = entry_point(image) end
    if not targets[i] then return nil, "it has neither entry point nor command" end
  end
  return targets
end

--- Tries the image under the reference `name` for all its flakes. init: path of flake-init.
-- Returns true, or nil, message that names the first flake for which it does not work.
function M.run(store, name, image, flakes, init)
  for _, flake in ipairs(flakes) do
    local where = { dir = flake.file:match("^(.*)/"), own = flake.own, tty = false }
    local plan = pilot.plan(flake.name, {}, where)
    local options = M.options(plan and plan.options or {})
    local targets, why = targets_of(name, image, flake)
    local ok = targets ~= nil
    for i = 1, ok and math.max(1, #targets) or 0 do
      ok, why = try(store, image, init, options, targets[i])
      if not ok then break end
    end
    if not ok then return nil, ("it does not work for flake '%s': %s"):format(flake.name, why) end
  end
  return true
end

return M
