-- SPDX-License-Identifier: MIT
local output = require "flake.output"

local function print_to_text(...)
  local parts = {}
  output.print({ write = function(_, ...)
    for _, part in ipairs { ... } do table.insert(parts, part) end
  end }, ...)
  return table.concat(parts)
end

describe("flake.output", function()
  local columns = { { key = "a", title = "A" }, { key = "b", title = "B" } }

  it("aligns a table by characters, not bytes", function()
    assert.are.equal("A   B\nüü  x\nz   -\n",
      print_to_text({ { a = "üü", b = "x" }, { a = "z" } }, columns, "table"))
  end)

  it("quotes CSV fields as RFC 4180 says", function()
    assert.are.equal('a,b\n"x,y","say ""hi"""\n,"two\nlines"\n', print_to_text(
      { { a = "x,y", b = 'say "hi"' }, { b = "two\nlines" } }, columns, "csv"))
  end)

  it("lets neither control characters of any kind nor broken UTF-8 reach a terminal", function()
    assert.are.equal("a?b?c??ü", output.printable("a\27b\u{9b}c\x9b\xffü"))
    assert.are.equal("one two", output.line("one\n\ttwo"))
  end)

  it("writes JSON that is UTF-8", function()
    assert.are.equal('["a\u{FFFD}","\u{FFFD}\u{FFFD}ü"]', output.json({ "a\255", "\xc3\xffü" }))
  end)

  it("colours nothing that is no terminal", function()
    assert.are.equal("x", output.colour("x", "red", 99))
  end)
end)
