-- SPDX-License-Identifier: MIT
local text = require "flake.text"

describe("flake.text", function()
  local WARNING = 'time="2026-01-02T03:04:05Z" level=warning msg="Using cgroups-v1 which is '
    .. 'deprecated in favor of cgroups-v2"\n'

  local function reason(stderr, fallback)
    return text.reason({ code = 125, stderr = stderr }, fallback)
  end

  it("takes what is called an error, whatever is warned of before and behind it", function()
    for _, warning in ipairs { WARNING, "WARNING: image platform does not match\n",
      "[conmon:w]: failed to write\n", "crun: warning: no systemd\n" } do
      assert.are.equal("no such image", reason(warning .. "Error: no such image\n" .. warning))
      assert.are.equal("it broke", reason(warning .. "it broke\n" .. warning))
    end
    assert.are.equal("one", reason("Error: one\nfurther words\n"))
  end)

  it("takes the last line where none is called an error", function()
    assert.are.equal("second", reason("first\nsecond  \n\n"))
    assert.are.equal('cannot read "x"',
      reason(WARNING .. [[time="x" level=fatal msg="cannot read \"x\""]] .. "\n"))
    assert.are.equal("short", reason("time=x level=error msg=short\n" .. WARNING))
  end)

  it("takes no warning for an error", function()
    assert.are.equal("podman cp failed", reason(WARNING, "podman cp failed"))
    assert.are.equal("exit status 125", reason(WARNING .. WARNING))
    assert.are.equal("exit status 125", reason(""))
    assert.are.equal("signal 9", text.reason { signal = 9, stderr = "" })
    assert.are.equal("podman pull failed", text.reason({ code = 1 }, "podman pull failed"))
  end)

  it("knows a warning that is in the message of an error", function()
    assert.are.equal("bad warning: level", reason("Error: bad warning: level\n"))
  end)
end)
