-- SPDX-License-Identifier: MIT
local option = require "flake.option"
local wizard = require "flake.wizard"

local LIST = {
  { name = "name", about = "Name.", required = true, suggest = "proposed",
    check = option.check_line },
  { name = "version", about = "Version.", required = true, check = function(value)
    return value:match("^%d") and true or nil, "must begin with a digit"
  end },
  { name = "url", about = "Home page.", default = "" },
}

local function ask(values, ...)
  local lines, shown = { ... }, {}
  local result, message, code = wizard.ask(LIST, values, {
    input = { read = function() return table.remove(lines, 1) end },
    err = { write = function(_, ...) table.insert(shown, table.concat { ... }) end,
      flush = function() end },
  })
  return result, table.concat(shown), message, code
end

describe("the wizard", function()
  it("confirms only what is clearly answered", function()
    local function confirm(...)
      local lines = { ... }
      local ok, _, code = wizard.confirm("Well? y: yes, n: no", {
        input = { read = function() return table.remove(lines, 1) end },
        err = { write = function() end, flush = function() end } })
      return ok, code
    end
    for _, answer in ipairs { "y\n", "Y\n", " yes \n" } do assert.is_true((confirm(answer))) end
    for _, answer in ipairs { "n\n", "No\n", "y" } do
      assert.are.same({ nil, "ECANCELED" }, { confirm(answer) })
    end
    assert.is_true((confirm("\n", "yep\n", "y\n")))
    assert.are.same({ nil, "ECANCELED" }, { confirm("\n") })
  end)

  it("takes proposals at an empty answer, and confirms", function()
    local values, shown = ask({}, "\n", "1\n", "\n", "y\n")
    assert.are.equal("proposed", values.name.value)
    assert.are.equal("1", values.version.value)
    assert.are.equal("", values.url.value)
    assert.matches("Name [proposed]: ", shown, 1, true)
  end)

  it("asks again, with the reason", function()
    local values, shown = ask({}, "\n", "\n", "x\n", "2\n", "\n", "YES\n")
    assert.are.equal("2", values.version.value)
    assert.matches("must not be empty", shown, 1, true)
    assert.matches("must begin with a digit", shown, 1, true)
  end)

  it("asks only for what is not known", function()
    local known = { name = { value = "a", source = "command line" },
      version = { value = "1", source = "x" }, url = { value = "https://u", source = "y" } }
    local values, shown = ask(known)
    assert.are.equal(known, values)
    assert.are.equal("", shown)
  end)

  it("asks for what was refused, and says why", function()
    local known = { version = { value = "x", source = "f", problem = "f:1: no digit" } }
    local values, shown = ask(known, "\n", "3\n", "\n", "y\n")
    assert.are.equal("3", values.version.value)
    assert.matches("f:1: no digit", shown, 1, true)
  end)

  it("a number changes an answer", function()
    local values = ask({}, "\n", "1\n", "\n", "2\n", "5\n", "9\n", "nonsense\n", "y\n")
    assert.are.equal("5", values.version.value)
  end)

  it("n and the end of input leave it", function()
    for _, lines in ipairs { { "\n", "1\n", "\n", "n\n" }, { "\n" }, {}, { "\n", "1\n", "\n" },
      { "half" } } do
      local values, _, message, code = ask({}, table.unpack(lines))
      assert.is_nil(values)
      assert.are.equal("ECANCELED", code)
      assert.matches("nothing was made", message)
    end
  end)

  it("shows no control characters", function()
    local _, shown = ask({ url = { value = "a\27[2J", source = "f" } }, "\n", "1\n", "y\n")
    assert.is_nil(shown:find("\27", 1, true))
  end)
end)
