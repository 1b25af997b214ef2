-- SPDX-License-Identifier: MIT
-- Small questions about texts that many ask.
local M = {}

--- The last part of a path.
function M.base(path)
  return path:match("([^/]*)$")
end

--- Is the value a text with something in it?
function M.is_text(value)
  return type(value) == "string" and value ~= ""
end

--- The text as one word for a POSIX shell; what is not printable ASCII as $'…' (bash, zsh).
function M.quote(text)
  if text:match("^[%w@%%+=:,./_-]+$") then return text end
  if not text:find("[%c\127-\255]") then return "'" .. text:gsub("'", "'\\''") .. "'" end
  return "$'" .. text:gsub("[%c\127-\255'\\]", function(c)
    return ("\\x%02x"):format(c:byte())
  end) .. "'"
end

-- Of a line of a log, as podman and skopeo write it: level and message.
local function log_line(line)
  local level, message = line:match("level=(%w+) msg=(.*)$")
  return level, message and message:gsub('^"(.*)"$', "%1"):gsub('\\"', '"')
end

-- Levels of a log at which nothing has failed.
local HARMLESS = { trace = true, debug = true, info = true, warning = true }

--- Is a line a warning that is no part of a log: a program's own, with or without its name, or
-- conmon's?
function M.is_warning(line)
  local text = line:lower()
  return (text:match("^%s*warning[:,]") or text:match("^%s*[%w._/-]+: warning[:,]")
    or text:match("^%[conmon:[wdi]%]")) ~= nil
end

--- Why a program failed: the line of its standard error that says so. A warning is never an error:
-- it is the last line that calls itself one ("Error: …"), else the last that is no warning.
-- result: of process.run. Returns it without decoration, else fallback, else its exit status.
function M.reason(result, fallback)
  local named, last
  for line in (result.stderr or ""):gmatch("[^\n]+") do
    local level, message = log_line(line)
    local text = (message or line):gsub("%s+$", "")
    if text:match("^Error: ") then
      named = text:gsub("^Error: ", "")
    elseif text ~= "" and not HARMLESS[level] and not M.is_warning(text) then
      last = text
    end
  end
  return named or last or fallback
    or (result.code and "exit status " .. result.code or "signal " .. tostring(result.signal))
end

return M
