-- SPDX-License-Identifier: MIT
-- What `stop` of every driver does.

local function chosen(rows, instance)
  local some = {}
  for _, row in ipairs(rows) do
    if not instance or row.instance == instance then table.insert(some, row) end
  end
  return some
end

--- Ends the instances that the options name. engine: {flake=function(opts) that returns what its
-- instances call the flake, or nil, message, code; instances={list=, stop=}, name=function(row)}
-- Returns an exit code, or nil, message, code.
return function(opts, ctx, engine)
  if (opts.name == nil) == not opts.all then
    return nil, "stop needs either NAME or --all", "EUSAGE"
  end
  local flake, message, code
  if opts.name then
    flake, message, code = engine.flake(opts)
    if not flake then return nil, message, code end
  end
  local rows, ok
  rows, message, code = engine.instances.list(flake)
  if not rows then return nil, message, code end
  rows = chosen(rows, opts.instance and opts.instance:sub(2))
  ok, message, code = engine.instances.stop(rows)
  if not ok then return nil, message, code end
  for _, row in ipairs(rows) do
    ctx.out:write("stopped ", engine.name(row), row.instance and " @" .. row.instance or "", "\n")
  end
  if #rows == 0 then ctx.err:write("flake-ctl: there is no such instance\n") end
  return 0
end
