-- SPDX-License-Identifier: MIT
-- flake-ctl completion: what packages install for the shells.
local complete = require "flake.complete"

return {
  api = 1,
  about = "Print the completion script of a shell.",
  type = "TOOL",
  options = {
    { name = "shell", positional = true, about = "The shell.",
      choices = { "bash", "zsh", "fish" } },
  },
  run = function(opts, ctx)
    ctx.out:write(complete[opts.shell](complete.commands()))
    return 0
  end,
}
