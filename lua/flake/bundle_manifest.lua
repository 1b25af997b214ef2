-- SPDX-License-Identifier: MIT
-- The manifest of a bundle, bundle.yaml: all that its flake is, in keys that are known here and
-- name no file of a host but those of commands. The definition of the flake is made of it.
local cli = require "flake.cli"
local is_text = require("flake.text").is_text
local places = require "flake.places"
local vm = require "flake.vm"
local yaml = require "flake.yaml"

local M = { format = 2 }

local function is_line(value)
  return is_text(value) and not value:find("%c")
end

local function is_flag(value)
  return value == "true" or value == "false"
end

local function is_list(value, check)
  if type(value) ~= "table" then return false end
  for key, entry in pairs(value) do
    if math.type(key) ~= "integer" or not check(entry) then return false end
  end
  return true
end

local function is_lines(value) return is_list(value, is_line) end
local function is_texts(value) return is_list(value, is_text) end

-- Does the table hold nothing else than those keys? Returns the key that is wrong, or nil.
local function wrong_key(value, keys)
  for key, entry in pairs(value) do
    if not keys[key] or not keys[key](entry) then return tostring(key) end
  end
end

local APP = { path = function(value) return is_line(value) and cli.absolute_path(value) end,
  target = is_line, user = is_line, resume = is_flag, attach = is_flag }

-- What a VM may say of its machine: nothing that names a file or device of the host.
local MACHINE = { vcpu_count = is_line, mem_size_mib = is_line, overlay_size = is_line,
  cache_type = is_line, engine = is_line, network = is_flag, snapshot = is_flag,
  boot_args = is_texts }

local KEYS = {
  format = function(value) return value == tostring(M.format) end,
  name = function(value) return is_line(value) and places.check_name(value) end,
  engine = is_line,
  image = function(value) return is_line(value) and cli.image(value) end,
  apps = function(value)
    return is_list(value, function(app)
      return type(app) == "table" and is_line(app.path) and not wrong_key(app, APP)
    end)
  end,
  parts = function(value)
    return is_list(value, function(part) return is_line(part) and cli.image(part) end)
  end,
  include = is_lines, options = is_texts, share = is_lines,
  check_host_dependencies = is_flag, user_may_override = is_flag,
  machine = function(value) return type(value) == "table" and not wrong_key(value, MACHINE) end,
}

local LISTS = { "apps", "parts", "include", "options", "share" }

--- The manifest of a flake (as pilot.load gives it). parts: the images beside its own.
function M.of_flake(flake, parts)
  local apps, machine = yaml.list {}, nil
  for i, app in ipairs(flake.apps) do
    apps[i] = { path = app.path, target = app.target or app.path, user = app.user,
      resume = app.resume or nil, attach = app.attach or nil }
  end
  if flake.engine == "firecracker" then
    local settings = vm.settings(flake)
    machine = {}
    for key in pairs(MACHINE) do
      if settings[key] ~= yaml.null then machine[key] = settings[key] end
    end
  end
  local include = table.move(flake.include.tar, 1, #flake.include.tar, 1, yaml.list {})
  return { format = M.format, name = flake.name, engine = flake.engine, image = flake.image,
    apps = apps, parts = parts, options = not machine and yaml.list(flake.options) or nil,
    include = table.move(flake.include.path, 1, #flake.include.path, #include + 1, include),
    share = yaml.list(flake.share), machine = machine,
    check_host_dependencies = flake.check_host_dependencies or nil,
    user_may_override = flake.user_may_override or nil }
end

-- Texts become what they stand for in a definition.
local function plain(value)
  if is_flag(value) then return value == "true" end
  if type(value) ~= "string" then return value end
  return value:match("^[1-9]%d*$") and math.tointeger(tonumber(value)) or value
end

local function settle(manifest)
  for _, key in ipairs(LISTS) do manifest[key] = yaml.list(manifest[key] or {}) end
  for _, key in ipairs { "check_host_dependencies", "user_may_override" } do
    manifest[key] = manifest[key] == "true"
  end
  for _, app in ipairs(manifest.apps) do
    app.resume, app.attach = app.resume == "true", app.attach == "true"
  end
  for key, value in pairs(manifest.machine or {}) do
    manifest.machine[key] = key == "boot_args" and yaml.list(value) or plain(value)
  end
  manifest.format = M.format
  return manifest
end

--- Checks a document (all scalars as text) for being a manifest.
-- Returns it with the types that of_flake gives, or nil, what is wrong.
function M.check(doc)
  if type(doc) ~= "table" or yaml.is_list(doc) then return nil, "is no map" end
  local wrong = wrong_key(doc, KEYS)
  if wrong then return nil, ("has no right '%s'"):format(wrong) end
  for _, key in ipairs { "format", "name", "engine", "image", "apps" } do
    if not doc[key] then return nil, ("has no '%s'"):format(key) end
  end
  if #doc.apps == 0 then return nil, "has no commands" end
  return settle(doc)
end

local function instance_of(app)
  return app.resume and "resume" or app.attach and "attach" or ""
end

local function are_alike(apps)
  for _, app in ipairs(apps) do
    if app.user ~= apps[1].user or instance_of(app) ~= instance_of(apps[1]) then return false end
  end
  return true
end

-- The section that both engines have: the image, the commands and who runs them.
local function section_of(manifest)
  local apps, first = manifest.apps, manifest.apps[1]
  local alike = are_alike(apps)
  local section = { name = manifest.image, host_app_path = first.path,
    target_app_path = first.target,
    runtime = { runas = alike and first.user or yaml.null, resume = alike and first.resume,
      attach = alike and first.attach } }
  if #apps == 1 then return section end
  section.path_map = {}
  for _, app in ipairs(apps) do
    section.path_map[app.path] = { exports = app.target, user = not alike and app.user or nil,
      instance = not alike and instance_of(app) or nil }
  end
  return section
end

--- The definition (schema version 1) of a manifest. includes: paths of its archives on this host;
-- files: {rootfs_image_path=, …} of a VM's image, which becomes a part of it.
function M.definition(manifest, includes, files)
  local section = section_of(manifest)
  local doc = { user_may_override = manifest.user_may_override or nil,
    include = { tar = #includes > 0 and yaml.list(includes) or yaml.null } }
  if #manifest.share > 0 then section.runtime.share = manifest.share end
  if manifest.engine == "podman" then
    section.runtime.podman = manifest.options
    section.base_container = manifest.parts[1]
    if #manifest.parts > 1 then
      section.layers = yaml.list(table.move(manifest.parts, 2, #manifest.parts, 1, {}))
    end
    section.check_host_dependencies = manifest.check_host_dependencies or nil
    doc.container = section
  else
    section.runtime.attach = nil
    section.runtime.firecracker = files
    for key, value in pairs(manifest.machine or {}) do files[key] = value end
    doc.vm = section
  end
  return doc
end

return M
