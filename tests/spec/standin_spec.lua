-- SPDX-License-Identifier: MIT
-- The stand-in for Firecracker that VM flakes are tested with: it has to be strict. The cases are
-- in Python, as the stand-in is.
local process = require "flake.process"

local CASES = "tests/spec/support/standin_cases.py"

-- Nothing in it is ours that could have sanitizers.
local function run(case, program)
  return assert(process.run({ "python3", "-B", CASES, case }, { stdin = "null", stdout = "pipe",
    stderr = "stdout", timeout = 600,
    env = { FLAKE_FIRECRACKER = program or false, LD_PRELOAD = false } }))
end

describe("the stand-in for firecracker:", function()
  for case in run("list").stdout:gmatch("[^\n]+") do
    it((case:gsub("_", " ")), function()
      local result = run(case)
      assert(result.code == 0, result.stdout)
    end)
  end
end)

describe("firecracker itself:", function()
  local program = process.which("firecracker")

  if not program then
    it("refuses the same", function() pending("firecracker is not installed") end)
    return
  end
  for case in run("list-real").stdout:gmatch("[^\n]+") do
    it((case:gsub("_", " ")), function()
      local result = run(case, program)
      assert(result.code == 0, result.stdout)
    end)
  end
end)
