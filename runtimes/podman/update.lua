-- SPDX-License-Identifier: MIT
-- flake-ctl podman update: newer images for flakes; the old one stays until the new one works.
local fs = require "flake.fs"
local loader = require "flake.loader"
local output = require "flake.output"
local process = require "flake.process"
local quote = require("flake.text").quote
local reason = require("flake.text").reason
local references = require "flake.references"
local registry = require "flake.registry"
local signature = require "flake.signature"
local store = require "flake.store"

local NEWS = 10 -- exit status of --check when something is new
local PATIENCE = 60 -- seconds for the answer of a registry

local COLUMNS = { { key = "reference", title = "REFERENCE" }, { key = "state", title = "STATE" },
  { key = "old", title = "OLD" }, { key = "new", title = "NEW" },
  { key = "flakes", title = "FLAKES" }, { key = "message", title = "MESSAGE" } }

local function say(ctx, text, ...)
  ctx.err:write("flake-ctl: ", text:format(...), "\n")
end

-- The flakes to look at. Returns an array and how many are broken, or nil, message, code.
local function chosen(opts, ctx)
  if (opts.name == nil) == not opts.all then
    return nil, "update needs either NAME or --all", "EUSAGE"
  end
  if opts.name then
    local flake, message, code = registry.find(opts.name, opts)
    if not flake then return nil, message, code end
    if #flake.archives > 0 then
      return nil, ("flake '%s' has its image from %s: that is what to update"):format(flake.name,
        flake.archives[1]), "EUSAGE"
    end
    if flake.engine == "podman" then return { flake }, 0 end
    return nil, ("flake '%s' is for engine '%s'"):format(flake.name, flake.engine), "EUSAGE"
  end
  local rows, message, code = registry.list(opts)
  if not rows then return nil, message, code end
  local flakes, broken = {}, 0
  for _, row in ipairs(rows) do
    local flake = row.engine == "podman" and registry.find(row.name, opts)
    if flake and #flake.archives == 0 then table.insert(flakes, flake) end
    if row.error then
      broken = broken + 1
      say(ctx, "broken: %s", row.error)
    end
  end
  return flakes, broken
end

-- --- what the registry has ----------------------------------------------------------------------

local function skopeo(place, ...)
  local result, message, code = place:tool({ "skopeo", "inspect", ... }, PATIENCE)
  if not result then return nil, message, code end
  if result.timed_out then return nil, "the registry does not answer" end
  if result.code ~= 0 then return nil, reason(result) end
  return require("dkjson").decode(result.stdout) or {}
end

-- The same image may have another digest there: compression differs, the id does not.
local function same_image(place, url, image)
  local manifest = skopeo(place, "--raw", url)
  local config = manifest and manifest.config
  return config and config.digest == "sha256:" .. image.id
end

local function check_one(place, row, name, image)
  local url = "docker://" .. references.qualified(name, image)
  local remote, message = skopeo(place, "--no-tags", url)
  if not remote then return nil, message end
  row.new = remote.Digest
  row.old = image and (image.digests[remote.Digest] and remote.Digest or image.digest)
  if not image then
    row.state, row.message = "missing", "not here yet"
  elseif image.digests[remote.Digest] or same_image(place, url, image) then
    row.state = "current"
  else
    row.state = "available"
  end
  return true
end

-- --- the exchange -------------------------------------------------------------------------------

-- The reference points to the old image again, and the new one goes.
local function back(swap)
  local place = swap.place
  if swap.old then
    assert(place:tag(swap.old.id, swap.name))
    place:untag(swap.old.id, swap.keep)
  elseif swap.new then
    place:untag(swap.new.id, swap.name)
  end
  if swap.new and not (swap.old and swap.new.id == swap.old.id) then place:drop(swap.new.id) end
end

-- An exchange that is left in any way before it is settled is taken back.
local SWAP = { __close = function(swap)
  if swap.settled then return end
  swap.new = swap.new or swap.place:image(swap.name)
  back(swap)
end }

-- An update that was killed has left the old image under its temporary name.
local function heal(place, name, ctx)
  local keep = references.keep_name(name)
  local old = place:image(keep)
  if not old then return end
  local unproven = place:image(name)
  say(ctx, "%s: an update was interrupted; back to %s", name, old.id:sub(1, 12))
  back { place = place, name = name, keep = keep, old = old, new = unproven }
end

local function report_instances(place, old, ctx)
  for _, one in ipairs(place:instances(old.id)) do
    local name = one.instance and "@" .. one.instance
    say(ctx, "%s still runs the old image (container %s); the new one is used after: "
      .. "flake-ctl podman stop %s", one.flake .. (name and " " .. name or ""), one.id:sub(1, 12),
      quote(one.flake) .. (name and " " .. quote(name) or ""))
  end
end

local function finish(swap, row, ctx)
  swap.settled = true
  if not swap.old then return end
  report_instances(swap.place, swap.old, ctx)
  swap.place:untag(swap.old.id, swap.keep)
  local gone, why
  local pinned = ctx.pins[swap.old.id]
  if pinned then
    why = ("flake '%s' is pinned to it"):format(pinned)
  else
    gone, why = swap.place:drop(swap.old.id)
  end
  if not gone then
    row.message = "old image kept, still in use: " .. tostring(why)
    say(ctx, "%s: old image %s is kept: %s", row.reference, swap.old.id:sub(1, 12), why)
  end
end

local function pull(place, name)
  local terminal = fs.isatty(2)
  return signature.pull(place, name, function(args)
    if terminal then return place:podman({ "pull", table.unpack(args) }, "inherit") end
    return place:podman({ "pull", "--quiet", table.unpack(args) })
  end)
end

local function update_one(place, row, reference, image, ctx)
  local name = references.qualified(reference.name, image)
  local swap <close> = setmetatable({ place = place, name = name, old = image,
    keep = references.keep_name(name) }, SWAP)
  if image then assert(place:tag(image.id, swap.keep)) end
  row.old = image and image.id
  local ok, message = pull(place, name)
  if not ok then return nil, message end
  swap.new, message = place:image(name)
  if not swap.new then return nil, message or "podman pulled nothing" end
  swap.name = references.qualified(reference.name, swap.new)
  row.new = swap.new.id
  if image and image.id == swap.new.id then
    row.state, swap.settled = "current", true
    place:untag(image.id, swap.keep)
    return true
  end
  ok, message = require("shipped.runtimes.podman.trial").run { store = place,
    image = swap.new, old = image, flakes = reference.flakes,
    init = ctx.info.lib .. "/flake-init", ctl = ctx.info.bindir .. "/flake-ctl" }
  if not ok then return nil, ("new image %s: %s"):format(swap.new.id:sub(1, 12), message) end
  row.state = "updated"
  finish(swap, row, ctx)
  return true
end

-- --- all of it ----------------------------------------------------------------------------------

local function names_of(flakes)
  local names = setmetatable({}, { __jsontype = "array" })
  for i, flake in ipairs(flakes) do names[i] = flake.name end
  return names
end

-- One reference, one row; a failure stays with it.
local function process_one(reference, opts, ctx)
  local row = { reference = reference.name, flakes = names_of(reference.flakes) }
  local place, message = store.of(reference.user)
  local image
  if place and not opts.check and not references.fixed(reference.name) then
    heal(place, references.qualified(reference.name, place:image(reference.name)), ctx)
  end
  if place then image, message = place:image(reference.name) end
  row.state = references.fixed(reference.name, image)
  if row.state then
    row.old = image and image.id
  elseif not message then
    if opts.check then
      message = select(2, check_one(place, row, reference.name, image))
    else
      message = select(2, update_one(place, row, reference, image, ctx))
    end
  end
  if not row.state then
    row.state, row.message = "failed", message
    say(ctx, "%s: %s", reference.name, message)
  end
  return row
end

-- {[id of an image that a flake names by id or digest]=the flake}: such an image has no tag that
-- would keep it.
local function pinned_images()
  local flakes, pins = {}, {}
  for _, scope in ipairs { {}, loader.user_root() and { user = true } } do
    for _, row in ipairs(registry.list(scope) or {}) do
      local flake = row.engine == "podman" and registry.find(row.name, scope)
      if flake then table.insert(flakes, flake) end
    end
  end
  for _, reference in ipairs(references.collect(flakes)) do
    local place = references.may_be_pinned(reference.name) and store.of(reference.user)
    local image = place and place:image(reference.name)
    if image then pins[image.id] = reference.flakes[1].name end
  end
  return pins
end

local function short(id)
  return id and (id:match("^(sha256:%x%x%x%x%x%x%x%x%x%x%x%x)") or id:sub(1, 12))
end

local function print_rows(rows, opts, ctx)
  local columns = COLUMNS
  if opts.format == "table" then columns = table.move(COLUMNS, 1, #COLUMNS - 1, 1, {}) end
  for _, row in ipairs(rows) do
    if opts.format ~= "json" then row.flakes = table.concat(row.flakes, ",") end
    if opts.format == "table" then row.old, row.new = short(row.old), short(row.new) end
  end
  output.print(ctx.out, rows, columns, opts.format)
end

local function status_of(rows, broken)
  local status = 0
  for _, row in ipairs(rows) do
    if row.state == "available" or row.state == "missing" then status = NEWS end
    if row.state == "failed" then broken = broken + 1 end
  end
  return broken > 0 and 1 or status
end

-- One update of a store at a time. The caller's definitions are where he can surely write. --check
-- changes nothing and needs no lock: nil without message.
local function lock(opts)
  if opts.check and process.which("skopeo") then return nil end
  if opts.check then
    return nil, "--check asks the registries with skopeo, which is not installed", "ENOENT"
  end
  local dir = registry.dir({ user = loader.user_root() ~= nil })
  local ok, message, code = fs.mkdir_p(dir)
  if not ok then return nil, message, code end
  local held
  held, message, code = fs.lock(dir .. "/.update", { timeout = 0 })
  if not held and code == "ETIMEDOUT" then message = "another update is running" end
  return held, message, code
end

--- flake-ctl podman update
return function(opts, ctx)
  local flakes, broken, code = chosen(opts, ctx)
  if not flakes then return nil, broken, code end
  local held <close>, message, name = lock(opts)
  if not held and message then return nil, message, name end
  if not opts.check then ctx.pins = pinned_images() end
  local rows = {}
  for _, reference in ipairs(references.collect(flakes)) do
    table.insert(rows, process_one(reference, opts, ctx))
  end
  print_rows(rows, opts, ctx)
  return status_of(rows, broken)
end
