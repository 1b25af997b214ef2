-- SPDX-License-Identifier: MIT
-- A throw-away place for specs: own FLAKE_ROOT, own PATH with recording stand-ins, and flake-ctl
-- run in this process, so that coverage sees it.
local fs = require "flake.fs"
local process = require "flake.process"

local M = {}

-- The shell is of the stand-ins only. Each call appends its arguments, one a line, to the log.
local STAND_IN = [[#!/bin/sh
for arg in "%s" "$@"; do printf '%%s\n' "$arg"; done >>"%s"
echo --- >>"%s"
%s
]]

-- podman 5 says something on its standard error at every call: with cgroups of version 1 before it
-- does anything, of its clearing up after it.
local WARNING = [[
warn() { echo 'time="2026-01-02T03:04:05Z" level=warning msg="this is no error"' >&2; }
trap warn EXIT
warn
]]

local function stream()
  local parts = {}
  return {
    write = function(self, ...)
      for i = 1, select("#", ...) do table.insert(parts, tostring((select(i, ...)))) end
      return self
    end,
    flush = function() end,
    text = function() return table.concat(parts) end,
  }
end

--- A new place; close() it at the end.
function M.new()
  local temp = assert(fs.temp_dir({ prefix = "flake-spec" }))
  local place = { temp = temp, root = temp:path(), path = process.getenv("PATH") }
  place.flakes = place.root .. "/usr/share/flakes"
  place.bin = place.root .. "/stand-ins"
  place.log = place.root .. "/log"
  assert(fs.mkdir_p(place.flakes))
  assert(fs.mkdir_p(place.root .. "/etc/flakes"))
  assert(fs.mkdir_p(place.bin))
  process.setenv("FLAKE_ROOT", place.root)
  process.setenv("PATH", place.bin .. ":" .. place.path)
  return setmetatable(place, { __index = M })
end

function M:close()
  process.setenv("FLAKE_ROOT", nil)
  process.setenv("PATH", self.path)
  self.temp:close()
end

--- A stand-in on PATH; body is what it does besides recording. podman warns unless place.silent.
function M:stand_in(name, body)
  local warning = name == "podman" and not self.silent and WARNING or ""
  assert(fs.write(self.bin .. "/" .. name,
    STAND_IN:format(name, self.log, self.log, warning .. (body or "")), { mode = 493 }))
end

--- What the stand-ins recorded: array of argument arrays.
function M:calls()
  local calls, call = {}, {}
  for line in (fs.read(self.log) or ""):gmatch("([^\n]*)\n") do
    if line == "---" then
      table.insert(calls, call)
      call = {}
    else
      table.insert(call, line)
    end
  end
  return calls
end

--- Writes a file below the root, with its directories.
function M:put(path, text, mode)
  local full = self.root .. path
  assert(fs.mkdir_p((full:match("^(.*)/"))))
  assert(fs.write(full, text, { mode = mode or 420 }))
  return full
end

--- Runs flake-ctl; returns exit code, standard output, standard error.
function M:ctl(...)
  return self:run("flake-ctl", ...)
end

--- The same under another name, such as flake-ctl-podman.
function M:run(argv0, ...)
  local out, err = stream(), stream()
  local here = assert(fs.realpath("."))
  local build = process.getenv("FLAKE_BUILD") or "build"
  local info = { share = here, lib = here .. "/" .. build, bindir = "/usr/bin", version = "1.2.3",
    prefix_root = self.root, out = out, err = err }
  local code = require("flake.main")(argv0, { ... }, info)
  return code, out.text(), err.text()
end

return M
