-- SPDX-License-Identifier: MIT
-- Directories of state in places where anyone can make one (src/state.c), and of the VMs' disks of
-- users without a home (pilots/firecracker_disk.c), made by somebody else than whose they should
-- be: that user's instances, composed images and disks are refused then.
local fs = require "flake.fs"
local registry = require "flake.registry"

local M = {}

local PLACES = { { "/run/flakes", "^(%d+)$" }, { "/tmp", "^flakes%-(%d+)$" },
  { "/var/tmp", "^flakes%-(%d+)$" } }

--- Array of {path=, uid=whose it should be, owner=}.
function M.foreign()
  local found = {}
  for _, place in ipairs(PLACES) do
    local dir = registry.prefix({}) .. place[1]
    for _, name in ipairs(fs.list(dir) or {}) do
      local path, uid = ("%s/%s"):format(dir, name), tonumber(name:match(place[2]))
      local st = uid and fs.lstat(path)
      if st and st.uid ~= uid then
        table.insert(found, { path = path, uid = uid, owner = st.uid })
      end
    end
  end
  return found
end

--- Adds findings: root's of all users, others' of their own.
function M.check(add)
  local me = fs.geteuid()
  for _, entry in ipairs(M.foreign()) do
    if me == 0 or me == entry.uid then
      add("serious", ("%s is user %d's, which keeps user %d from instances, composed images and "
        .. "disks of VMs"):format(entry.path, entry.owner, entry.uid),
        "as root: flake-ctl init --force")
    end
  end
end

return M
