-- SPDX-License-Identifier: MIT
-- Does an image work for a flake? A real container of it starts, with the flake's own options, and
-- flake-init looks the flake's program up there.
local pilot = require "flake.pilot"
local references = require "flake.references"

local M = {}

local PATIENCE = 120 -- seconds for one container
local ENGINE_FAILED = 125
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
  return config.Entrypoint and config.Entrypoint[1] or config.Cmd and config.Cmd[1] or nil
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
  local why = store.reason(result.stderr):gsub("^flake%-init: ", "")
  return nil, why, result.code == ENGINE_FAILED and "EENGINE" or "ETARGET"
end

-- Where the engine fails with the flake's options for the old image as well (a volume that is not
-- there now), the new one must work without them.
local function try_fairly(trial, options, target)
  local ok, why, code = try(trial.store, trial.image, trial.init, options, target)
  if ok or code ~= "EENGINE" or not trial.old or #options == 0 then return ok, why end
  local _, _, before = try(trial.store, trial.old, trial.init, options, target)
  if before == "EENGINE" and try(trial.store, trial.image, trial.init, {}, target) then
    return true
  end
  return nil, why
end

local function targets_of(name, image, flake)
  local targets = references.targets(name, flake)
  for i, target in ipairs(targets) do
    if target == "/" then targets[i] = entry_point(image) end
    if not targets[i] then return nil, "it has neither entry point nor command" end
  end
  return targets
end

--- Tries an image for all flakes of a reference. trial: {store=, name=the reference, image=,
-- old=the image before or nil, flakes=, init=path of flake-init}
-- Returns true, or nil, message that names the first flake for which it does not work.
function M.run(trial)
  for _, flake in ipairs(trial.flakes) do
    local where = { dir = flake.file:match("^(.*)/"), own = flake.own, tty = false }
    local plan = pilot.plan(flake.name, {}, where)
    local options = M.options(plan and plan.options or {})
    local targets, why = targets_of(trial.name, trial.image, flake)
    local ok = targets ~= nil
    for i = 1, ok and math.max(1, #targets) or 0 do
      ok, why = try_fairly(trial, options, targets[i])
      if not ok then break end
    end
    if not ok then return nil, ("it does not work for flake '%s': %s"):format(flake.name, why) end
  end
  return true
end

return M
