-- SPDX-License-Identifier: MIT
-- What a bundle would do to this host, in plain words, and the question whether it may.
local output = require "flake.output"
local risk = require "flake.risk"
local wizard = require "flake.wizard"

local M = {}

--- What there is to say: {name=, lines={texts}, harmless=boolean: there is nothing to confirm}.
-- job: {manifest=, flake=the one of it (as pilot.load gives it), signed=as somebody demands};
-- replaced: as of an engine's replaced.
function M.report(job, replaced, opts)
  local manifest, flake = job.manifest, job.flake
  -- Its includes come along: they are no files of this host.
  flake.include = { tar = {}, path = {} }
  local report = risk.of(flake, opts)
  if job.signed then
    table.insert(report.findings, { level = "note", what = "signed, as is demanded" })
  end
  if #manifest.include > 0 then
    table.insert(report.findings, { level = "note",
      what = "brings " .. table.concat(manifest.include, ", ") })
  end
  for _, one in ipairs(replaced) do
    local users = #one.users > 0 and (", which these flakes use: %s")
      :format(table.concat(one.users, ", ")) or ""
    table.insert(report.findings, { level = "weak", what = ("replaces the %s%s")
      :format(one.what, users) })
  end
  local lines = { ("flake '%s' of engine %s, image %s"):format(manifest.name, manifest.engine,
    manifest.image) }
  for _, app in ipairs(manifest.apps) do
    table.insert(lines, ("  command %s: runs %s"):format(app.path,
      app.target == "/" and "the image's entry point" or app.target))
  end
  for _, line in ipairs(risk.lines(report)) do table.insert(lines, "  " .. line) end
  return { name = manifest.name, lines = lines, harmless = #risk.lines(report, "share") == 0 }
end

--- Prints a report.
function M.print(report, out)
  for _, line in ipairs(report.lines) do out:write(output.line(line), "\n") end
end

--- Shows a report and asks whether it shall be so; without a terminal what is harmless is.
-- Returns true, or nil, message, "EUSAGE" or "ECANCELED".
function M.confirm(report, err)
  M.print(report, err)
  if not wizard.is_possible() then
    if report.harmless then return true end
    return nil, ("flake '%s' can do more than a confined one (see above), and there is no terminal "
      .. "to ask: --yes imports it"):format(report.name), "EUSAGE"
  end
  return wizard.confirm("Import it? y: yes, n: no")
end

return M
