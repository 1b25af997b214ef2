-- SPDX-License-Identifier: MIT
-- flake-ctl completion: what packages install for the shells.
local complete = require "flake.complete"

return {
  api = 1,
  about = "Print the completion script of a shell.",
  type = "TOOL",
  options = {
    { name = "shell", positional = true, about = "bash, zsh or fish.", check = function(value)
      if value == "bash" or value == "zsh" or value == "fish" then return true end
      return nil, "must be bash, zsh or fish"
    end },
  },
  run = function(opts, ctx)
    ctx.out:write(complete[opts.shell](complete.commands()))
    return 0
  end,
}
