-- SPDX-License-Identifier: MIT
-- flake-ctl podman register: what a flake has besides its image (base, layers, includes).
local archive = require "flake.archive"
local fs = require "flake.fs"
local registry = require "flake.registry"
local yaml = require "flake.yaml"
local parts = require "shipped.runtimes.podman.compose_parts"
local store = require "shipped.runtimes.podman.compose_store"

local M = {}

-- Absolute, without . and .. parts; links stay as they are.
local function absolute(path)
  if path:sub(1, 1) ~= "/" then path = fs.realpath(".") .. "/" .. path end
  local kept = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then table.remove(kept) elseif part ~= "." then table.insert(kept, part) end
  end
  return "/" .. table.concat(kept, "/")
end

local function check_tar(path)
  local st, message, code = fs.stat(path)
  if not st then return nil, message, code end
  if st.type ~= "file" then return nil, path .. " is no file", "EUSAGE" end
  -- One entry proves it.
  local list
  list, message, code = archive.list(path, { max_entries = 1 })
  if list or code == "ELIMIT" then return true end
  return nil, message, code
end

local function check_path(path)
  local st, message, code = fs.stat(path)
  if not st then return nil, message, code end
  if path == "/" or (st.type ~= "file" and st.type ~= "directory") then
    return nil, path .. " is neither file nor directory", "EUSAGE"
  end
  return fs.access(path, st.type == "directory" and "rx" or "r")
end

--- Checks the options and makes paths absolute. Returns true, or nil, message, code.
function M.check(opts)
  if #opts.layer > 0 and not opts.base then return nil, "--layer needs --base", "EUSAGE" end
  for name, check in pairs { include_tar = check_tar, include_path = check_path } do
    for i, path in ipairs(opts[name]) do
      if path:find("%c") then return nil, "a path must not hold control characters", "EUSAGE" end
      opts[name][i] = absolute(path)
      local ok, message, code = check(opts[name][i])
      -- A package may bring the file along.
      if not ok and not (opts.root and code == "ENOENT") then
        return nil, ("--%s: %s"):format(name:gsub("_", "-"), message), code
      end
    end
  end
  return true
end

--- Adds the keys of a definition of schema version 1.
function M.add_keys(opts, doc)
  local container, include = doc.container, doc.include
  container.base_container = opts.base
  if #opts.layer > 0 then container.layers = yaml.list(opts.layer) end
  if opts.check_host_dependencies then container.check_host_dependencies = true end
  if #opts.include_tar > 0 then include.tar = yaml.list(opts.include_tar) end
  if #opts.include_path > 0 then include.path = yaml.list(opts.include_path) end
end

--- All images of the flake, as --container, --base and --layer name them.
function M.references(opts)
  return parts.references { base = opts.base, layers = opts.layer, image = opts.container }
end

local function all_here(flake)
  for _, reference in ipairs(parts.references(flake)) do
    if not parts.is_here(reference) then return false end
  end
  return true
end

--- After the definition is written: composes the image where it will be used from this store, and
-- removes what a replaced flake has left. old: the replaced flake or nil.
function M.finish(opts, name, old, ctx)
  if opts.root then return end
  local flake = registry.find(name, opts)
  if not flake then return end
  if not store.is_composed(flake) then
    if old and store.is_composed(old) then store.drop(old.state_name) end
    return
  end
  local me = fs.user(fs.geteuid())
  local own = opts.user or (flake.user and me and flake.user == me.name)
  if not own or not all_here(flake) then return end
  local compose = require "shipped.runtimes.podman.compose"
  local silent = { write = function(self) return self end }
  local ok, message = compose({ name = name, user = opts.user }, { err = ctx.err, out = silent })
  if not ok then
    ctx.err:write(("flake-ctl: warning: %s\n"):format(message))
  end
end

return M
