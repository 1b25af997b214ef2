-- SPDX-License-Identifier: MIT
local yaml = require "flake.yaml"

describe("flake.yaml", function()
  describe("load", function()
    it("reads maps, lists, numbers, booleans and null", function()
      local doc = assert(yaml.load("a: 1\nb: [x, 2.5, true]\nc: ~\nd: 'yes'\n"))
      assert.are.equal(1, doc.a)
      assert.are.same({ "x", 2.5, true }, { doc.b[1], doc.b[2], doc.b[3] })
      assert.are.equal(yaml.null, doc.c)
      assert.are.equal("yes", doc.d)
      assert.is_true(yaml.is_list(doc.b))
      assert.is_false(yaml.is_list(doc))
    end)

    it("keeps what only looks like a number or a boolean of YAML 1.1", function()
      local doc = assert(yaml.load("a: yes\nb: 010\nc: 1.10.2\nd: 0x1f\ne: 1e999x\n"))
      assert.are.same({ a = "yes", b = "010", c = "1.10.2", d = "0x1f", e = "1e999x" }, doc)
    end)

    it("keeps every scalar a string when asked to", function()
      assert.are.same({ v = "1.10", b = "true" }, yaml.load("v: 1.10\nb: true\n", { text = true }))
    end)

    it("says file, line and column of an error", function()
      local doc, message, code = yaml.load("a: 1\nb: [\n", { name = "x.yaml" })
      assert.is_nil(doc)
      assert.matches("^x%.yaml:%d+:%d+: ", message)
      assert.are.equal("EYAML", code)
    end)

    it("refuses a key twice, a second document and bottomless nesting", function()
      assert.matches("twice", select(2, yaml.load("a: 1\na: 2\n")))
      assert.matches("second document", select(2, yaml.load("a: 1\n---\nb: 2\n")))
      assert.matches("too deeply", select(2, yaml.load(("["):rep(100000))))
    end)

    it("survives an alias bomb", function()
      local text = { "a: &a [x, x, x, x, x, x, x, x, x]" }
      for i = string.byte("b"), string.byte("j") do
        local c, p = string.char(i), string.char(i - 1)
        text[#text + 1] = ("%s: &%s [%s]"):format(c, c, ("*" .. p .. ", "):rep(9))
      end
      assert.matches("too many", select(2, yaml.load(table.concat(text, "\n"))))
    end)

    it("gives null for an empty text", function()
      assert.are.equal(yaml.null, yaml.load(""))
    end)

    it("raises on an unknown option", function()
      assert.has_error(function() yaml.load("a", { nam = 1 }) end)
    end)
  end)

  describe("dump", function()
    it("round-trips ambiguous strings", function()
      local strings = { "yes", "010", "1.0", "~", "", "null", "true", "a: b", "- x", "# c", "1e3",
        "two\nlines\n", "trailing \n blank", "tab\there", " lead", "12:30:45", "2020-01-01",
        "üml", "'", '"', "%", "@x", "<<", "=", "0x1f", "+1", "\n", "a\n\n", "*x", "&y", "!z" }
      for _, s in ipairs(strings) do
        local text = assert(yaml.dump({ key = s, list = { s } }))
        local back = assert(yaml.load(text))
        assert.are.equal(s, back.key, text)
        assert.are.equal(s, back.list[1], text)
      end
    end)

    it("quotes what a YAML 1.1 reader would take for something else", function()
      assert.are.equal('a: "yes"\n', yaml.dump({ a = "yes" }))
      assert.are.equal('a: "010"\n', yaml.dump({ a = "010" }))
    end)

    it("round-trips numbers, booleans, null and empty lists", function()
      local back = yaml.load(yaml.dump({ i = 3, f = 1.0, t = true, n = yaml.null,
        l = yaml.list {} }))
      assert.are.equal("integer", math.type(back.i))
      assert.are.equal("float", math.type(back.f))
      assert.is_true(back.t)
      assert.are.equal(yaml.null, back.n)
      assert.is_true(yaml.is_list(back.l))
    end)

    it("round-trips every number", function()
      for _, n in ipairs { 1 / 3, 0.1, 123456789.123456789, 2.0 ^ 53, -0.0, 1e300, 5e-324, 1e15,
        math.maxinteger, math.mininteger } do
        local back = assert(yaml.load(assert(yaml.dump({ n = n })))).n
        assert.are.equal(n, back)
        assert.are.equal(math.type(n), math.type(back))
      end
      assert.are.equal("v: 0.1\n", yaml.dump({ v = 0.1 }))
    end)

    it("round-trips every character, or refuses it", function()
      for c = 1, 0xffff do
        local s = "a" .. utf8.char(c) .. "b"
        local text, message, code = yaml.dump({ [s] = s })
        if text then
          assert.are.equal(s, assert(yaml.load(text))[s], ("U+%04X"):format(c))
        else
          assert.are.equal("EYAML", code)
          assert.matches("not UTF%-8", message)
          assert.is_true(c >= 0xd800 and c < 0xe000, ("U+%04X"):format(c))
        end
      end
    end)

    it("puts keys in the given order, the rest sorted behind", function()
      assert.are.equal("z: 1\nb: 1\na: 1\nc: 1\n",
        yaml.dump({ a = 1, b = 1, c = 1, z = 1 }, { order = { "z", "b" } }))
    end)

    it("refuses functions, infinite numbers and tables inside themselves", function()
      local loop = {}
      loop.loop = loop
      assert.has_error(function() yaml.dump({ f = print }) end)
      assert.has_error(function() yaml.dump({ f = math.huge }) end)
      assert.has_error(function() yaml.dump(loop) end)
      assert.has_error(function() yaml.dump({ ["a\0b"] = 1 }) end)
    end)

    it("refuses bytes that are not UTF-8 with a message", function()
      local text, _, code = yaml.dump({ a = "\255\254" })
      assert.is_nil(text)
      assert.are.equal("EYAML", code)
    end)
  end)
end)
