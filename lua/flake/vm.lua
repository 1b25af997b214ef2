-- SPDX-License-Identifier: MIT
-- VM flakes: where their images and disks are, and what a definition says of its VM.
local fs = require "flake.fs"
local loader = require "flake.loader"
local pilot = require "flake.pilot"
local quote = require("flake.text").quote
local registry = require "flake.registry"

local M = { channel = "1\n", marker = "flake-pilot sci channel 1" }

--- Directory of images and storage. opts: as for registry.dir.
-- Returns the path, or nil, message, code.
function M.root(opts)
  local dir, message, code = registry.dir(opts)
  if not dir then return nil, message, code end
  if opts and opts.user then return loader.user_root() .. "/firecracker" end
  return registry.prefix(opts or {}) .. "/var/lib/firecracker"
end

--- Directory of the images.
function M.images_dir(opts)
  local root, message, code = M.root(opts)
  if not root then return nil, message, code end
  return root .. "/images"
end

--- Checks the name of an image, for option tables. Returns true, or nil, reason.
function M.check_name(name)
  if name == "" then return nil, "must not be empty" end
  if #name > 200 then return nil, "must not be longer than 200 characters" end
  if not name:match("^[%w_@+=~][%w._@+=~:-]*$") then
    return nil, "must have letters, digits and . _ @ + = ~ : - only, and not begin with a dot or -"
  end
  return true
end

--- Directory of an image that is there: the caller's own with opts.user, or else the system's.
-- Returns the path, or nil, message, code.
function M.find_image(name, opts)
  local ok, why = M.check_name(name)
  if not ok then return nil, ("image '%s': %s"):format(name, why), "EUSAGE" end
  local dirs = { opts }
  if opts.user then dirs[2] = {} end
  for _, place in ipairs(dirs) do
    local dir, message, code = M.images_dir(place)
    if not dir then return nil, message, code end
    if fs.stat(("%s/%s/rootfs"):format(dir, name)) then return ("%s/%s"):format(dir, name) end
  end
  return nil, ("there is no image '%s': get it with flake-ctl firecracker pull --name %s")
    :format(name, quote(name)), "ENOENT"
end

--- Names of the images, sorted. opts: as for registry.dir.
function M.images(opts)
  local dir, message, code = M.images_dir(opts)
  if not dir then return nil, message, code end
  local names = {}
  local entries, why, reason = fs.list(dir)
  if not entries and reason ~= "ENOENT" then return nil, why, reason end
  for _, name in ipairs(entries or {}) do
    -- A link is fine: an image may be on another disk.
    local st = name:sub(1, 1) ~= "." and fs.stat(dir .. "/" .. name)
    if st and st.type == "directory" then table.insert(names, name) end
  end
  return names
end

--- Path of the guest's init. info: as main gives it.
-- Returns it, or nil, message, "ENOENT".
function M.sci(info)
  local path = info.lib .. "/sci"
  if fs.stat(path) then return path end
  return nil, ("the guest's init is missing: %s (it belongs to firecracker-pilot)"):format(path),
    "ENOENT"
end

--- This machine, as QEMU's programs call it.
function M.machine()
  local f <close> = io.open("/proc/sys/kernel/arch")
  return f and f:read("l") or "x86_64"
end

-- Options that come once, and those that are lists; the others are switches.
local ONCE = { kernel = true, rootfs = true, initrd = true, vcpu = true, mem = true,
  engine = true, tap = true, cache = true }
local MANY = { boot_arg = true, include_tar = true, include_path = true }

--- What the options of a flake (as pilot.load gives them) say: {kernel=, rootfs=, initrd=, vcpu=,
-- mem=, overlay_size=bytes, engine=, tap=, boot_arg={…}, include_tar={…}, include_path={…},
-- includes={"tar:PATH"|"path:PATH", …}, no_net=, snapshot=, force_vsock=}
function M.params(flake)
  local params = { boot_arg = {}, include_tar = {}, include_path = {}, includes = {} }
  for _, token in ipairs(flake.options) do
    local name, value = token:match("^%-%-([%w-]+)=(.*)$")
    local key = (name or token:match("^%-%-([%w-]+)$") or ""):gsub("-", "_")
    if MANY[key] then
      table.insert(params[key], value)
      local kind = key:match("^include_(.*)")
      if kind then table.insert(params.includes, kind .. ":" .. value) end
    elseif key == "overlay_size" then
      params[key] = pilot.size(value)
    elseif ONCE[key] then
      params[key] = value
    elseif key ~= "" then
      params[key] = true
    end
  end
  return params
end

--- Where the engine's section of a definition is: its keys.
function M.section_path(version)
  return version == "2" and { "engine", "params" } or { "vm", "runtime", "firecracker" }
end

--- The engine's section of a definition (both schema versions), as a table.
function M.settings(flake)
  local section = flake.doc
  for _, key in ipairs(M.section_path(tostring(section.version))) do
    -- Sections may be null, as in definitions of older tools.
    section = type(section[key]) == "table" and section[key] or {}
  end
  return section
end

--- The flakes of an image: array of flakes (as registry.find gives them).
-- opts: as for registry.dir; dir: of the image.
function M.flakes_of(name, dir, opts)
  local rows, message, code = registry.list(opts)
  if not rows then return nil, message, code end
  local found = {}
  for _, row in ipairs(rows) do
    local flake = row.engine == "firecracker" and registry.find(row.name, opts)
    local rootfs = flake and M.params(flake).rootfs
    if flake and (rootfs and rootfs == dir .. "/rootfs" or not rootfs and flake.image == name) then
      table.insert(found, flake)
    end
  end
  return found
end

return M
