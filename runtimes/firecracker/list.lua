-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker list: the images.
local fs = require "flake.fs"
local output = require "flake.output"
local vm = require "flake.vm"

local COLUMNS = {
  { key = "name", title = "NAME" }, { key = "size", title = "SIZE" },
  { key = "kernel", title = "KERNEL" }, { key = "initrd", title = "INITRD" },
  { key = "init", title = "INIT" }, { key = "flakes", title = "USED BY" },
}

local function size_of(path)
  local st = fs.stat(path)
  return st and st.size
end

-- Bytes as people read them.
local function readable(bytes)
  if not bytes then return nil end
  if bytes < 1 << 20 then return ("%d KiB"):format((bytes + 1023) >> 10) end
  return ("%d MiB"):format((bytes + (1 << 20) - 1) >> 20)
end

local function row_of(name, dir, opts)
  local users, message, code = vm.flakes_of(name, dir, opts)
  if not users then return nil, message, code end
  local names = {}
  for i, flake in ipairs(users) do names[i] = flake.name end
  return { name = name, size = size_of(dir .. "/rootfs"), kernel = size_of(dir .. "/kernel"),
    initrd = size_of(dir .. "/initrd"), flakes = table.concat(names, ","),
    init = fs.stat(dir .. "/channel") and "ours" or "older tools'" }
end

--- flake-ctl firecracker list
return function(opts, ctx)
  local names, message, code = vm.images(opts)
  if not names then return nil, message, code end
  local rows, dir = {}, vm.images_dir(opts)
  for i, name in ipairs(names) do
    rows[i], message, code = row_of(name, dir .. "/" .. name, opts)
    if not rows[i] then return nil, message, code end
    if opts.format == "table" then
      for _, key in ipairs { "size", "kernel", "initrd" } do
        rows[i][key] = readable(rows[i][key])
      end
    end
  end
  output.print(ctx.out, rows, COLUMNS, opts.format)
  return 0
end
