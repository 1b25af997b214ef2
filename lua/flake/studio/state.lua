-- SPDX-License-Identifier: MIT
-- What has been built from what: .flakes/studio/state.yaml, of this machine only. Without it
-- everything is built.
local fs = require "flake.fs"
local loader = require "flake.loader"
local process = require "flake.process"
local tree = require "flake.build.tree"
local yaml = require "flake.yaml"

local M = { format = 1 }

local FILE = ".flakes/studio/state.yaml"
-- So many paths a call of sha256sum.
local CHUNK = 500

local function sum(argv, opts)
  opts.stdout = "pipe"
  local result, message, code = process.run(argv, opts)
  if not result then return nil, message, code end
  if result.code == 0 then return result.stdout end
  return nil, "sha256sum failed", "EIO"
end

--- SHA-256 of a list of texts. Returns it in hexadecimal, or nil, message, code.
function M.digest(texts)
  local parts = {}
  for i, text in ipairs(texts) do parts[i] = ("%d:%s"):format(#text, text) end
  local line, message, code = sum({ "sha256sum" }, { stdin = { data = table.concat(parts) } })
  return line and line:match("^%x+"), message, code
end

-- Adds the content of files below dir to texts. Returns true, or nil, message, code.
local function add_files(texts, dir, files)
  for first = 1, #files, CHUNK do
    local argv = { "sha256sum", "--" }
    table.move(files, first, math.min(first + CHUNK - 1, #files), #argv + 1, argv)
    local text, message, code = sum(argv, { stdin = "null", cwd = dir })
    if not text then return nil, message, code end
    table.insert(texts, text)
  end
  return true
end

-- Adds a file, or all below a directory, with content, to texts. Returns true, or nil, message,
-- code.
local function describe(texts, label, path)
  local st, message, code = fs.stat(path)
  if not st then return nil, message, code end
  table.insert(texts, label)
  if st.type ~= "directory" then
    return add_files(texts, path:match("^(.*)/"), { "./" .. path:match("([^/]*)$") })
  end
  local files = {}
  for _, entry in ipairs(tree.list(path)) do
    table.insert(texts, entry.path)
    if entry.type == "symlink" then
      table.insert(texts, fs.readlink(path .. entry.path))
    elseif entry.type == "file" then
      table.insert(files, "." .. entry.path)
    end
  end
  return add_files(texts, path, files)
end

--- Digest of all that a bundle is made of. Returns it, or nil, message, code.
function M.of_bundle(project, flake, values, image_id, ctx)
  local text, message, code = yaml.dump(values)
  if not text then return nil, message, code end
  local texts = { tostring(M.format), ctx.info.version, text, image_id,
    process.getenv("SOURCE_DATE_EPOCH") or "" }
  local sources = { { "flake.yaml", flake.file }, { "flake.d", (flake.file:gsub("%.yaml$", ".d")) },
    { "build.sh", project:path "src/build.sh" } }
  for _, list in ipairs { flake.include.tar, flake.include.path } do
    for _, path in ipairs(list) do
      table.insert(sources, { path, path:sub(1, 1) == "/" and path
        or project:path("src/" .. path) })
    end
  end
  for _, source in ipairs(sources) do
    local ok
    ok, message, code = describe(texts, table.unpack(source))
    if not ok then return nil, message, code end
  end
  return M.digest(texts)
end

--- Digest of a package: of its bundle, and of the builder and its templates.
function M.of_package(bundle_digest, builder, ctx)
  local texts = { bundle_digest, builder.name }
  local roots = table.move(loader.override_roots(), 1, #loader.override_roots(), 1, {})
  table.insert(roots, ctx.info.share)
  for _, root in ipairs(roots) do
    local base = ("%s/builders/%s"):format(root, builder.name)
    for _, path in ipairs { base .. ".lua", base } do
      if fs.stat(path) then
        local ok, message, code = describe(texts, path, path)
        if not ok then return nil, message, code end
      end
    end
  end
  return M.digest(texts)
end

--- What is known: {bundle=digest or nil, packages={[builder]={digest=, files={…}}}}.
function M.read(project)
  local text = fs.read(project:path(FILE))
  local state = text and yaml.load(text) or nil
  if type(state) ~= "table" or state.format ~= M.format or type(state.packages) ~= "table" then
    state = { format = M.format, packages = {} }
  end
  return state
end

function M.write(project, state)
  local text, message, code = yaml.dump(state)
  if not text then return nil, message, code end
  return fs.write(project:path(FILE), text)
end

function M.forget(project)
  return fs.unlink(project:path(FILE))
end

local function stamp(path)
  local st = fs.stat(path)
  return st and ("%d:%.6f"):format(st.size, st.mtime)
end

--- Notes the packages of a builder.
function M.note(state, builder, digest, paths)
  local files = {}
  for _, path in ipairs(paths) do files[path:match("([^/]*)$")] = stamp(path) end
  state.packages[builder.name] = { digest = digest, files = files }
end

--- Paths of a builder's packages, if all of them are as they were noted; else nil.
function M.packages(project, state, builder, digest)
  local known = state.packages[builder.name]
  if type(known) ~= "table" or known.digest ~= digest or type(known.files) ~= "table" then
    return nil
  end
  local paths = {}
  for name, mark in pairs(known.files) do
    local path = project:path("out/" .. name)
    if stamp(path) ~= mark then return nil end
    table.insert(paths, path)
  end
  table.sort(paths)
  return #paths > 0 and paths or nil
end

return M
