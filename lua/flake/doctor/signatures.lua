-- SPDX-License-Identifier: MIT
-- What the doctor says of flakes that demand signatures: can they be checked here, and would podman
-- find them? That is of the demand and the registry; what is in the store was checked when it came.
local fs = require "flake.fs"
local process = require "flake.process"
local references = require "flake.references"
local sigstore = require "flake.sigstore"
local strict_json = require "flake.strict_json"
local yaml = require "flake.yaml"

local M = {}

local AGAIN = "register it again, with --force --require-signature FILE"

-- The kinds of requirements anywhere in a policy, as set.
local function kinds_of(value, kinds)
  for _, entry in pairs(type(value) == "table" and value or {}) do
    if type(entry) == "table" and type(entry.type) == "string" then kinds[entry.type] = true end
    kinds_of(entry, kinds)
  end
  return kinds
end

--- Where podman reads what it knows of registries (containers-registries.d(5)).
function M.dirs()
  local dirs = { "/etc/containers/registries.d", "/usr/share/containers/registries.d" }
  if fs.getuid() == 0 then return dirs end
  local own = process.getenv("XDG_CONFIG_HOME") or (process.getenv("HOME") or "") .. "/.config"
  table.insert(dirs, 1, own .. "/containers/registries.d")
  return dirs
end

-- {[scope]=its section}; "" is the section of all others.
local function sections_in(dirs)
  local sections = {}
  for _, dir in ipairs(dirs) do
    for _, name in ipairs(fs.list(dir) or {}) do
      local text = name:match("%.yaml$") and fs.read(("%s/%s"):format(dir, name))
      local doc = text and yaml.load(text)
      doc = type(doc) == "table" and doc or {}
      sections[""] = sections[""] or doc["default-docker"]
      for scope, section in pairs(type(doc.docker) == "table" and doc.docker or {}) do
        sections[scope] = sections[scope] or section
      end
    end
  end
  return sections
end

-- From the image itself to all of its registry, and to any.
local function scopes_of(reference)
  local full = references.with_tag(reference)
  local scopes, at = { full }, full:gsub("@.*$", ""):gsub(":[^/:]*$", "")
  repeat
    table.insert(scopes, at)
    at = at:match("^(.*)/[^/]*$")
  until not at
  local host = scopes[#scopes]
  for rest in host:gmatch("()%.") do table.insert(scopes, "*" .. host:sub(rest)) end
  table.insert(scopes, "")
  return scopes
end

--- What is set for an image under one of the keys; nil: nothing.
function M.setting(reference, keys, dirs)
  local sections = sections_in(dirs)
  for _, scope in ipairs(scopes_of(reference)) do
    local section = sections[scope]
    for _, key in ipairs(type(section) == "table" and keys or {}) do
      if section[key] ~= nil and section[key] ~= yaml.null then return section[key] end
    end
  end
end

local function in_file(host, line)
  return ("in a file of /etc/containers/registries.d: docker: {%s: {%s}}"):format(host, line)
end

local function check_registry(add, flake, reference, kinds, dirs)
  local host = reference:match("^([^/]+)/") or ""
  if not host:find("[.:]") then return end
  local attached = M.setting(reference, { "use-sigstore-attachments" }, dirs)
  if kinds.sigstoreSigned and attached ~= true then
    add("serious", ("flake '%s': use-sigstore-attachments is not set for %s: a signed image reads "
      .. "as one without signature"):format(flake.name, host),
      in_file(host, "use-sigstore-attachments: true"))
  end
  if kinds.signedBy and not M.setting(reference, { "lookaside", "sigstore" }, dirs) then
    add("warning", ("flake '%s': no lookaside is set for %s: GPG signatures are looked for in the "
      .. "registry and on this host only"):format(flake.name, host),
      in_file(host, "lookaside: https://WHERE-THEY-ARE"))
  end
end

local tried

local function check_sigstore(add, flake)
  tried = tried or { sigstore.is_checked() }
  if tried[1] then return end
  add("serious", ("flake '%s' demands sigstore signatures, which this podman does not check: it "
    .. "refuses every image: %s"):format(flake.name, tried[2]),
    "sign with GPG (podman push --sign-by) and register that key, or take another podman")
end

--- Checks what a flake demands. dirs: as M.dirs gives them, for tests.
function M.check(add, flake, dirs)
  for _, key in ipairs(flake.signature_keys) do
    if not fs.access(key, "r") then
      add("serious", ("flake '%s': the key %s of its bundles is missing"):format(flake.name, key),
        AGAIN)
    end
  end
  if not flake.signature_policy then return end
  local text, message = fs.read(flake.signature_policy, { limit = 1 << 20 })
  local policy = text and strict_json.decode(text)
  if not policy then
    add("serious", ("flake '%s' demands signatures, and nothing says which: none can be pulled: %s")
      :format(flake.name, message or flake.signature_policy .. " is no JSON"), AGAIN)
    return
  end
  local kinds = kinds_of(policy, {})
  if kinds.sigstoreSigned then check_sigstore(add, flake) end
  for _, reference in ipairs { flake.image, flake.base, table.unpack(flake.layers) } do
    check_registry(add, flake, reference, kinds, dirs or M.dirs())
  end
end

return M
