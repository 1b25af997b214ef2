-- SPDX-License-Identifier: MIT
-- Can this podman check sigstore signatures? Some are built without (Debian 12's): they take a
-- policy that demands one and refuse every image. Their version does not tell, so it is tried: an
-- image of nothing that was signed once is pulled, and goes again.
local fs = require "flake.fs"
local scratch = require "flake.scratch"
local store = require "flake.store"

local M = {}

local CONFIG = '{"architecture":"amd64","os":"linux","config":{},'
  .. '"rootfs":{"type":"layers","diff_ids":[]}}'
local ID = "dc570f145a7f2862c9ef3c30b8d6ae2feaceb0d364e4b2e08e67ae18815427d9"
local MANIFEST = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
  .. '"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:' .. ID
  .. '","size":90},"layers":[]}'
local SIGNATURE = '\0sigstore-json\n{"mimeType":'
  .. '"application/vnd.dev.cosign.simplesigning.v1+json","payload":"eyJjcml0aWNhbCI6eyJpZGVudGl0eS'
  .. "I6eyJkb2NrZXItcmVmZXJlbmNlIjoibG9jYWxob3N0L2ZsYWtlLXBpbG90L3Byb2JlOjEifSwiaW1hZ2UiOnsiZG9j"
  .. "a2VyLW1hbmlmZXN0LWRpZ2VzdCI6InNoYTI1NjpjNWMzMDkwYzc4YTY5YzIzNTY1MzUzYjg3NGI0M2VkYTNhZDdjNG"
  .. "NmY2I4NTVlODM5ZjM5MDhhYzVhMTFhOWU2In0sInR5cGUiOiJjb3NpZ24gY29udGFpbmVyIGltYWdlIHNpZ25hdHVy"
  .. 'ZSJ9LCJvcHRpb25hbCI6bnVsbH0=","annotations":{"dev.cosignproject.cosign/signature":'
  .. '"MEUCIQDU9PhRVdvvaht0oWiXXtrWYw8ZVzPGfN2l0WB6mqYkbgIgc3ofbRbj1hBKYjdeRLOJO5UxcC8MwNV1XHo4v'
  .. '+8f6RQ="}}'
-- The key's secret half is gone.
local POLICY = '{"default":[{"type":"sigstoreSigned","keyData":"LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0t'
  .. "LS0KTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFL1JPWXU0MVloRi9mWnE3ekRvVGpFMmt3ZDNldQ"
  .. "p6dFBjaWFnOW12TE1mUFJIUlFXNGpRN2J0QnJDb2hPZHk5V3EvNmZpZEpGREpBcXI1eXZkZkRiRmZBPT0KLS0tLS1F"
  .. 'TkQgUFVCTElDIEtFWS0tLS0tCg==","signedIdentity":{"type":"exactReference",'
  .. '"dockerReference":"localhost/flake-pilot/probe:1"}}]}'

local function write_image(dir)
  assert(fs.mkdir(dir .. "/image"))
  for name, text in pairs { [ID] = CONFIG, ["manifest.json"] = MANIFEST,
    ["signature-1"] = SIGNATURE, version = "Directory Transport Version: 1.1\n" } do
    assert(fs.write(("%s/image/%s"):format(dir, name), text))
  end
  assert(fs.write(dir .. "/policy.json", POLICY))
end

--- Tries it. Returns true, or false and what podman says.
function M.is_checked()
  local temp <close> = assert(scratch.open("sigstore"))
  local dir, place = temp.dir, store.of(nil)
  write_image(dir)
  local done, message = place:podman { "pull", "--quiet",
    ("--signature-policy=%s/policy.json"):format(dir), ("dir:%s/image"):format(dir) }
  if done then place:podman { "rmi", "--", ID } end
  return done ~= nil, message
end

return M
