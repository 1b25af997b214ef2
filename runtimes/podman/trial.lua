-- SPDX-License-Identifier: MIT
-- Does an image work for a flake? A real container of it starts, with the flake's own options, and
-- flake-init looks the flake's program up there. A flake of several parts is composed for it.
local pilot = require "flake.pilot"
local reason = require("flake.text").reason
local references = require "flake.references"
local compose_store = require "shipped.runtimes.podman.compose_store"

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
  local why = reason(result):gsub("^flake%-init: ", "")
  return nil, why, result.code == ENGINE_FAILED and "EENGINE" or "ETARGET"
end

-- Where the engine fails with the flake's options for the old image as well (a volume that is not
-- there now), the new one must work without them.
local function try_fairly(trial, image, options, target)
  local ok, why, code = try(trial.store, image, trial.init, options, target)
  if ok or code ~= "EENGINE" or not trial.old or #options == 0 then return ok, why end
  local _, _, before = try(trial.store, trial.old, trial.init, options, target)
  if before == "EENGINE" and try(trial.store, image, trial.init, {}, target) then
    return true
  end
  return nil, why
end

local function targets_of(image, flake)
  local targets = references.targets(flake)
  for i, target in ipairs(targets) do
    if target == "/" then targets[i] = entry_point(image) end
    if not targets[i] then return nil, "it has neither entry point nor command" end
  end
  return targets
end

-- As a launch does it, in the store of whoever calls. Returns the image, or nil, message.
local function compose(trial, flake, ...)
  local argv = { trial.ctl, "podman", "compose", ... }
  if flake.own then table.insert(argv, "--user") end
  table.insert(argv, flake.name)
  local result, message = trial.store:tool(argv)
  if not result then return nil, message end
  if result.code ~= 0 then
    return nil, (reason(result):gsub("^flake%-ctl: ", ""))
  end
  return trial.store:image(result.stdout:match("%x+"))
end

-- What a flake runs: the image, or what it is a part of.
local function whole(trial, flake)
  if not compose_store.is_composed(flake) then return trial.image end
  local image, message = compose(trial, flake, "--keep-old")
  if image then trial.composed[flake] = image.id end
  return image, message or "its composed image has vanished"
end

local function try_flake(trial, flake)
  local where = { dir = flake.file:match("^(.*)/"), own = flake.own, tty = false }
  local plan = pilot.plan(flake.name, {}, where)
  local options = M.options(plan and plan.options or {})
  local image, message = whole(trial, flake)
  if not image then return nil, message end
  local targets, why = targets_of(image, flake)
  if not targets then return nil, why end
  for i = 1, math.max(1, #targets) do
    local ok
    ok, why = try_fairly(trial, image, options, targets[i])
    if not ok then return nil, why end
  end
  return true
end

-- If all is well the old composed images go, which would hold the old part; else the new ones.
local function settle(trial, ok)
  for flake, id in pairs(trial.composed) do
    if ok then
      compose(trial, flake)
    else
      trial.store:podman { "untag", id }
      trial.store:drop(id)
    end
  end
end

--- Tries an image for all flakes of a reference, which points to it. trial: {store=, image=,
-- old=the image before or nil, flakes=, init=path of flake-init, ctl=path of flake-ctl}
-- Returns true, or nil, message that names the first flake for which it does not work.
function M.run(trial)
  trial.composed = {}
  local ok, why, name = true, nil, nil
  for _, flake in ipairs(trial.flakes) do
    name = flake.name
    ok, why = try_flake(trial, flake)
    if not ok then break end
  end
  settle(trial, ok)
  return ok, not ok and ("it does not work for flake '%s': %s"):format(name, why) or nil
end

return M
