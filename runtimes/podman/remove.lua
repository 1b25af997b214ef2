-- SPDX-License-Identifier: MIT
-- flake-ctl podman remove: one flake, or an image with all its flakes.
local podman = require "flake.podman"
local registry = require "flake.registry"

local function base(path)
  return path:match("([^/]*)$")
end

-- Options of registry.remove.
local function how(opts, ctx)
  return { root = opts.root, user = opts.user, force = opts.force, app = opts.app,
    warn = function(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end }
end

local function remove_app(opts, ctx)
  local ok, message, code = registry.remove(base(opts.app), how(opts, ctx))
  if not ok then return nil, message, code end
  return 0
end

local function remove_container(opts, ctx)
  local rows, message, code = registry.list(opts)
  if not rows then return nil, message, code end
  for _, row in ipairs(rows) do
    if row.image == opts.container then
      local ok
      ok, message, code = registry.remove(row.name, how(opts, ctx))
      if not ok then return nil, message, code end
    end
  end
  if opts.root then return 0 end
  return podman.run("image", "rm", opts.force and "--force" or "--", opts.container)
end

--- flake-ctl podman remove
return function(opts, ctx)
  if (opts.app == nil) == (opts.container == nil) then
    return nil, "remove needs either --app PATH or --container IMAGE", "EUSAGE"
  end
  if opts.app then return remove_app(opts, ctx) end
  return remove_container(opts, ctx)
end
