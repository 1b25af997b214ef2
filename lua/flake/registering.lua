-- SPDX-License-Identifier: MIT
-- What `register` of every driver asks, refuses and says.
local fs = require "flake.fs"
local own = require "flake.own"
local quote = require("flake.text").quote
local registry = require "flake.registry"
local risk = require "flake.risk"

local M = {}

local HINTS = { EEXIST = "--force replaces a flake, never a foreign file" }
local OWN_HINTS = { EEXIST = HINTS.EEXIST,
  EACCES = "commands of your own flakes are where you may write, such as ~/.local/bin/NAME" }

--- A hint for an error of registry.register, or nil.
function M.hint(opts, code)
  return (opts.user and OWN_HINTS or HINTS)[code]
end

--- Checks what fits together only in one of the two worlds, the system's and the user's.
-- Returns true, or nil, message, code.
function M.check_user(opts)
  local user = opts.run_as and fs.user(opts.run_as)
  if opts.run_as and not opts.root and not user then
    return nil, ("--run-as: there is no user '%s'"):format(opts.run_as), "EUSAGE"
  end
  if not opts.user then return true end
  if user and user.uid ~= fs.getuid() then
    return nil, "own flakes run as you: --run-as goes without --user", "EUSAGE"
  end
  if opts.user_may_override then
    return nil, "--user-may-override is for flakes of the system", "EUSAGE"
  end
  return registry.dir(opts)
end

--- A driver can take away what its own flakes have besides the definition, and no other.
-- flake: as registry.find gives it, or nil. Returns true, or nil, message, "EUSAGE".
function M.check_engine(flake, engine)
  if not flake or flake.engine == engine then return true end
  return nil, ("flake '%s' is for engine '%s': flake-ctl %s remove --app %s"):format(flake.name,
    flake.engine, flake.engine, flake.apps[1].path), "EUSAGE"
end

--- Warns of commands of a user's own flake that the shell will not find.
function M.warn_path(opts, paths, ctx)
  for _, path in ipairs(opts.user and paths or {}) do
    local dir = path:match("^(.*)/")
    if not own.on_path(dir) then
      ctx.err:write(("flake-ctl: warning: %s is not on PATH: %s\n"):format(dir,
        own.path_remedy(dir)))
    end
  end
end

--- Warns where what a flake demands to be signed cannot be checked here, or where the replaced
-- flake demanded it and the new one does not.
function M.warn_signature(opts, name, old, ctx)
  if #opts.require_signature > 0 then
    local flake = not opts.root and registry.find(name, opts)
    if flake then
      require("flake.doctor.signatures").check(function(_, what, remedy)
        ctx.err:write(("flake-ctl: warning: %s\n  %s\n"):format(what, remedy))
      end, flake)
    end
    return
  end
  if not old then return end
  if old.signature_policy or #old.signature_keys > 0 then
    ctx.err:write(("flake-ctl: warning: flake '%s' demands no signatures any more; it did before\n")
      :format(old.name))
  end
end

--- Warns of what makes the flake less confined than its engine does it by itself.
function M.warn_risk(opts, name, ctx)
  local flake = registry.find(name, opts)
  local lines = flake and risk.lines(risk.of(flake, opts), "weak") or {}
  for _, line in ipairs(lines) do ctx.err:write("flake-ctl: warning: ", line, "\n") end
  if #lines > 0 then
    ctx.err:write(("  all of it: flake-ctl explain --risk %s\n"):format(quote(name)))
  end
end

return M
