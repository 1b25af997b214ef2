-- SPDX-License-Identifier: MIT
-- The steps of a build, a line for the beginning of each and one for its end, with its time.
local process = require "flake.process"

local M = {}
M.__index = M

--- names: of all steps; err: stream.
function M.new(names, err)
  return setmetatable({ names = names, err = err, at = 0 }, M)
end

local function line(steps, text)
  steps.err:write(("[%d/%d] %s: %s\n"):format(steps.at, #steps.names, steps.names[steps.at], text))
  steps.err:flush()
end

--- The next step begins; text: what it does, for steps that take their time.
function M:start(text)
  self.at, self.since = self.at + 1, process.clock()
  if text then line(self, text) end
end

--- It goes on to what takes its time.
function M:say(text)
  line(self, text)
end

--- The step is done.
function M:done(text)
  line(self, ("%s (%.1f s)"):format(text, process.clock() - self.since))
end

return M
