-- SPDX-License-Identifier: MIT
local json = require "flake.strict_json"

describe("flake.strict_json", function()
  local KNOWN = { "manifests", "skip" }

  it("reads what RFC 8259 allows", function()
    for text, value in pairs {
      ["{}"] = {}, [" { } "] = {}, ['{"a":[]}'] = { a = {} },
      ['{"a":1,"b":[1,2.5,{"c":-0.5e+3}]}'] = { a = 1, b = { 1, 2.5, { c = -500.0 } } },
      ['{"a":null,"b":true,"c":false}'] = { b = true, c = false },
      ['{"\\u0041\\n\\"":"\\ud83d\\ude00 \\/\127"}'] = { ['A\n"'] = "\u{1F600} /\127" },
      ['{"manifests":{"Other":1,"other":2}}'] = { manifests = { Other = 1, other = 2 } },
    } do
      assert.are.same({ value }, { json.decode(text, KNOWN) })
    end
  end)

  it("refuses what readers take for different things", function()
    for text, why in pairs {
      ['{"a":1,"a":1}'] = "'a' for the second time at byte 8",
      ['{"\\u0061":1,"a":1}'] = "'a' for the second time",
      ['{"x":{"Manifests":1}}'] = "'Manifests', which some take for 'manifests'",
      ['{"manife\\u017ft\\u017f":1}'] = "which some take for 'manifests'",
      ['{"s\u{212A}ip":1}'] = "which some take for 'skip'",
      ['{"a":1 /*, "b":2*/}'] = "no comma",
      ['{"a":1} {"a":2}'] = "behind its end",
      ['\u{FEFF}{"a":1}'] = "no value",
      ['{"a":"\xff"}'] = "is no UTF%-8",
    } do
      local value, message = json.decode(text, KNOWN)
      assert.is_nil(value)
      assert.matches(why, message)
    end
  end)

  it("refuses what is no JSON object", function()
    for _, text in ipairs { "", "1", '"a"', "[]", "[{}]", "{", '{"a"', '{"a":', '{"a":}',
      '{"a":1,}', '{a:1}', "{'a':1}", '{"a":01}', '{"a":1.}', '{"a":.5}', '{"a":+1}', '{"a":1e}',
      '{"a":0x1}', '{"a":1.5.3}', '{"a":nil}', '{"a":nulls}', '{"a":"\n"}', '{"a":"\\x"}',
      '{"a":"\\u12"}', '{"a":"\\ud800"}', '{"a":"\\udc00\\ud800"}', '{"a":[1 2]}', '{"a":[1}',
      '{"a":[,]}', ('{"a":'):rep(200) .. "1" .. ("}"):rep(200) } do
      assert.is_nil((json.decode(text)), text)
      assert.is_string((select(2, json.decode(text))))
    end
  end)
end)
