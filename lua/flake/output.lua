-- SPDX-License-Identifier: MIT
-- Tables, JSON and CSV for people and scripts; colours only on a terminal.
local process = require "flake.process"

local M = { formats = { "table", "json", "csv" } }

local codes = { bold = "1", red = "31", green = "32", yellow = "33", dim = "2" }

-- The text with every byte that is no part of UTF-8 replaced.
local function valid_utf8(text, replacement)
  local parts, from = {}, 1
  while true do
    local ok, bad = utf8.len(text, from)
    if ok then break end
    table.insert(parts, text:sub(from, bad - 1))
    table.insert(parts, replacement)
    from = bad + 1
  end
  table.insert(parts, text:sub(from))
  return table.concat(parts)
end

-- The control characters of Latin 1 in UTF-8: U+0080 to U+009F.
local C1 = "\xC2[\x80-\x9F]"

--- Foreign text for a terminal: control characters and broken UTF-8 become "?".
function M.printable(value)
  local text = value == nil and "-" or tostring(value)
  return (valid_utf8(text, "?"):gsub(C1, "?"):gsub("%c", "?"))
end
local printable = M.printable

-- The same of a text of several lines.
local function printable_text(value)
  return (valid_utf8(tostring(value), "?"):gsub(C1, "?"):gsub("[^%C\t\n]", "?"))
end

local Stream = {}
Stream.__index = Stream

function Stream:write(...)
  for i = 1, select("#", ...) do self.to:write(printable_text((select(i, ...)))) end
  return self
end

--- Writes what is not foreign, and not for people either.
function Stream:raw(...)
  self.to:write(...)
  return self
end

function Stream:flush()
  self.to:flush()
end

--- Writes text that is not foreign in a colour, if the stream is a terminal and NO_COLOR is unset.
function Stream:coloured(text, name)
  if not self.terminal or process.getenv("NO_COLOR") then return self:write(text) end
  return self:raw(("\27[%sm%s\27[0m"):format(codes[name], text))
end

--- What all of flake-ctl's output goes through: no text from elsewhere, a label of an image, a
-- registry's answer, does anything to a terminal. to: a file; terminal: is it one?
function M.stream(to, terminal)
  return setmetatable({ to = to, terminal = terminal or false }, Stream)
end

--- The same in one line, whatever line breaks there were.
function M.line(value)
  return printable((tostring(value):gsub("%s*\n%s*", " ")))
end

local function width(text)
  return utf8.len(text) or #text
end

local function print_table(out, rows, columns)
  local widths = {}
  for i, column in ipairs(columns) do widths[i] = #column.title end
  for _, row in ipairs(rows) do
    for i, column in ipairs(columns) do
      widths[i] = math.max(widths[i], width(printable(row[column.key])))
    end
  end
  local function line(get)
    local cells = {}
    for i, column in ipairs(columns) do
      local text = get(column)
      cells[i] = i == #columns and text or text .. (" "):rep(widths[i] - width(text))
    end
    out:write(table.concat(cells, "  "), "\n")
  end
  line(function(column) return column.title end)
  for _, row in ipairs(rows) do
    line(function(column) return printable(row[column.key]) end)
  end
end

--- JSON text of a Lua value; JSON has no bytes that are no UTF-8: U+FFFD stands for each. A
-- terminal takes none of it for more than characters.
function M.json(value)
  local text = valid_utf8(require("dkjson").encode(value, { indent = true }), "\u{FFFD}")
  return (text:gsub(C1, function(c) return ("\\u00%02x"):format(c:byte(2)) end))
end

-- RFC 4180: fields with commas, quotes or line breaks in quotes, quotes doubled.
local function csv_field(value)
  local text = value == nil and "" or tostring(value)
  if text:find('[",\r\n]') then text = '"' .. text:gsub('"', '""') .. '"' end
  return text
end

local function print_csv(out, rows, columns)
  local cells = {}
  for i, column in ipairs(columns) do cells[i] = csv_field(column.key) end
  out:write(table.concat(cells, ","), "\n")
  for _, row in ipairs(rows) do
    for i, column in ipairs(columns) do cells[i] = csv_field(row[column.key]) end
    out:write(table.concat(cells, ","), "\n")
  end
end

local function print_json(out, rows, columns)
  local list = setmetatable({}, { __jsontype = "array" })
  local order = {}
  for i, column in ipairs(columns) do order[i] = column.key end
  for _, row in ipairs(rows) do
    local object = setmetatable({}, { __jsonorder = order })
    for _, key in ipairs(order) do object[key] = row[key] end
    table.insert(list, object)
  end
  out:write(M.json(list), "\n")
end

--- Prints rows. columns: array of {key=, title=}; format: "table", "json" or "csv".
function M.print(out, rows, columns, format)
  if format == "json" then return print_json(out, rows, columns) end
  if format == "csv" then return print_csv(out, rows, columns) end
  print_table(out, rows, columns)
end

return M
