-- SPDX-License-Identifier: MIT
local desktop_entry = require "flake.desktop_entry"

local function rewrite(text, app)
  return desktop_entry.rewrite(text, { program = "joe", app = app or "/usr/bin/joe",
    icon = function(name) return name == "joe" and "flake-joe" or nil end })
end

local function entry(exec, more)
  return "[Desktop Entry]\nType=Application\nExec=" .. exec .. "\n" .. (more or "")
end

local function exec_of(exec, app)
  return (rewrite(entry(exec), app) or ""):match("\nExec=([^\n]*)")
end

describe("flake.desktop_entry", function()
  it("makes the program the host's command and keeps the arguments", function()
    assert.are.equal("/usr/bin/joe -x %U", exec_of("/opt/joe/bin/joe -x %U"))
    assert.are.equal("/usr/bin/joe", exec_of("joe"))
    assert.are.equal('/usr/bin/joe "a b" %f', exec_of('"/opt/my dir/joe" "a b" %f'))
  end)

  it("quotes the command where the specification asks for it", function()
    assert.are.equal('"/opt/a b/joe" %u', exec_of("joe %u", "/opt/a b/joe"))
    assert.are.equal('"/opt/\\\\$x/joe"', exec_of("joe", "/opt/$x/joe"))
    assert.are.equal('"/opt/a\\\\\\\\b/joe"', exec_of("joe", "/opt/a\\b/joe"))
    assert.are.equal("/opt/50%%/joe", exec_of("joe", "/opt/50%/joe"))
  end)

  it("knows only entries of applications that start the program", function()
    assert.is_nil(rewrite(entry("jim")))
    assert.is_nil(rewrite(entry("joe-helper")))
    assert.is_nil(rewrite(entry("env A=b joe")))
    assert.is_nil(rewrite("[Desktop Entry]\nType=Link\nExec=joe\n"))
    assert.is_nil(rewrite("[Other]\nx=y\n"))
    assert.is_nil(rewrite("\0\255"))
    assert.is_nil(rewrite(""))
  end)

  it("takes no arguments that a desktop might give to a shell", function()
    for _, args in ipairs { "; rm -rf x", "$(id)", "`id`", "| sh", "> /x", '"$(id)"', '"a\\\\"',
      "'x'", "\\", "&" } do
      assert.is_nil(rewrite(entry("joe " .. args)), args)
    end
  end)

  it("cuts the program off where desktops do", function()
    for _, exec in ipairs { '"joe"man rm', 'joe"man" rm', '"joe""man"', '"joe"%u', 'joe"', '"joe',
      '"joe"\\smore' } do
      assert.is_nil(rewrite(entry(exec)), exec)
    end
    assert.are.equal("/usr/bin/joe x", exec_of('"joe" x'))
    local text = rewrite(entry("joe", "Actions=a;\n\n[Desktop Action a]\nExec=\"joe\"man rm\n"))
    assert.is_nil(text:find("man", 1, true))
  end)

  it("leaves out keys that mean nothing outside, and broken ones", function()
    local text = rewrite(entry("joe", "Name=Joe\nName[de]=Josef\nDBusActivatable=true\nPath=/x\n"
      .. "X-Foo=bar\nIcon=joe\nTryExec=joe\nComment=a\27[31mb\nGenericName=\255\nIcon[de]=x\n"
      .. "Exec=rm -rf x\n"))
    assert.are.equal("[Desktop Entry]\nType=Application\nExec=/usr/bin/joe\nName=Joe\n"
      .. "Name[de]=Josef\nIcon=flake-joe\nTryExec=/usr/bin/joe\n", text)
  end)

  it("keeps the actions that start the program, and only them", function()
    local text = rewrite(entry("joe", "Actions=new;bad;\n\n[Desktop Action new]\nName=New\n"
      .. "Exec=joe --new\n\n[Desktop Action bad]\nName=Bad\nExec=rm -rf x\n"
      .. "[Other]\nExec=joe\n"))
    assert.matches("Actions=new;\n", text)
    assert.matches("%[Desktop Action new%]\nName=New\nExec=/usr/bin/joe %-%-new\n", text)
    assert.is_nil(text:find("rm", 1, true))
    assert.is_nil(text:find("Other", 1, true))
  end)
end)
