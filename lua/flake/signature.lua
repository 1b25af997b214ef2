-- SPDX-License-Identifier: MIT
-- What flakes demand to be signed, and by whom. A flake records it beside its definition:
--   NAME.d/signature-policy.json   what podman demands of its images (containers-policy.json(5))
--   NAME.d/signature-N.pub         the keys of which each must have signed its bundles
-- What a key cannot sign is refused: with a key of minisign alone no image is pulled.
local digest = require "flake.digest"
local files_of = require "flake.signature_files"
local fs = require "flake.fs"
local loader = require "flake.loader"
local references = require "flake.references"
local registry = require "flake.registry"
local signed_file = require "flake.signed_file"
local strict_json = require "flake.strict_json"
local yaml = require "flake.yaml"

local M = {}

local LIMIT = 1 << 20

-- --- recording ----------------------------------------------------------------------------------

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for shift = 18, 0, -6 do
      local digit = bits >> shift & 63
      table.insert(out, DIGITS:sub(digit + 1, digit + 1))
    end
    if not c then out[#out] = "=" end
    if not b then out[#out - 1] = "=" end
  end
  return table.concat(out)
end

-- cosign signs no tag: the repository must do.
local REQUIREMENT = {
  gpg = function(text)
    return { type = "signedBy", keyType = "GPGKeys", keyData = base64(text) }
  end,
  sigstore = function(text)
    return { type = "sigstoreSigned", keyData = base64(text),
      signedIdentity = { type = "matchRepository" } }
  end,
}

local function array(list)
  return setmetatable(list, { __jsontype = "array" })
end

-- Sorts a file into what: {requirements=for podman, policy=a whole policy, keys=texts of keys}.
local function take(path, what)
  local text, message, code = fs.read(path, { limit = LIMIT })
  if not text then return nil, message, code end
  local kind = signed_file.kind_of(text)
  if text:match("^%s*{") then
    local policy, why = strict_json.decode(text)
    if not policy or type(policy.default) ~= "table" then
      return nil, ("%s is no policy of signatures: %s"):format(path, why or "it has no 'default'"),
        "EUSAGE"
    end
    what.policy = text
  elseif not kind then
    return nil, ("%s is neither a public key (GPG, sigstore, minisign) nor a policy"):format(path),
      "EUSAGE"
  end
  if REQUIREMENT[kind] then table.insert(what.requirements, REQUIREMENT[kind](text)) end
  if signed_file.can_check(kind) then table.insert(what.keys, text) end
  return true
end

-- Who has no key for images must not get any.
local function policy_of(what)
  if what.policy then return what.policy end
  local list = what.requirements
  if #list == 0 then list = { { type = "reject" } } end
  return require("dkjson").encode({ default = array(list) }, { indent = true }) .. "\n"
end

--- Makes a flake that is about to be registered (def, as registry.register takes it) demand what
-- the files say: public keys, or one policy. section: of its definition; dir: of definitions.
-- Returns true, or nil, message, code.
function M.record(def, section, files, dir)
  local what = { requirements = {}, keys = {} }
  for _, path in ipairs(files) do
    local ok, message, code = take(path, what)
    if not ok then return nil, message, code end
  end
  if what.policy and #what.requirements > 0 then
    return nil, "a policy of signatures says all of images: no key goes beside it", "EUSAGE"
  end
  local beside = def.name .. ".d/"
  def.texts = {}
  local function add(name, text)
    table.insert(def.texts, { to = ("%s/%s%s"):format(dir, beside, name), text = text })
    return beside .. name
  end
  if def.engine == "podman" then
    section.signature_policy = add(files_of.policy, policy_of(what))
  elseif #what.keys == 0 then
    return nil, "images of VMs are not signed: only a GPG or minisign key, of bundles, makes sense",
      "EUSAGE"
  end
  section.signature_keys = #what.keys > 0 and yaml.list {} or nil
  for i, text in ipairs(what.keys) do
    section.signature_keys[i] = add(files_of.key(i), text)
  end
  return true
end

--- Does the flake (as pilot.load gives it) demand signatures?
function M.is_demanded(flake)
  return flake.signature_policy ~= nil or #flake.signature_keys > 0
end

-- --- who demands --------------------------------------------------------------------------------

local function scopes()
  return { {}, loader.user_root() and { user = true } or nil }
end

--- All flakes that demand signatures, the system's and the caller's own.
function M.demanding()
  local found = {}
  for _, scope in ipairs(scopes()) do
    for _, row in ipairs(registry.list(scope) or {}) do
      local flake = not row.error and registry.find(row.name, scope)
      if flake and M.is_demanded(flake) then table.insert(found, flake) end
    end
  end
  return found
end

-- Names that may be the same image: one says the registry, the other may not.
local function may_be_same(a, b)
  a, b = references.with_tag(a), references.with_tag(b)
  return a == b or a:sub(-#b - 1) == "/" .. b or b:sub(-#a - 1) == "/" .. a
end

--- Those of the flakes that have an image of that name.
function M.of_image(flakes, name)
  local found = {}
  for _, flake in ipairs(flakes) do
    for _, used in ipairs(flake.engine == "podman" and references.collect { flake } or {}) do
      if may_be_same(used.name, name) and found[#found] ~= flake then
        table.insert(found, flake)
      end
    end
  end
  return found
end

-- --- pulls --------------------------------------------------------------------------------------

-- The distinct policies of flakes, as options of podman. Returns an array, or nil, message, code.
local function policies_of(flakes)
  local options, seen = {}, {}
  for _, flake in ipairs(flakes) do
    local path = flake.signature_policy
    local sum, message, code
    if path then sum, message, code = digest.file(path, "sha256") end
    if message then return nil, message, code end
    if path and not seen[sum] then table.insert(options, "--signature-policy=" .. path) end
    seen[sum or ""] = true
  end
  return options
end

-- {[name]=id or false} of all images that the flakes have.
local function names_of(place, flakes)
  local ids = {}
  for _, used in ipairs(references.collect(flakes)) do
    local image, message, code = place:image(used.name)
    if message then return nil, message, code end
    ids[used.name] = image and image.id or false
  end
  return ids
end

-- Names that are another image now than before point to what they were.
local function restore(place, before, is_covered)
  local moved
  for name, id in pairs(before) do
    local now = not is_covered(name) and place:image(name)
    if now and now.id ~= id then
      moved = name
      if id then place:tag(id, name) else place:untag(now.id, name) end
      place:drop(now.id)
    end
  end
  return moved
end

--- Runs a step that may give names of a store to other images. What flakes demand to be signed, and
-- is not covered, stays what it was: is_covered(name).
-- Returns what the step does, or nil, message, code.
function M.guarded(place, is_covered, step)
  local flakes = {}
  for _, flake in ipairs(M.demanding()) do
    if flake.engine == "podman" then table.insert(flakes, flake) end
  end
  if #flakes == 0 then return step() end
  local before, message, code = names_of(place, flakes)
  if not before then return nil, message, code end
  local ok, why, name = step()
  local moved = restore(place, before, ok and is_covered or function() return false end)
  if not ok then return nil, why, name end
  if not moved then return ok, why, name end
  return nil, ("flake '%s' demands that image '%s' is signed, which was not checked: it stays what "
    .. "it was"):format(M.of_image(flakes, moved)[1].name, moved), "ESIGNATURE"
end

--- Pulls an image under what the flakes that have it demand. run(args) pulls it, by podman pull
-- with these arguments, options and the name; it returns true, or nil, message, code.
-- Returns what run does, or nil, message, code.
function M.pull(place, name, run)
  local flakes = M.of_image(M.demanding(), name)
  local options, message, code = policies_of(flakes)
  if not options then return nil, message, code end
  if #options == 0 then options = { false } end
  local function is_covered(used) return #flakes > 0 and may_be_same(used, name) end
  return M.guarded(place, is_covered, function()
    local first, ok, why, reason
    for _, option in ipairs(options) do
      ok, why, reason = run(option and { option, "--", name } or { "--", name })
      if not ok then return nil, why, reason end
      local image = #options > 1 and place:image(name)
      first = first or image and image.id
      if image and image.id ~= first then
        return nil, ("image '%s' has changed while it was pulled: try again"):format(name),
          "EENGINE"
      end
    end
    return ok, why, reason
  end)
end

--- Pulls an image that is missing, if a flake demands that it is signed; else what runs next may.
-- Returns true, or nil, message, code.
function M.ensure(place, name)
  if #M.of_image(M.demanding(), name) == 0 or place:image(name) then return true end
  return M.pull(place, name, function(args)
    return place:podman({ "pull", "--quiet", table.unpack(args) }, "inherit")
  end)
end

-- --- bundles ------------------------------------------------------------------------------------

--- Checks a bundle for a flake that demands signatures. file: nobody else can change it; name: of
-- it, for people. Returns true, or nil, message, code.
function M.check_bundle(flake, file, name)
  if #flake.signature_keys == 0 then
    return nil, ("flake '%s' demands signatures, and has no key for bundles (of GPG or minisign)")
      :format(flake.name), "ESIGNATURE"
  end
  for _, key in ipairs(flake.signature_keys) do
    local ok, message, code = signed_file.check(file, key, name)
    if not ok then
      return nil, ("flake '%s' demands a signature: %s"):format(flake.name, message), code
    end
  end
  return true
end

return M
