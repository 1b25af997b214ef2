-- SPDX-License-Identifier: MIT
-- Builds the composed image. Nothing that comes from a definition, an image or a file name is text
-- of the Containerfile: values reach it as build arguments, which podman expands once, or as JSON.
local archive = require "flake.archive"
local fs = require "flake.fs"
local includes = require "flake.includes"
local pilot = require "flake.pilot"
local podman = require "flake.podman"
local store = require "shipped.runtimes.podman.compose_store"

-- Links in images where /usr is merged: a directory of an archive or part must not replace them.
local MERGED = { "bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/sbin", "usr/lib64",
  "var/run", "var/lock" }

local Recipe = {}
Recipe.__index = Recipe

function Recipe:line(...)
  table.insert(self.lines, (string.format(...)))
end

-- A place in the Containerfile for any text. ENV of an image wins over ARG: so the name has part of
-- the key, which no image can know, for it depends on the image's id.
function Recipe:arg(text)
  self.count = self.count + 1
  local name = ("FLAKE_PILOT_%s_%d"):format(self.key, self.count)
  table.insert(self.options, ("--build-arg=%s=%s"):format(name, text))
  self:line("ARG %s", name)
  return ("${%s}"):format(name)
end

function Recipe:option(text)
  table.insert(self.options, text)
end

-- Which files of the host were taken, and which not. Sets job.tag.
local function report(job, kinds, opts, ctx)
  for i, entry in ipairs(job.paths) do
    local kind = kinds[i]
    local bad = kind == "refused" or (kind == "missing" and entry.kind == "system")
    local why = kind == "refused" and "not everybody may read it" or "it is not there"
    if bad and entry.kind == "system" and not opts.ignore_missing then
      return nil, ("flake '%s' needs %s of this host: %s"):format(job.flake.name, entry.path, why),
        "EFLAKE"
    elseif bad then
      if entry.kind == "system" then job.tag = job.state.key .. store.LENIENT end
      ctx.err:write(("flake-ctl: warning: flake '%s' goes without %s of this host: %s\n")
        :format(job.flake.name, entry.path, why))
    end
  end
  return true
end

-- podman takes a tar of nothing for a file.
local function add_tar(recipe, name)
  local list = archive.list(recipe.dir .. "/" .. name, { max_entries = 1 })
  if not list or #list > 0 then recipe:line('ADD ["%s", "/"]', name) end
end

-- A part above the first. COPY --from would put its directories where those below have links.
local function add_part(recipe, job, i)
  local raw, name = ("%s/part-%d.tar"):format(recipe.aside, i), ("part-%d.tar"):format(i)
  local container, message, code = store.create(job.flake.state_name, job.parts[i], i)
  if not container then return nil, message, code end
  local ok
  ok, message, code = podman.ask("export", "--output", raw, container)
  if ok then ok, message, code = archive.to_tar(raw, recipe.dir .. "/" .. name, MERGED) end
  if ok then ok, message, code = fs.unlink(raw) end
  if ok then add_tar(recipe, name) end
  return ok, message, code
end

local function add_parts(recipe, job)
  for i = 2, #job.parts do
    local ok, message, code = add_part(recipe, job, i)
    if not ok then return nil, message, code end
  end
  return true
end

local function add_host_files(recipe, job, opts, ctx)
  if #job.paths == 0 then return true end
  local paths = {}
  for i, entry in ipairs(job.paths) do paths[i] = entry.path end
  local kinds, message, code = archive.pack_public(recipe.dir .. "/host.tar", paths)
  if not kinds then return nil, message, code end
  add_tar(recipe, "host.tar")
  return report(job, kinds, opts, ctx)
end

-- A deb is an archive of archives.
local function content_of(file, dir)
  local f <close> = io.open(file, "rb")
  if not f or f:read(8) ~= "!<arch>\n" then return file end
  local ok, message, code = fs.mkdir(dir)
  if ok then ok, message, code = archive.extract(file, dir) end
  if not ok then return nil, message, code end
  local tree <close>, why, reason = fs.tree(dir)
  if not tree then return nil, why, reason end
  for _, name in ipairs(tree:list("") or {}) do
    if name:match("^data%.tar") and tree:rename(name, "data") then return dir .. "/data" end
  end
  return nil, ("%s has no data.tar"):format(file), "EARCHIVE"
end

local function add_tars(recipe, flake)
  for i, path in ipairs(flake.include.tar) do
    local name = ("include-%d.tar"):format(i)
    local file, message, code = content_of(includes.absolute(flake, path),
      ("%s/deb-%d"):format(recipe.aside, i))
    local ok
    if file then ok, message, code = archive.to_tar(file, recipe.dir .. "/" .. name, MERGED) end
    if not ok then return nil, message, code end
    add_tar(recipe, name)
  end
  return true
end

-- Rootless, the files of others have no owner inside; so all belong to the image's root.
local function owner_option(st)
  if fs.geteuid() ~= 0 then return "--chown=0:0 " end
  return ("--chown=%d:%d "):format(st.uid, st.gid)
end

local function add_file(recipe, i, path, real, st)
  local dir = ("%s/path-%d"):format(recipe.dir, i)
  local parent, name = path:match("^(.*/)([^/]+)$")
  local ok, message, code = fs.mkdir(dir)
  if ok then ok, message, code = fs.copy(real, dir .. "/" .. name, { mode = st.mode }) end
  if not ok then return nil, message, code end
  recipe:line('COPY %s["path-%d/", "%s"]', owner_option(st), i, recipe:arg(parent))
  return true
end

-- A copy: what podman mounts, as it does with a directory that is named as --build-context, an
-- instruction of an image could change.
local function add_dir(recipe, i, path, real)
  local name = ("path-%d.tar"):format(i)
  local packed, message, code = archive.create(recipe.dir .. "/" .. name, real,
    { owner = fs.geteuid() == 0, links = true })
  local ok = packed
  if packed and packed.entries > 0 then
    recipe:line('ADD ["%s", "%s"]', name, recipe:arg(path .. "/"))
  elseif packed then
    ok, message, code = fs.mkdir(("%s/path-%d"):format(recipe.dir, i))
    recipe:line('COPY ["path-%d/", "%s"]', i, recipe:arg(path .. "/"))
  end
  return ok and true, message, code
end

local function add_path(recipe, flake, i, entry)
  local path = includes.absolute(flake, entry):gsub("/+$", "")
  local real, message, code = fs.realpath(path)
  local st = real and fs.stat(real)
  if not st then return nil, message, code end
  if st.type == "directory" and real ~= "/" then return add_dir(recipe, i, path, real) end
  if st.type == "file" then return add_file(recipe, i, path, real, st) end
  return nil, ("flake '%s': include.path: %s is neither file nor directory")
    :format(flake.name, real), "EFLAKE"
end

local function add_paths(recipe, flake)
  for i, entry in ipairs(flake.include.path) do
    local ok, message, code = add_path(recipe, flake, i, entry)
    if not ok then return nil, message, code end
  end
  return true
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map or {}) do table.insert(keys, key) end
  table.sort(keys)
  return keys
end

local function json_list(list)
  return require("dkjson").encode(setmetatable(list or {}, { __jsontype = "array" }))
end

local function add_environment(recipe, entries)
  for _, entry in ipairs(entries) do
    local name, value = entry:match("^([%a_][%w_.-]*)=(.*)$")
    if name then recipe:line('ENV %s="%s"', name, recipe:arg(value)) end
  end
end

local function add_command(recipe, config)
  recipe:line("ENTRYPOINT %s", json_list(config.Entrypoint))
  recipe:line("CMD %s", json_list(config.Cmd))
end

-- What runs, and how, is the container's where it says something, else the base's.
local function add_config(recipe, config)
  add_environment(recipe, config.Env or {})
  if config.Entrypoint or config.Cmd then add_command(recipe, config) end
  for _, path in ipairs(sorted_keys(config.Volumes)) do
    recipe:line('VOLUME ["%s"]', recipe:arg(path))
  end
  for _, port in ipairs(sorted_keys(config.ExposedPorts)) do
    if port:match("^%d+/?%l*$") then recipe:line("EXPOSE %s", port) end
  end
  if (config.StopSignal or ""):match("^[%w+-]+$") then
    recipe:line("STOPSIGNAL %s", config.StopSignal)
  end
  for _, key in ipairs(sorted_keys(config.Labels)) do
    if not key:match("^flake%-pilot%.") and not key:find("=", 1, true) then
      recipe:option(("--label=%s=%s"):format(key, config.Labels[key]))
    end
  end
  if (config.WorkingDir or "") ~= "" then
    recipe:line('WORKDIR "%s"', recipe:arg(config.WorkingDir))
  end
  if (config.User or "") ~= "" then recipe:line('USER "%s"', recipe:arg(config.User)) end
end

local function environment_of(config)
  local entries = {}
  for _, entry in ipairs(config.Env or {}) do entries[entry:match("^[^=]*")] = entry end
  return entries
end

-- The copy of the lowest part got the command and some variables of the container that it was made
-- of: they are the part's again. Variables of the highest part, which come later, stay.
local function restore_config(recipe, parts, copy)
  local config, now, lost = parts[1].config, environment_of(copy), {}
  local known, above = environment_of(config), environment_of(parts[#parts].config)
  for _, entry in ipairs(config.Env or {}) do
    if now[entry:match("^[^=]*")] ~= entry then table.insert(lost, entry) end
  end
  add_environment(recipe, lost)
  for _, name in ipairs(sorted_keys(now)) do
    if not known[name] and not above[name] then recipe:option("--unsetenv=" .. name) end
  end
  add_command(recipe, config)
  for _, path in ipairs(sorted_keys(config.Volumes)) do
    if not (copy.Volumes or {})[path] then recipe:line('VOLUME ["%s"]', recipe:arg(path)) end
  end
end

local function write_recipe(recipe, job, opts, ctx)
  local flake, parts = job.flake, job.parts
  local copy, message, code = store.copy_base(flake.state_name, parts[1])
  if not copy then return nil, message, code end
  recipe:line("FROM %s", store.base_name(flake.state_name))
  restore_config(recipe, parts, copy)
  local ok
  ok, message, code = add_parts(recipe, job)
  if ok then ok, message, code = add_host_files(recipe, job, opts, ctx) end
  if ok then ok, message, code = add_tars(recipe, flake) end
  if ok then ok, message, code = add_paths(recipe, flake) end
  if not ok then return nil, message, code end
  if #parts > 1 then add_config(recipe, parts[#parts].config) end
  ok, message, code = fs.write(recipe.aside .. "/Containerfile",
    table.concat(recipe.lines, "\n") .. "\n")
  if ok then ok, message, code = fs.write(recipe.aside .. "/ignore", "") end
  return ok, message, code
end

local function run_build(recipe, job)
  local name = pilot.composed_name(job.flake.state_name)
  local args = { "build", "--quiet", "--pull=never", "--network=none", "--layers=false",
    "--cap-drop=all", "--file=" .. recipe.aside .. "/Containerfile",
    "--ignorefile=" .. recipe.aside .. "/ignore" }
  table.move(recipe.options, 1, #recipe.options, #args + 1, args)
  for _, option in ipairs { "--label=flake-pilot.composed=" .. job.flake.name,
    "--label=flake-pilot.key=" .. job.state.key,
    ("--tag=%s:%s"):format(name, job.tag or job.state.key), "--tag=" .. name, recipe.dir } do
    table.insert(args, option)
  end
  local result, message, code = podman.call(args, { stdin = "null", stdout = "null" })
  if not result then return nil, message, code end
  if podman.status(result) ~= 0 then
    return nil, ("podman could not build the image of flake '%s'"):format(job.flake.name),
      "EENGINE"
  end
  return true
end

--- Builds the image of a job (compose.lua) under its key.
-- Returns true, or nil, message, code; leaves nothing behind but the image.
return function(job, opts, ctx)
  local _ <close> = store.workshop(job.flake.state_name)
  local temp <close>, why, name = store.temp_dir(job.flake.state_name)
  if not temp then return nil, why, name end
  local recipe = setmetatable({ dir = temp:path() .. "/context", aside = temp:path(), lines = {},
    options = {}, count = 0, key = job.state.key:sub(1, 16) }, Recipe)
  local ok, message, code = fs.mkdir(recipe.dir)
  if ok then ok, message, code = write_recipe(recipe, job, opts, ctx) end
  if ok then ok, message, code = run_build(recipe, job) end
  return ok, message, code
end
