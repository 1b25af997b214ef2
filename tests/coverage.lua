-- SPDX-License-Identifier: MIT
-- Line coverage of Lua (Debian packages no luacov). As LUA_INIT it appends each line of ours that
-- runs for the first time to $COVERAGE_FILE at once, so that processes that exec lose nothing;
-- as script (arg[0] is this file) it prints the report of the files named.
local log_path = os.getenv("COVERAGE_FILE")

local function record()
  local log = assert(io.open(log_path, "a"))
  log:setvbuf("line")
  local seen, ours = {}, {}
  local function is_ours(source)
    local name = source:match("^@.-([a-z]+/[%w_/.]+%.lua)$")
    name = name and (name:match("(lua/flake/.*)$") or name:match("(runtimes/.*)$"))
    return name or false
  end
  debug.sethook(function(_, line)
    local source = debug.getinfo(2, "S").source
    if ours[source] == nil then ours[source] = is_ours(source) end
    local name = ours[source]
    if not name then return end
    local key = name .. ":" .. line
    if not seen[key] then
      seen[key] = true
      log:write(key, "\n")
    end
  end, "l")
end

-- Lines that have instructions, from luac's listing; a function's closing RETURN does not count.
local function executable_lines(path)
  local lines = {}
  local listing = assert(io.open(path .. ".listing"))
  for line in listing:lines() do
    local number, op = line:match("^%s+%d+%s+%[(%d+)%]%s+([%u%d]+)")
    if number and op ~= "VARARGPREP" and op:sub(1, 6) ~= "RETURN" then
      lines[tonumber(number)] = true
    end
  end
  listing:close()
  return lines
end

local function report(listings, files)
  local hits = {}
  for key in io.lines(log_path) do hits[key] = true end
  local all, all_hit = 0, 0
  for _, file in ipairs(files) do
    local n, hit, missed = 0, 0, {}
    for line in pairs(executable_lines(listings .. "/" .. file:gsub("/", "_"))) do
      n = n + 1
      if hits[file .. ":" .. line] then hit = hit + 1 else table.insert(missed, line) end
    end
    table.sort(missed)
    print(("%-36s %4d lines %5.1f %%  %s"):format(file, n, 100 * hit / math.max(n, 1),
      table.concat(missed, ",")))
    all, all_hit = all + n, all_hit + hit
  end
  print(("Lua: %d of %d lines, %.1f %%"):format(all_hit, all, 100 * all_hit / all))
end

if arg and arg[0] and arg[0]:match("coverage%.lua$") then
  report(arg[1], table.move(arg, 2, #arg, 1, {}))
elseif log_path then
  record()
end
