-- SPDX-License-Identifier: MIT
-- flake-ctl podman compose: one image of a flake's parts, made once, or loaded from the archives
-- that the flake brings along. The pilot runs it when its record (src/composed.h) is missing or no
-- longer true.
local fs = require "flake.fs"
local images = require "flake.store"
local locks = require "flake.locks"
local pilot = require "flake.pilot"
local registry = require "flake.registry"
local archive = require "shipped.runtimes.podman.archive"
local build = require "shipped.runtimes.podman.compose_build"
local host = require "shipped.runtimes.podman.compose_host"
local parts = require "shipped.runtimes.podman.compose_parts"
local store = require "shipped.runtimes.podman.compose_store"
local watch = require "shipped.runtimes.podman.compose_watch"

-- So often things may change while they are looked at.
local ATTEMPTS = 4

local function lock(flake)
  local file, message, code = store.state_file(flake.state_name, "lock")
  if not file then return nil, message, code end
  return locks.wait(file)
end

-- Looks at everything, once. Returns a job {parts, paths, state, index, images, tag}.
local function look(flake)
  local index, message, code = store.index_file()
  if not index then return nil, message, code end
  -- Before its content is asked for: what changes later must not count as seen.
  local job = { flake = flake, index = pilot.watch(index) }
  job.parts, message, code = parts.find(flake)
  if job.parts then job.paths, message, code = host.paths(flake, job.parts) end
  if job.paths then job.state, message, code = watch.take(flake, job.parts, job.paths) end
  if job.state then job.images, message, code = store.images(flake.state_name) end
  if not job.images then return nil, message, code end
  return job
end

-- An image without files that the host has not is for calls only that ask for it. Sets job.tag.
local function image_of(job, opts)
  local ids, lenient = {}, job.state.key .. store.LENIENT
  for _, image in ipairs(job.images) do ids[image.tag] = image.id end
  job.tag = job.state.key
  if opts.ignore_missing and not ids[job.tag] and ids[lenient] then job.tag = lenient end
  return ids[job.tag]
end

local function record(job, id)
  if not id then return nil, ("the image of '%s' has vanished"):format(job.flake.name), "ENOENT" end
  local entries = table.move(job.state.entries, 1, #job.state.entries, 2, { job.index })
  -- No stamp looks like that: the record holds for no other call.
  if job.tag ~= job.state.key then table.insert(entries, 1, "lenient -") end
  local ok, message, code = pilot.record_composed(job.flake.state_name, id, entries)
  return ok and id, message, code
end

local function make(job, opts, ctx, attempt)
  if fs.isatty(2) and attempt == 1 then
    ctx.err:write(("composing the image of flake '%s' …\n"):format(job.flake.name))
  end
  local ok, message, code = build(job, opts, ctx)
  if not ok or attempt < ATTEMPTS then return ok, message, code end
  job.images, message, code = store.images(job.flake.state_name)
  if not job.images then return nil, message, code end
  return record(job, image_of(job, opts))
end

-- After a build everything is looked at once more, so that the record holds only what was there
-- before the image was. What changes all the time gets an image all the same: of a moment ago.
local function compose(flake, opts, ctx)
  for attempt = 1, ATTEMPTS do
    local job, message, code = look(flake)
    if not job then return nil, message, code end
    local id, old = image_of(job, opts), nil
    if opts.force and attempt == 1 then id, old = nil, id end
    if not id then
      id, message, code = make(job, opts, ctx, attempt)
      if not id or attempt == ATTEMPTS then return id, message, code end
      if old then store.remove(old) end
    else
      -- Without record the next call looks again, and collects.
      if opts.keep_old then return id end
      -- What collecting does to the store must be seen too.
      if store.collect(flake.state_name, job.images, job.tag) == 0 or attempt == ATTEMPTS then
        return record(job, id)
      end
    end
  end
end

-- The images of a flake that brings them along; their ids, or nil, message, code.
local function load_archives(flake, ctx)
  local held <close>, message, code = archive.lock(flake)
  if not held then return nil, message, code end
  if fs.isatty(2) then
    ctx.err:write(("loading the image of flake '%s' …\n"):format(flake.name))
  end
  return archive.ensure(flake, images.of(nil))
end

-- Returns the id of the image that is launched, or nil, message, code.
local function make_ready(flake, opts, ctx)
  local id = not opts.force and pilot.composed_image(flake.state_name)
  if id then return id end
  local ids, message, code = {}, nil, nil
  if #flake.archives > 0 then ids, message, code = load_archives(flake, ctx) end
  if not ids then return nil, message, code end
  if store.is_composed(flake) then return compose(flake, opts, ctx) end
  local ok
  ok, message, code = archive.record(flake, ids[1])
  return ok and ids[1], message, code
end

--- flake-ctl podman compose
return function(opts, ctx)
  local flake, message, code = registry.find(opts.name, opts)
  if not flake then return nil, message, code end
  if not store.is_composed(flake) and #flake.archives == 0 then
    return nil, ("flake '%s' is one image: there is nothing to compose"):format(flake.name),
      "EUSAGE"
  end
  local held <close>, why, name = lock(flake)
  if not held then return nil, why, name end
  local id
  id, message, code = make_ready(flake, opts, ctx)
  if not id then return nil, message, code end
  ctx.out:write(id, "\n")
  return 0
end
