-- SPDX-License-Identifier: MIT
-- The "kis" result of KIWI: an archive with kernel, optional initrd, root file system and a record
-- of its checksum, told apart by the last extension of their names.
local archive = require "flake.archive"
local checksum = require "flake.checksum"
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local kernel = require "shipped.runtimes.firecracker.kernel"

local M = {}

local LIMITS = { max_entries = 100, max_size = 1 << 40 }
local KINDS = { kernel = "kernel", initrd = "initrd", append = "append", sha256 = "sha256",
  md5 = "md5" }

local function refuse(uri, text, ...)
  return nil, ("%s is no kis image: %s"):format(uri, text:format(...)), "EIMAGE"
end

--- What is what. names: of the files. Returns {rootfs=, kernel=, initrd=, append=, sha256=, md5=}
-- with names, or nil, reason.
function M.classify(names)
  local found = {}
  for _, name in ipairs(names) do
    local kind = KINDS[name:match("%.([^.]*)$")] or "rootfs"
    if found[kind] then
      return nil, ("'%s' and '%s' could both be its %s"):format(found[kind], name, kind)
    end
    found[kind] = name
  end
  if not found.kernel then return nil, "it has no kernel (NAME.kernel)" end
  if not found.rootfs then return nil, "it has no root file system" end
  return found
end

-- The files of the archive: all at its top.
local function names_of(path, uri)
  local members, message, code = archive.list(path, LIMITS)
  if not members then return nil, message, code end
  local names = {}
  for _, member in ipairs(members) do
    local name = member.path:gsub("^%./", ""):gsub("/$", "")
    if member.type == "file" then
      if name:find("/", 1, true) then
        return refuse(uri, "'%s' is not at its top", member.path)
      end
      table.insert(names, name)
    elseif member.type ~= "directory" then
      return refuse(uri, "'%s' is a %s", member.path, member.type)
    end
  end
  return names
end

-- Gives the files our names instead of theirs. Returns their paths by kind, or nil, message, code.
local function rename_all(dir, files)
  local tree <close>, message, code = fs.tree(dir)
  local ok, paths = nil, {}
  if tree then ok, message, code = tree:mkdir("named") end
  for kind, name in pairs(files) do
    if ok then ok, message, code = tree:rename("files/" .. name, "named/" .. kind) end
    paths[kind] = ("%s/named/%s"):format(dir, kind)
  end
  return ok and paths, message, code
end

-- Checks one record. The name in it may be that of the file as it was in the archive.
local function verify(paths, files, algorithm, rootfs, uri)
  local text, message, code = fs.read(paths[algorithm], { limit = 65536 })
  if not text then return nil, message, code end
  local record = checksum.parse(text, algorithm)
  if not record then return refuse(uri, "its record '%s' is none", files[algorithm]) end
  local file = record.file == files.rootfs and paths.rootfs or rootfs
  local ok
  ok, message, code = checksum.verify(file, record, algorithm)
  if ok then return true end
  return nil, ("%s: its root file system is damaged: %s"):format(uri, message), code
end

-- The files go to their names in `target`; the record of the checksum, too.
local function place(paths, files, target, uri)
  local rootfs = target .. "/rootfs"
  local ok, message, code = true, nil, nil
  if e2fs.is_ext(paths.rootfs) then
    rootfs = paths.rootfs
  else
    ok, message, code = archive.decompress(paths.rootfs, rootfs)
  end
  for _, algorithm in ipairs { "sha256", "md5" } do
    if ok and files[algorithm] then
      ok, message, code = verify(paths, files, algorithm, rootfs, uri)
    end
  end
  if not ok then return nil, message, code end
  if rootfs == paths.rootfs then assert(fs.rename(rootfs, target .. "/rootfs")) end
  if paths.initrd then assert(fs.rename(paths.initrd, target .. "/initrd")) end
  local record = paths.sha256 or paths.md5
  if record then assert(fs.rename(record, target .. "/checksum")) end
  return kernel.install(paths.kernel, target .. "/kernel")
end

--- Unpacks a kis archive as the files of an image. path: of the archive; uri: its name for people;
-- dir: an empty directory; target: of the image. note(text): for warnings.
-- Returns true, or nil, message, code.
function M.unpack(path, uri, dir, target, note)
  local names, message, code = names_of(path, uri)
  if not names then return nil, message, code end
  local files, why = M.classify(names)
  if not files then return refuse(uri, "%s", why) end
  local ok
  ok, message, code = fs.mkdir(dir .. "/files")
  if not ok then return nil, message, code end
  ok, message, code = archive.extract(path, dir .. "/files",
    { max_entries = LIMITS.max_entries, max_size = LIMITS.max_size, sparse = true })
  if not ok then return nil, message, code end
  if not files.sha256 and not files.md5 then
    note(("%s has no record of its checksum"):format(uri))
  end
  local paths
  paths, message, code = rename_all(dir, files)
  if not paths then return nil, message, code end
  return place(paths, files, target, uri)
end

return M
