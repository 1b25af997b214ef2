-- SPDX-License-Identifier: MIT
-- JSON of strangers that other programs read as well: what two readers could take for different
-- things is refused. RFC 8259 leaves open which of two equal keys counts; Go (podman, skopeo) takes
-- a key in any case for the one that it knows; some readers allow comments.
local M = {}

local DEPTH_MAX = 100

local ESCAPED = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r",
  t = "\t" }

-- What Go's encoding/json compares: also the long s and the Kelvin sign are letters of ASCII there.
local function fold(key)
  return (key:lower():gsub("\u{17F}", "s"):gsub("\u{212A}", "k"))
end

local function fail(what, at)
  error({ message = ("%s at byte %d"):format(what, at) }, 0)
end

local function skip_blank(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

-- A pair of surrogates is one character; alone they are none.
local function code_point(text, at)
  local high = text:match("^\\u(%x%x%x%x)", at)
  if not high then fail("an escape that is none", at) end
  high = tonumber(high, 16)
  if high < 0xD800 or high > 0xDFFF then return utf8.char(high), at + 6 end
  local low = text:match("^\\u([dD][c-fC-F]%x%x)", at + 6)
  if high > 0xDBFF or not low then fail("half a character", at) end
  return utf8.char(0x10000 + (high - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00), at + 12
end

local function read_string(text, at)
  local parts, from = {}, at + 1
  repeat
    local stop = text:find('[\0-\31"\\]', from)
    local mark = stop and text:sub(stop, stop)
    if mark ~= '"' and mark ~= "\\" then fail("a text without end", at) end
    table.insert(parts, text:sub(from, stop - 1))
    from = stop + 1
    if mark == "\\" then
      local char, after = ESCAPED[text:sub(from, from)], from + 1
      if not char then char, after = code_point(text, stop) end
      table.insert(parts, char)
      from = after
    end
  until mark == '"'
  return table.concat(parts), from
end

local read_value

-- Behind a value: nil at the end of the list or object, or where the next one begins.
local function next_member(text, at, close)
  at = skip_blank(text, at)
  local mark = text:sub(at, at)
  if mark == close then return nil, at + 1 end
  if mark ~= "," then fail("no comma", at) end
  return skip_blank(text, at + 1)
end

local function read_array(text, at, depth, known)
  local list, n = {}, 0
  local from = skip_blank(text, at + 1)
  if text:sub(from, from) == "]" then return list, from + 1 end
  while from do
    n = n + 1
    list[n], at = read_value(text, from, depth + 1, known)
    from, at = next_member(text, at, "]")
  end
  return list, at
end

local function check_key(key, seen, known, at)
  if seen[key] then fail(("the key '%s' for the second time"):format(key), at) end
  seen[key] = true
  local spelled = known[fold(key)]
  if spelled and spelled ~= key then
    fail(("the key '%s', which some take for '%s',"):format(key, spelled), at)
  end
end

local function read_object(text, at, depth, known)
  local object, seen = {}, {}
  local from = skip_blank(text, at + 1)
  if text:sub(from, from) == "}" then return object, from + 1 end
  while from do
    if text:sub(from, from) ~= '"' then fail("no key", from) end
    local key, after = read_string(text, from)
    check_key(key, seen, known, from)
    at = skip_blank(text, after)
    if text:sub(at, at) ~= ":" then fail("no colon", at) end
    object[key], at = read_value(text, skip_blank(text, at + 1), depth + 1, known)
    from, at = next_member(text, at, "}")
  end
  return object, at
end

-- Where a number ends; nil: it is none.
local function number_end(text, at)
  local _, stop = text:find("^%-?%d+", at)
  if not stop or text:find("^%-?0%d", at) then return nil end
  for _, pattern in ipairs { "^%.%d+", "^[eE][+-]?%d+" } do
    stop = select(2, text:find(pattern, stop + 1)) or stop
  end
  return stop
end

local function read_word(text, at)
  local word = text:match("^%a+", at)
  if word == "null" then return nil, at + 4 end
  if word == "true" or word == "false" then return word == "true", at + #word end
  local stop = number_end(text, at)
  if not stop then fail("no value", at) end
  return tonumber(text:sub(at, stop)), stop + 1
end

function read_value(text, at, depth, known)
  if depth > DEPTH_MAX then fail("nested too deeply", at) end
  local mark = text:sub(at, at)
  if mark == "{" then return read_object(text, at, depth, known) end
  if mark == "[" then return read_array(text, at, depth, known) end
  if mark == '"' then return read_string(text, at) end
  return read_word(text, at)
end

--- Reads a JSON object. known: array of keys that may be spelled in no other way.
-- Returns a table (null: no entry), or nil, reason.
function M.decode(text, known)
  local spelled = {}
  for _, key in ipairs(known or {}) do spelled[fold(key)] = key end
  if not utf8.len(text) then return nil, "is no UTF-8" end
  -- An error leaves the recursion, nothing else.
  local ok, value, at = pcall(read_value, text, skip_blank(text, 1), 0, spelled)
  if not ok and type(value) == "table" then return nil, "has " .. value.message end
  if not ok then error(value, 0) end
  at = skip_blank(text, at)
  if at <= #text then return nil, ("has something behind its end at byte %d"):format(at) end
  if type(value) ~= "table" or text:match("^%s*%[") then return nil, "is no JSON object" end
  return value
end

return M
