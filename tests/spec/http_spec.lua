-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local http = require "flake.http"
local process = require "flake.process"

describe("flake.http", function()
  local temp, dir, server, base, socket

  setup(function()
    temp = assert(fs.temp_dir())
    dir = temp:path()
    socket = dir .. "/socket"
    server = assert(process.spawn({ "python3", "tests/spec/support/http_server.py", socket },
      { stdin = "pipe", stdout = "pipe" }))
    base = "http://127.0.0.1:" .. server:read("stdout"):match("%d+")
  end)

  teardown(function()
    server:close_stdin()
    server:wait(60)
    temp:close()
  end)

  local function get(path, more)
    local req = { url = base .. path, insecure_http = true }
    for k, v in pairs(more or {}) do req[k] = v end
    return http.request(req)
  end

  local function download(path, more)
    local req = { url = base .. path, path = dir .. "/got", insecure_http = true }
    for k, v in pairs(more or {}) do req[k] = v end
    return http.download(req)
  end

  before_each(function()
    fs.unlink(dir .. "/got")
    fs.unlink(dir .. "/got.part")
    fs.unlink(dir .. "/got.part.tag")
  end)

  it("requests over TCP", function()
    local res = assert(get("/hello"))
    assert.are.equal(200, res.status)
    assert.are.equal("hello", res.body)
    assert.are.equal("yes", res.headers["x-test"])
  end)

  it("requests over a Unix socket", function()
    local res = assert(http.request { url = "http://localhost/hello", unix_socket = socket })
    assert.are.equal("hello", res.body)
  end)

  it("sends methods, bodies and headers", function()
    assert.are.equal("POST:a body", get("/x", { body = "a body" }).body)
    assert.are.equal("PUT:a\0b", get("/x", { method = "PUT", body = "a\0b" }).body)
    assert.are.equal("mine", get("/headers", { headers = { ["X-Mine"] = "mine" } }).body)
    assert.are.equal("", get("/hello", { method = "HEAD" }).body)
  end)

  it("gives any status as a result", function()
    assert.are.equal(404, get("/nothing").status)
  end)

  it("refuses http unless it is allowed, and anything else always", function()
    local res, message = http.request { url = base .. "/hello" }
    assert.is_nil(res)
    assert.matches("only https", message)
    assert.is_nil((http.request { url = "file:///etc/passwd", insecure_http = true }))
    assert.is_nil((get("/to-file-url")))
  end)

  it("ends at the time-out", function()
    local _, _, code = get("/slow", { timeout = 0.3 })
    assert.are.equal("ETIMEDOUT", code)
  end)

  it("keeps to the limit", function()
    assert.are.equal("ELIMIT", select(3, get("/file", { limit = 1000 })))
    assert.are.equal("ELIMIT", select(3, download("/file", { limit = 1000 })))
    assert.is_nil(fs.stat(dir .. "/got"))
  end)

  it("shows addresses without what may be a secret", function()
    for url, shown in pairs {
      ["https://host/a/b.xz"] = "https://host/a/b.xz",
      ["https://me:secret@host:8/a?token=secret#secret"] = "https://host:8/a",
      ["http://secret@host"] = "http://host",
      ["http://me:se@cret@host/x@2"] = "http://host/x@2",
      ["http://me:sec/ret@host/x"] = "http://host/x",
      ["http://me:secret?secret@host/x"] = "http://host/x",
      ["http://[::1]:80/x#secret"] = "http://[::1]:80/x",
      ["ftp://me:secret@host/x"] = "ftp://host/x",
      ["host/x?secret"] = "host/x",
    } do
      assert.are.equal(shown, http.shown(url))
    end
  end)

  -- Every way in which a transfer fails.
  it("prints no secret of an address in an error", function()
    local secret = base:gsub("//", "//me:secret@")
    local function both(path, more)
      local req = { url = secret .. path .. "?token=secret", insecure_http = true, timeout = 20 }
      for k, v in pairs(more or {}) do req[k] = v end
      local _, first = http.request(req)
      req.path = dir .. "/got"
      local _, second = http.download(req)
      return first or "", second or ""
    end
    for path, more in pairs { ["/slow"] = { timeout = 0.2 }, ["/file"] = { limit = 1000 },
      ["/hello"] = { insecure_http = false }, ["/missing"] = {}, ["/cut"] = {} } do
      local first, second = both(path, more)
      assert.matches("127.0.0.1", second)
      assert.is_nil((first .. second):find("secret"))
    end
    local _, message = http.download { url = secret .. "/file?secret", path = dir .. "/got",
      insecure_http = true, sha256 = ("0"):rep(64) }
    assert.matches("SHA%-256 is", message)
    assert.is_nil(message:find("secret"))
    _, message = http.download { url = secret .. "/file?secret", path = dir .. "/got",
      insecure_http = true, progress = function() return false end }
    assert.matches("aborted", message)
    assert.is_nil(message:find("secret"))
    for _, url in ipairs { "http://me:secret@127.0.0.1:1/?secret", "http://me:secret@127.0.0.1:0x/",
      "http://me:secret@[bad/", "https://me:secret@256.256.256.256.invalid/?secret" } do
      _, message = http.request { url = url, insecure_http = true, timeout = 20 }
      assert.is_nil(assert(message):find("secret"))
    end
  end)

  it("names the reason when nobody answers", function()
    local _, message, code = http.request { url = "http://127.0.0.1:9/", insecure_http = true }
    assert.are.equal("EHTTP", code)
    assert.matches("127.0.0.1:9", message, 1, true)
  end)

  it("downloads to a file with progress and digest", function()
    local last, total = 0, 0
    local res = assert(download("/file", { progress = function(done, all)
      last, total = done, all
    end }))
    assert.are.equal(1048576, res.size)
    assert.are.equal(1048576, last)
    assert.are.equal(1048576, total)
    assert.are.equal(1048576, #fs.read(dir .. "/got"))
    assert.are.equal(64, #res.sha256)
    assert.is_nil(fs.stat(dir .. "/got.part"))
    assert(download("/file", { sha256 = res.sha256:upper() }))
  end)

  it("follows a redirect without writing its page", function()
    assert.are.equal(1048576, assert(download("/redirect")).size)
  end)

  -- Downloads to where a part may be; what the server sent for it, and the file.
  local function go_on(path, more)
    local res = assert(download(path, more))
    assert.is_nil(fs.stat(dir .. "/got.part"))
    assert.is_nil(fs.stat(dir .. "/got.part.tag"))
    assert.are.equal(res.size, fs.stat(dir .. "/got").size)
    return get("/served").body, fs.read(dir .. "/got")
  end

  local function fresh(path)
    assert(download(path, { resume = false }))
    return fs.read(dir .. "/got")
  end

  it("resumes a partial download", function()
    for _, case in ipairs { { "/cut", "/file" }, { "/cut-dated", "/dated" } } do
      local whole = fresh(case[2])
      local res, _, code = download(case[1])
      assert.is_nil(res)
      assert.are.equal("EHTTP", code)
      assert.are.equal(100000, fs.stat(dir .. "/got.part").size)
      local how, data = go_on(case[2])
      assert.are.equal("the rest", how)
      assert.is_true(data == whole)
    end
  end)

  it("starts anew where the server cannot resume, or when told to", function()
    download("/cut")
    assert.are.equal(1048576, assert(download("/norange")).size)
    download("/cut")
    assert.are.equal(1048576, assert(download("/file", { resume = false })).size)
    download("/cut")
    assert.are.equal(1048576, assert(download("/vague")).size)
  end)

  it("never mixes versions of a file", function()
    for _, path in ipairs { "/other", "/short", "/careless" } do
      local whole = fresh(path)
      download("/cut")
      local _, data = go_on(path)
      assert.is_true(data == whole, path)
    end
  end)

  it("does not take an old file that is whole for the new one", function()
    for _, path in ipairs { "/other", "/short" } do
      local whole = fresh(path)
      assert(fs.write(dir .. "/got.part", fresh("/file")))
      assert(fs.write(dir .. "/got.part.tag", '"one"'))
      local _, data = go_on(path)
      assert.is_true(data == whole, path)
      -- What was longer than the file is now, and nobody knows of which version it is.
      assert(fs.write(dir .. "/got.part", whole .. "more"))
      _, data = go_on(path)
      assert.is_true(data == whole, path)
      assert(fs.write(dir .. "/got.part", whole .. "more"))
      assert(fs.write(dir .. "/got.part.tag", path == "/other" and '"two"' or '"three"'))
      _, data = go_on(path)
      assert.is_true(data == whole, path)
    end
  end)

  it("needs to know the version, or a digest, to resume", function()
    download("/cut-untold")
    assert.are.equal("all", (go_on("/untold")))
    local sha256 = assert(download("/untold")).sha256
    download("/cut-untold")
    assert.are.equal("the rest", (go_on("/untold", { sha256 = sha256 })))
    for _, tag in ipairs { "", '"one"\nX: y', ("x"):rep(2000) } do
      download("/cut")
      assert(fs.write(dir .. "/got.part.tag", tag))
      assert.are.equal("all", (go_on("/file")))
    end
  end)

  it("takes a part that is complete already", function()
    local data = fresh("/file")
    assert(fs.write(dir .. "/got.part", data))
    assert(fs.write(dir .. "/got.part.tag", '"one"'))
    assert.are.equal(1048576, assert(download("/file")).size)
    assert.is_true(fs.read(dir .. "/got") == data)
    assert(fs.write(dir .. "/got.part", data))
    assert(fs.write(dir .. "/got.part.tag", '"one"'))
    assert.are.equal("ELIMIT", select(3, download("/file", { limit = 1000 })))
  end)

  it("takes nothing but the file for success", function()
    for _, path in ipairs { "/choices", "/unchanged" } do
      local res, message, code = download(path)
      assert.is_nil(res)
      assert.matches("HTTP status 30", message)
      assert.are.equal("EHTTP", code)
    end
    assert.are.equal("EHTTP", select(3, http.download { url = "http://localhost/redirect",
      unix_socket = socket, path = dir .. "/got" }))
    assert.is_nil(fs.stat(dir .. "/got"))
    assert.is_nil(fs.stat(dir .. "/got.part"))
  end)

  it("refuses a wrong digest and leaves nothing", function()
    local res, message = download("/file", { sha256 = ("0"):rep(64) })
    assert.is_nil(res)
    assert.matches("SHA%-256", message)
    assert.is_nil(fs.stat(dir .. "/got"))
    assert.is_nil(fs.stat(dir .. "/got.part"))
  end)

  it("fails on an error status and leaves nothing", function()
    local res, message, code = download("/nothing")
    assert.is_nil(res)
    assert.matches("404", message)
    assert.are.equal("EHTTP", code)
    assert.is_nil(fs.stat(dir .. "/got.part"))
  end)

  it("aborts when progress says so, and passes its errors on", function()
    assert.matches("aborted", select(2, download("/file", { progress = function()
      return false
    end })))
    assert.has_error(function()
      download("/file", { progress = function() error("mine", 0) end })
    end, "mine")
  end)

  it("raises on wrong options", function()
    assert.has_error(function() http.request { uri = "x" } end)
    assert.has_error(function() http.request {} end)
    assert.has_error(function() http.download { url = "x" } end)
    assert.has_error(function() get("/hello", { headers = { ["A\r\nB"] = "c" } }) end)
  end)
end)
