-- SPDX-License-Identifier: MIT
-- Finds what an image offers the host's desktop, man and shells for the commands of a flake.
-- The image is not trusted: names are matched, contents are data.
local desktop_entry = require "flake.desktop_entry"
local image_files = require "flake.image_files"
local is_relative = require("flake.names").relative
local base = require("flake.text").base

local M = {}

local MAX_FILES, MAX_BYTES = 1000, 64 << 20

local ICONS = { "icons/hicolor/scalable/apps/%s.svg", "icons/hicolor/symbolic/apps/%s-symbolic.svg",
  "pixmaps/%s.png", "pixmaps/%s.svg", "pixmaps/%s.xpm" }
for _, size in ipairs { 16, 22, 24, 32, 48, 64, 96, 128, 192, 256, 512 } do
  table.insert(ICONS, ("icons/hicolor/%dx%d/apps/%%s.png"):format(size, size))
end

-- Where shells look, in the image and below the host's share directory.
local COMPLETIONS = {
  { "bash-completion/completions/%s", "bash-completion/completions/%s" },
  { "zsh/vendor-completions/_%s", "zsh/site-functions/_%s" },
  { "zsh/site-functions/_%s", "zsh/site-functions/_%s" },
  { "fish/vendor_completions.d/%s.fish", "fish/vendor_completions.d/%s.fish" },
  { "fish/completions/%s.fish", "fish/vendor_completions.d/%s.fish" },
}

local function is_plain(name)
  return name:match("^[%w_][%w._+@-]*$") ~= nil
end

-- Collects files; the first of a path wins. Names of the image are in the paths.
local function collector()
  local found = { bytes = 0 }
  function found.add(path, data)
    if found[path] or not is_relative(path) then return end
    found[path], found.bytes = true, found.bytes + #data
    table.insert(found, { path = path, data = data })
  end
  return found
end

-- Takes an absolute Icon=, or all sizes of a named one. Returns the new name, or nil: none found.
local function take_icon(files, found, icon, name)
  if icon:sub(1, 1) == "/" then
    local ext = icon:match("^/[%w/._+@-]+%.([psx][nvp][gm])$")
    local data = ext and files:get(icon)
    if data then found.add(("pixmaps/%s.%s"):format(name, ext), data) end
    return data and name
  end
  icon = icon:gsub("%.[psx][nvp][gm]$", "")
  local taken
  for _, place in ipairs(is_plain(icon) and ICONS or {}) do
    local data = files:get("/usr/share/" .. place:format(icon))
    if data then
      found.add(place:format(name), data)
      taken = name
    end
  end
  return taken
end

-- Maps Icon= values to names of the host; each is looked up once.
local function icon_namer(files, found, flake)
  local names, count = {}, 0
  return function(icon)
    if names[icon] == nil then
      local name = "flake-" .. flake .. (count > 0 and "-" .. count + 1 or "")
      local taken = take_icon(files, found, icon, name)
      if taken then count = count + 1 end
      -- The host's theme may have what the image has not.
      names[icon] = taken or is_plain(icon) and icon
    end
    return names[icon] or nil
  end
end

local function is_desktop(name)
  return name:match("%.desktop$") ~= nil
end

function M.desktop(files, found, flake, apps)
  local entries = files:dir("/usr/share/applications", is_desktop)
  local icon, count, seen = icon_namer(files, found, flake), 0, {}
  for _, app in ipairs(apps) do
    for _, entry in ipairs(entries) do
      local text = desktop_entry.rewrite(entry.data,
        { program = app.program, app = app.path, icon = icon })
      -- A link and what it leads to are the same entry.
      if text and not seen[text] then
        seen[text] = true
        count = count + 1
        local nth = count > 1 and "-" .. count or ""
        found.add(("applications/flake-%s%s.desktop"):format(flake, nth), text)
      end
    end
  end
  return count
end

-- Name of a page on the host, for TARGET.N or TARGET-more.N, perhaps compressed; nil: not the
-- program's.
local function page_name(name, section, program, command)
  local plain = name:gsub("%.gz$", ""):gsub("%.xz$", ""):gsub("%.bz2$", "")
  local stem = plain:match("^(.+)%." .. section .. "%a*$")
  local rest = stem and stem:sub(1, #program) == program and stem:sub(#program + 1)
  if not rest or not is_plain(name) or rest ~= "" and rest:sub(1, 1) ~= "-" then return nil end
  return command .. name:sub(#program + 1)
end

function M.man(files, found, _, apps)
  local count = 0
  for section = 1, 9 do
    local dir = "man/man" .. section
    local function wanted(name)
      for _, app in ipairs(apps) do
        if page_name(name, section, app.program, app.command) then return true end
      end
    end
    for _, page in ipairs(files:dir("/usr/share/" .. dir, wanted)) do
      for _, app in ipairs(apps) do
        local name = page_name(page.name, section, app.program, app.command)
        if name then
          count = count + 1
          found.add(dir .. "/" .. name, page.data)
        end
      end
    end
  end
  return count
end

-- A completion names the command in its text, so it serves only a command of the same name; nil: it
-- was said that there is none.
function M.completion(files, found, _, apps, warn)
  local count, skipped = 0, false
  for _, app in ipairs(apps) do
    if app.command ~= app.program then
      skipped = true
      warn(("no completions for '%s': those of the image are for '%s'"):format(app.command,
        app.program))
    end
    for _, place in ipairs(app.command == app.program and COMPLETIONS or {}) do
      local data = files:get("/usr/share/" .. place[1]:format(app.program))
      if data then
        count = count + 1
        found.add(place[2]:format(app.command), data)
      end
    end
  end
  return not skipped and count or nil
end

-- Commands with a program whose name can stand in a file name.
local function programs_of(files, apps)
  local list = {}
  for _, app in ipairs(apps) do
    local target = app.target == "/" and files:entry_point() or app.target
    local program = base(target)
    if is_plain(program) then
      table.insert(list, { path = app.path, command = base(app.path), program = program })
    end
  end
  return list
end

local KINDS = { { "desktop", "desktop entry" }, { "man", "man page" },
  { "completion", "completion" } }

--- Reads what wanted ({desktop=, man=, completion=}) asks for out of the flake's image.
-- def as for registry.register, of a flake of several images with them as images, highest first;
-- user: whose podman has them; warn(text) says what is missing.
-- Returns {{path=below the share directory, data=}, …}, or nil, message, code.
function M.find(def, wanted, user, warn)
  local found = collector()
  if not (wanted.desktop or wanted.man or wanted.completion) then return found end
  local files <close>, message, code = image_files.open_all(def.images or { def.image }, user)
  if not files then return nil, message, code end
  local apps = programs_of(files, def.apps)
  for _, kind in ipairs(KINDS) do
    local name, what = kind[1], kind[2]
    if wanted[name] and M[name](files, found, def.name, apps, warn) == 0 then
      warn(("image '%s' has no %s for --%s"):format(def.image, what, name))
    end
  end
  if #found > MAX_FILES or found.bytes > MAX_BYTES then
    return nil, ("image '%s' has too much to export: %d files, %d bytes"):format(def.image, #found,
      found.bytes), "ELIMIT"
  end
  return found
end

return M
