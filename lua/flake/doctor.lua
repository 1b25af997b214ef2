-- SPDX-License-Identifier: MIT
-- Checks of the host (doctor/host.lua, doctor/limits.lua) and of the flakes, the system's and the
-- caller's own.
-- A finding: {severity="serious"|"warning", what=, remedy=}.
local fs = require "flake.fs"
local hooks = require "flake.hooks"
local host = require "flake.doctor.host"
local images = require "flake.doctor.images"
local limits = require "flake.doctor.limits"
local links = require "flake.doctor.links"
local loader = require "flake.loader"
local network = require "flake.doctor.network"
local output = require "flake.output"
local own = require "flake.own"
local pilot = require "flake.pilot"
local quote = require("flake.text").quote
local registry = require "flake.registry"
local risk = require "flake.risk"
local signatures = require "flake.doctor.signatures"
local state = require "flake.doctor.state"
local storage = require "flake.doctor.storage"
local vms = require "flake.doctor.vms"

local M = {}

local COLOURS = { serious = "red", warning = "yellow" }
local REPAIR = "repair the definition, or flake-ctl podman|firecracker remove --force "
  .. "--app PATH"

local REPAIR_FILE = "repair, chown or remove the file; flake-ctl init --force (users: --user "
  .. "--force) takes rights of others away"

-- Only a user has a root of his own.
local function home_of_own()
  local root = loader.user_root()
  return root and root:gsub("/%.flakes$", "")
end

local function root_remedy(dir)
  local home = home_of_own()
  if home and dir:sub(1, #home + 1) == home .. "/" then return "flake-ctl init --user --force" end
  return ("chown root: %s && chmod go-w %s, and what leads to it"):format(quote(dir), quote(dir))
end

-- What a root may hold: directories whose Lua would count.
local KINDS = { "", "/runtimes", "/commands", "/builders", "/lua", "/templates", "/hooks",
  "/hooks/register.d", "/hooks/launch.d", "/hooks/exit.d", "/hooks/remove.d" }

local function check_roots(add)
  local dirs, named = { pilot.flakes_dir() }, {}
  for _, root in ipairs(loader.override_roots()) do
    for _, kind in ipairs(KINDS) do table.insert(dirs, root .. kind) end
  end
  if loader.user_root() then table.insert(dirs, loader.user_root() .. "/flakes") end
  for _, dir in ipairs(dirs) do
    local ok, message = true, nil
    if fs.stat(dir) then ok, message = fs.trusted(dir) end
    -- Of all that are below a bad directory it is said once.
    if not ok and not named[message] then add("serious", message, root_remedy(dir)) end
    if not ok then named[message] = true end
  end
end

local function check_overrides(add)
  for _, kind in ipairs { "runtimes", "commands" } do
    for _, name in ipairs(loader.names(kind)) do
      local driver, message = loader.load(kind, name)
      if not driver then add("serious", message, REPAIR_FILE) end
    end
  end
  for _, kind in ipairs { "register", "launch", "exit", "remove" } do
    local files, problem = hooks.files(kind, { own = true })
    if not files then add("serious", problem, "let all users read the directory") end
    for _, file in ipairs(files or {}) do
      local chunk, message = loader.load_file(file)
      if not chunk then add("serious", message, REPAIR_FILE) end
    end
  end
end

-- What is wrong with a flake only because it is the user's own.
local function check_own(add, flake)
  if own.is_hidden(flake.name) then
    add("warning", ("your flake '%s' is hidden by the system's of that name"):format(flake.name),
      "register it under another name, or ask the admin for user_may_override")
  end
  for _, app in ipairs(flake.apps) do
    local dir = app.path:match("^(.*)/")
    if not own.on_path(dir) then
      add("warning", ("flake '%s': %s is not on PATH"):format(flake.name, dir),
        own.path_remedy(dir))
    end
  end
end

-- What an admin has decided is weak, not wrong; but that there is no isolation should be known.
local function check_risk(add, flake, scope)
  for _, finding in ipairs(risk.of(flake, scope).findings) do
    if risk.is_at_least(finding, "open") then
      add("warning", ("flake '%s' is not confined: %s"):format(flake.name, risk.line(finding)),
        ("all of it: flake-ctl explain --risk %s"):format(quote(flake.name)))
      return
    end
  end
end

local function check_definition(add, name, scope)
  local flake, message, code = registry.find(name, scope)
  if not flake then
    local remedy = code == "EPERM" and scope.user and "flake-ctl init --user --force"
    add("serious", message, remedy or REPAIR)
    return
  end
  for i, key in ipairs(flake.unknown) do
    add("warning", ("%s: unknown key '%s'"):format(flake.unknown_at[i], key),
      "a misspelling? it has no effect")
  end
  if flake.engine == "podman" then images.check_parts(add, flake) end
  if flake.engine == "firecracker" then vms.check_flake(add, flake) end
  if scope.user then check_own(add, flake) end
  check_risk(add, flake, scope)
  signatures.check(add, flake)
end

local orphan_kinds = {
  ["no-command"] = { "serious", "the command of flake '%s' is missing: %s",
    "register it again with --force" },
  ["no-definition"] = { "serious", "flake '%s' has no definition for its command: %s",
    "register it again, or remove the link" },
  dangling = { "serious", "the pilot behind flake '%s' is missing: %s",
    "install the pilot's package" },
  remains = { "warning", "flake '%s' is gone, but not %s",
    "flake-ctl podman remove --app /usr/bin/NAME" },
  leftover = { "warning", "an interrupted registration of '%s' left %s",
    "register it again with --force, or remove the file" },
}

-- only: a set of names of flakes and commands, or nil for all.
local function check_orphans(add, scope, only)
  for _, orphan in ipairs(links.orphans(scope)) do
    if not only or only[orphan.flake] then
      local severity, text, remedy = table.unpack(orphan_kinds[orphan.kind])
      local name = quote(orphan.flake):gsub("%%", "%%%%")
      add(severity, text:format(orphan.flake, orphan.path), (remedy:gsub("NAME", name)))
    end
  end
end

-- The names of a flake and its commands, by one of them.
local function names_of(name, scope)
  local names = { [name] = true }
  local flake = registry.find(name, scope)
  if flake then names[flake.name] = true end
  for _, app in ipairs(flake and flake.apps or {}) do names[app.path:match("([^/]*)$")] = true end
  return names
end

-- The system's flakes and, for a user, his own; the latter only with opts.user.
local function scopes_of(opts)
  local scopes = {}
  if not opts.user then table.insert(scopes, {}) end
  if opts.user or loader.user_root() then table.insert(scopes, { user = true }) end
  return scopes
end

local function collector()
  local findings = {}
  return findings, function(severity, what, remedy)
    table.insert(findings, { severity = severity, what = what, remedy = remedy })
  end
end

local function examine_one(name, scopes)
  local findings, add = collector()
  local missing, known
  for _, scope in ipairs(scopes) do
    local _, message, code = registry.find(name, scope)
    if code == "ENOENT" then
      missing = missing or message
    else
      known = true
      check_definition(add, name, scope)
      check_orphans(add, scope, names_of(name, scope))
    end
  end
  if not known then return nil, missing, "ENOENT" end
  return findings
end

--- Findings about what flakes need: the engine with network and store, for a user what rootless
-- podman needs, the roots. Returns them, the function that adds one, and what podman tells.
function M.needs()
  local findings, add = collector()
  local info = host.engine(add)
  if fs.getuid() ~= 0 then
    host.rootless(add)
    network.rootless(add, info)
  else
    network.bridge(add, info)
  end
  storage.check(add, info)
  state.check(add)
  check_roots(add)
  return findings, add, info
end

-- Names of all flakes that may have composed images in the caller's store.
local function all_names()
  local names = {}
  for _, scope in ipairs(scopes_of({})) do
    for _, row in ipairs(registry.list(scope) or {}) do names[row.name] = true end
  end
  return names
end

-- The names under which the core keeps what belongs to flakes.
local function state_names()
  local names = {}
  for _, scope in ipairs(scopes_of({})) do
    for _, row in ipairs(registry.list(scope) or {}) do
      names[(scope.user and "~" or "") .. row.name] = true
    end
  end
  return names
end

--- All findings of the host and all flakes, or of one flake only. opts: {user=own flakes only}
-- Returns an array of findings, or nil, message, code if there is no such flake.
function M.examine(name, opts)
  local ok, message, code = registry.dir(opts)
  if not ok then return nil, message, code end
  local scopes = scopes_of(opts)
  if name then return examine_one(name, scopes) end
  local findings, add, info = M.needs()
  host.cgroups(add)
  limits.low(add)
  limits.containers(add, info)
  vms.kvm(add)
  vms.check_tools(add)
  check_overrides(add)
  for _, scope in ipairs(scopes) do
    local rows, problem = registry.list(scope)
    if not rows then add("serious", problem, root_remedy(registry.dir(scope))) end
    for _, row in ipairs(rows or {}) do check_definition(add, row.name, scope) end
    check_orphans(add, scope)
  end
  images.check_composed(add, all_names())
  vms.check_disks(add, state_names())
  return findings
end

--- Is one of the findings serious?
function M.is_serious(findings)
  for _, finding in ipairs(findings) do
    if finding.severity == "serious" then return true end
  end
  return false
end

--- Prints findings for people.
function M.print(findings, out)
  for _, finding in ipairs(findings) do
    out:coloured(finding.severity, COLOURS[finding.severity])
    out:write(": ", output.printable(finding.what), "\n")
    out:write("  remedy: ", output.printable(finding.remedy), "\n")
  end
end

return M
