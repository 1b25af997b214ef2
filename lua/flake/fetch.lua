-- SPDX-License-Identifier: MIT
-- A file from somewhere: https, http where it is allowed, file:// or a plain path. Downloads that
-- are interrupted are gone on with next time.
local digest = require "flake.digest"
local fs = require "flake.fs"
local process = require "flake.process"
local progress = require "flake.progress"

local M = {}

-- Bytes of a download, unless it is said how many it may have: a server may have no end.
M.max_size = 16 << 30

-- The older tools' switch.
local INSECURE = "FLAKE_ALLOW_INSECURE_TRANSPORT"

local function is_remote(uri)
  return uri:match("^[Hh][Tt][Tt][Pp][Ss]?://") ~= nil
end

local function decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- The path that a URI means on this host; nil, reason where it means none.
function M.local_path(uri)
  local host, path = uri:match("^[Ff][Ii][Ll][Ee]://([^/]*)(/.*)$")
  if path then
    if host ~= "" and host ~= "localhost" then return nil, "file:// goes without a host" end
    path = decode(path)
    if path:find("\0", 1, true) then return nil, "a path has no NUL" end
    return path
  end
  local scheme = uri:match("^(%a[%w+.-]*)://")
  if scheme then return nil, ("'%s://' is none of https, http, file"):format(scheme) end
  return uri
end

--- A URI as messages show it: what may be a secret (user, password, query) is left out.
function M.shown(uri)
  return uri:find("://", 1, true) and require("flake.http").shown(uri) or uri
end

--- Checks an option's value.
function M.check(uri)
  if uri == "" then return nil, "must not be empty" end
  if uri:find("%c") then return nil, "must not hold control characters" end
  if is_remote(uri) then return true end
  local path, why = M.local_path(uri)
  return path and true, why
end

local function check_sha256(path, uri, sha256)
  local found, message, code = digest.file(path, "sha256")
  if not found then return nil, message, code end
  if found == sha256:lower() then return true end
  return nil, ("%s: SHA-256 is %s, not %s"):format(M.shown(uri), found, sha256:lower()),
    "ECHECKSUM"
end

local function download(uri, opts)
  local http = require "flake.http"
  local insecure = opts.insecure_http or process.getenv(INSECURE) ~= nil
  if not insecure and uri:match("^[Hh][Tt][Tt][Pp]://") then
    return nil, ("%s: only https, unless --insecure-http allows it"):format(M.shown(uri)), "EUSAGE"
  end
  local ok, message, code = fs.mkdir_p(opts.parts, 448)
  if not ok then return nil, message, code end
  local path = ("%s/%s"):format(opts.parts, digest.sha256(uri):sub(1, 32))
  local shown = M.shown(uri)
  local line <close> = progress.line(shown:match("([^/]+)/*$") or shown, opts.err)
  local done
  done, message, code = http.download { url = uri, path = path, insecure_http = insecure,
    sha256 = opts.sha256, limit = opts.max_size or M.max_size, progress = progress.share(line) }
  if code == "ELIMIT" then message = message .. "; --max-size allows more" end
  if not done then return nil, message, code end
  return path
end

--- Gets a file. opts: {parts=directory of downloads, err=stream, sha256=, insecure_http=,
-- max_size=bytes of a download}
-- Returns its path and true if it is a download, which the caller removes; or nil, message, code.
function M.get(uri, opts)
  if is_remote(uri) then
    local path, message, code = download(uri, opts)
    return path, message or true, code
  end
  local path, why = M.local_path(uri)
  if not path then return nil, ("%s: %s"):format(M.shown(uri), why), "EUSAGE" end
  local st, message, code = fs.stat(path)
  if not st then return nil, message, code end
  if st.type ~= "file" then return nil, path .. " is no file", "EUSAGE" end
  if opts.sha256 then
    local ok
    ok, message, code = check_sha256(path, uri, opts.sha256)
    if not ok then return nil, message, code end
  end
  return path, false
end

return M
