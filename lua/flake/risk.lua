-- SPDX-License-Identifier: MIT
-- How far a flake is confined, in plain words: for register, import, explain and doctor.
-- A finding: {level=, option=text or nil, what=words}. Levels, from harmless on: "note", "share"
-- (it gets something of the caller or the host), "weak" (less isolation than the engine gives by
-- itself), "open" (as good as none). What options do, the engine's driver says: risk(flake) returns
-- findings.
local command_dirs = require "flake.command_dirs"
local loader = require "flake.loader"
local output = require "flake.output"
local paths = require "flake.risk_paths"
local registry = require "flake.registry"

local M = {}

local RANK = { note = 0, share = 1, weak = 2, open = 3 }
local CONFINEMENT = { [0] = "full", "shared", "weak", "none" }
local WORDS = { full = "confined as its engine does it", shared = "confined, but for what it gets",
  weak = "less confined than its engine does it by itself",
  none = "not confined: on the host it can do what its user can" }
local LABELS = { note = "note", share = "gets", weak = "weak", open = "open" }

local SHARES = {
  cwd = { "share", "the caller's working directory, writable" },
  home = { "share", "the caller's home directory, writable" },
  locale = { "note", "the caller's locale and time zone" },
  user = { "note", "runs with the caller's user id" },
  ["ssh-agent"] = { "share", "the caller's SSH agent: it can log in as the caller" },
  display = { "share", "the caller's display: it can watch what is typed and type itself" },
}

local function judge_users(add, flake)
  local seen = {}
  for _, app in ipairs(flake.apps) do
    local user = not flake.own and app.user
    if user and not seen[user] then
      add(user == "root" and "weak" or "note",
        ("runs as user %s, whoever calls: sudo decides who may"):format(user))
      seen[user] = true
    end
  end
  return next(seen)
end

-- Where somebody else's engine runs, whoever calls decides on what is expanded.
local function judge_variables(add, flake, user)
  for _, option in ipairs(user and flake.options or {}) do
    if option:find("%%[A-Z_]") then
      add("weak", ("who calls has a say in what runs as user %s"):format(user), option)
    end
  end
end

local function judge_files(add, flake)
  for _, path in ipairs(flake.include.path) do
    local level = paths.judge(path, false)
    add(level == "share" and "note" or level, ("has a copy of the host's %s"):format(path))
  end
  for _, path in ipairs(flake.include.tar) do
    add("note", ("content of %s goes over its image"):format(path))
  end
  if flake.base or flake.check_host_dependencies then
    add("share", "files of the host that everybody may read, as its images name them")
  end
end

local function judge_commands(add, flake, opts)
  for _, app in ipairs(flake.apps) do
    local ok, why = command_dirs.check(app.path, opts)
    if not ok then add("weak", ("the command %s %s"):format(app.path, why)) end
    local hidden = ok and command_dirs.hides(app.path, opts)
    if hidden then add("weak", ("the command %s hides %s"):format(app.path, hidden)) end
  end
end

local function engine_findings(flake)
  local driver = loader.load("runtimes", flake.engine)
  if driver and driver.risk then return driver.risk(flake) end
  return { { level = "weak", what = ("the engine '%s' does not say how it confines")
    :format(flake.engine) } }
end

--- Judges a flake (as pilot.load gives it). opts: {root=, user=} as for registry.dir.
-- Returns {confinement="full"|"shared"|"weak"|"none", findings={…}}.
function M.of(flake, opts)
  local findings, worst = engine_findings(flake), 0
  opts = { user = opts and opts.user, prefix = registry.prefix(opts or {}) }
  local function add(level, what, option)
    table.insert(findings, { level = level, what = what, option = option })
  end
  local user = judge_users(add, flake)
  judge_variables(add, flake, user)
  for _, word in ipairs(flake.share) do
    add(SHARES[word][1], SHARES[word][2], "share " .. word)
  end
  judge_files(add, flake)
  judge_commands(add, flake, opts)
  if flake.signature_policy or #flake.signature_keys > 0 then
    add("note", "demands that what is pulled or imported for it is signed")
  end
  if flake.user_may_override then add("note", "users may put a flake of their own in its place") end
  for _, finding in ipairs(findings) do worst = math.max(worst, RANK[finding.level]) end
  return { confinement = CONFINEMENT[worst], findings = findings }
end

--- Is a finding of at least that level?
function M.is_at_least(finding, level)
  return RANK[finding.level] >= RANK[level]
end

--- One finding as a line for people.
function M.line(finding)
  local option = finding.option and finding.option .. ": " or ""
  return output.line(("%s: %s%s"):format(LABELS[finding.level], option, finding.what))
end

--- A report as lines for people, the worst findings first. levels: from which on (default: all).
function M.lines(report, least)
  local lines = {}
  for _, level in ipairs { "open", "weak", "share", "note" } do
    for _, finding in ipairs(report.findings) do
      if finding.level == level and RANK[level] >= RANK[least or "note"] then
        table.insert(lines, M.line(finding))
      end
    end
  end
  return lines
end

--- What a confinement means.
function M.words(confinement)
  return WORDS[confinement]
end

return M
