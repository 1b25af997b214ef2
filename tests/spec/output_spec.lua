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
    local parts = {}
    local stream = output.stream({ write = function(_, text) table.insert(parts, text) end })
    stream:coloured("x", "red")
    assert.are.same({ "x" }, parts)
  end)

  it("is a stream that makes all text printable but line breaks and tabs", function()
    local parts = {}
    local stream = output.stream({ write = function(_, text) table.insert(parts, text) end }, true)
    stream:write("a\27[31m\tb\n", 5, "\u{9b}c\r\255ü"):coloured("x", "red"):raw("\r")
    assert.are.same({ "a?[31m\tb\n", "5", "?c??ü", "\27[31mx\27[0m", "\r" }, parts)
    assert.are.equal('"\\u009b\\u001b\\u007f"', output.json("\u{9b}\27\127"))
  end)
end)
