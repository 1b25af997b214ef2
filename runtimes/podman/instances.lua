-- SPDX-License-Identifier: MIT
-- The containers that flakes have started, as podman tells.
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local podman = require "flake.podman"
local store = require "flake.store"

local M = {}

local function some(text)
  return text ~= "" and text or nil
end

-- The key of an instance, which is the name of files and of the container: anything else is none.
local function key_of(container)
  local key = container.Labels["flake-pilot.key"] or ""
  for _, name in ipairs(key:match("^[%w_-][%w._-]*$") and container.Names or {}) do
    if name == "flake-" .. key then return key end
  end
end

local function row_of(container)
  local running = container.Pid and container.Pid ~= 0
  return {
    name = container.Labels["flake-pilot.flake"],
    instance = some(container.Labels["flake-pilot.instance"]),
    id = container.Id,
    key = key_of(container),
    status = container.State,
    age = container.StartedAt and math.max(0, os.time() - container.StartedAt),
    pid = running and container.Pid or nil,
    image = container.Image,
  }
end

--- All containers of flakes, or of one flake, sorted by name, instance and id; place: the store
-- to look in, if it is not the caller's.
-- Returns an array of {name, instance, id, status, age=seconds, pid, image}, or nil, message, code.
function M.list(flake, place)
  local containers, message, code = (place or store.of()):containers(flake, true)
  if not containers then return nil, message, code end
  local rows = {}
  for _, container in ipairs(containers) do table.insert(rows, row_of(container)) end
  local function key(row) return ("%s\0%s\0%s"):format(row.name, row.instance or "", row.id) end
  table.sort(rows, function(one, other) return key(one) < key(other) end)
  return rows
end

-- The locks of instances: who calls one now waits, and starts it anew.
local function lock(rows)
  local dir, message, code = pilot.state_dir()
  if not dir then return nil, message, code end
  local locks = setmetatable({}, { __close = function(held)
    for _, one in ipairs(held) do one:unlock() end
  end })
  for _, row in ipairs(rows) do
    local held, why, name
    if row.key then
      held, why, name = fs.lock(("%s/%s.lock"):format(dir, row.key), { timeout = 60 })
      if not held then return nil, why, name end
      table.insert(locks, held)
    end
  end
  return locks
end

--- Ends instances: SIGTERM, SIGKILL after ten seconds; the containers are removed.
-- Returns true, or nil, message, code.
function M.stop(rows)
  if #rows == 0 then return true end
  local held <close>, why, name = lock(rows)
  if not held then return nil, why, name end
  local ids = {}
  for i, row in ipairs(rows) do
    ids[i] = row.id
    if row.key then pilot.forget_instance(row.key) end
  end
  local gone, message, code = podman.ask("rm", "--force", "--ignore", "--time=10",
    table.unpack(ids))
  if not gone then return nil, message, code end
  return true
end

return M
