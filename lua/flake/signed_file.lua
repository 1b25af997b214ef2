-- SPDX-License-Identifier: MIT
-- Signatures of files, in a file beside them: FILE.minisig of minisign, FILE.sig of GPG.
local fs = require "flake.fs"
local process = require "flake.process"
local scratch = require "flake.scratch"

local M = { suffixes = { minisign = ".minisig", gpg = ".sig" } }

-- Keys and signatures are small.
local LIMIT = 1 << 20

--- What kind of public key a text is: "minisign", "gpg", "sigstore", or nil.
function M.kind_of(text)
  if text:find("-----BEGIN PGP PUBLIC KEY BLOCK-----", 1, true) then return "gpg" end
  if text:find("-----BEGIN PUBLIC KEY-----", 1, true) then return "sigstore" end
  if text:match("^untrusted comment:[^\n]*\nRW[%w+/]+=*%s*$") then return "minisign" end
  -- A packet of OpenPGP with tag 6, a public key, in the old or the new form.
  local first = text:byte() or 0
  return (first & 0xFC == 0x98 or first == 0xC6) and "gpg" or nil
end

local function need(tool)
  if process.which(tool) then return true end
  return nil, ("%s is not installed, which makes and checks signatures of its kind"):format(tool),
    "ENOENT"
end

-- --- making -------------------------------------------------------------------------------------

local function is_minisign_key(key)
  local text = fs.read(key, { limit = LIMIT })
  return text and text:match("^untrusted comment:[^\n]*minisign[^\n]*\nRW") ~= nil
end

local function run(argv, what)
  local result, message, code = process.run(argv, { stdout = "null" })
  if not result then return nil, message, code end
  if result.code == 0 then return true end
  return nil, ("%s could not sign %s"):format(argv[1], what), "ESIGNATURE"
end

--- Signs a file. key: a file with a secret key of minisign, or what gpg --local-user takes.
-- Returns the name of the signature's file, or nil, message, code.
function M.sign(file, key)
  local is_minisign = is_minisign_key(key)
  local tool = is_minisign and "minisign" or "gpg"
  local out = file .. M.suffixes[tool]
  local ok, message, code = need(tool)
  if ok and is_minisign then
    ok, message, code = run({ tool, "-S", "-s", key, "-m", file, "-x", out }, file)
  elseif ok then
    ok, message, code = run({ tool, "--yes", "--detach-sign", "--local-user", key, "--output", out,
      "--", file }, file)
  end
  return ok and out, message, code
end

--- Gives a file that was made in a scratch directory its place and, with a key, its signature.
-- Returns true, or nil, message, code.
function M.publish(work, made, target, key)
  local st, message, code = fs.lstat(made)
  if not st then return nil, message, code end
  local ok, signature = true
  if key then
    signature, message, code = M.sign(made, key)
    if not signature then return nil, message, code end
    ok, message, code = work:publish(signature, target .. signature:sub(#made + 1), 420)
  end
  if ok then ok, message, code = work:publish(made, target, st.mode) end
  return ok, message, code
end

-- --- checking -----------------------------------------------------------------------------------

local QUIET = { stdin = "null", stdout = "null", stderr = "null" }

local function check_minisign(file, signature, key)
  local result, message, code = process.run({ "minisign", "-V", "-q", "-p", key, "-m", file, "-x",
    signature }, QUIET)
  if not result then return nil, message, code end
  return result.code == 0
end

local BAD = { BADSIG = true, ERRSIG = true, EXPSIG = true, EXPKEYSIG = true, REVKEYSIG = true }

-- One good signature at least, and none that is not.
local function is_good(status)
  local good, valid = false, false
  for word in status:gmatch("%[GNUPG:%] (%u+)") do
    if BAD[word] then return false end
    good, valid = good or word == "GOODSIG", valid or word == "VALIDSIG"
  end
  return good and valid
end

-- In a home of its own: no other key counts.
local function check_gpg(file, signature, key)
  local home <close> = assert(scratch.open("gpg"))
  local function gpg(opts, ...)
    return process.run({ "gpg", "--homedir", home.dir, "--batch", "--no-tty", "--no-autostart",
      "--quiet", "--trust-model", "always", "--weak-digest", "SHA1", ... }, opts)
  end
  local made, message, code = gpg(QUIET, "--import", "--", key)
  if not made then return nil, message, code end
  if made.code ~= 0 then return nil, ("gpg cannot read the key %s"):format(key), "ESIGNATURE" end
  local result
  result, message, code = gpg({ stdin = "null", stdout = "pipe", stderr = "null" }, "--status-fd",
    "1", "--verify", "--", signature, file)
  if not result then return nil, message, code end
  return result.code == 0 and is_good(result.stdout)
end

local CHECKS = { minisign = check_minisign, gpg = check_gpg }

--- Can a key of that kind sign files?
function M.can_check(kind)
  return CHECKS[kind] ~= nil
end

--- Checks the signature of a file by the key in a file. name: of the file for people.
-- Returns true, or nil, message, code.
function M.check(file, key, name)
  local text, message, code = fs.read(key, { limit = LIMIT })
  if not text then return nil, message, code end
  local kind = M.kind_of(text)
  if not CHECKS[kind] then return nil, ("%s is no key for files"):format(key), "ESIGNATURE" end
  local ok
  ok, message, code = need(kind)
  if not ok then return nil, message, code end
  local signature = file .. M.suffixes[kind]
  local st = fs.stat(signature)
  if not st or st.type ~= "file" then
    return nil, ("%s is not signed: there is no %s%s"):format(name, name, M.suffixes[kind]),
      "ESIGNATURE"
  end
  ok, message, code = CHECKS[kind](file, signature, key)
  if ok then return true end
  return nil, message or ("%s: its signature is not of the key %s, or not of this content")
    :format(name, key), code or "ESIGNATURE"
end

--- A file that nobody else can change while it is looked at, with its signatures: itself, or a copy
-- in `dir`. Returns its path, or nil, message, code.
function M.own(file, dir)
  if fs.trusted(file) then return file end
  local copy = dir .. "/signed"
  local ok, message, code = fs.copy(file, copy)
  for _, suffix in pairs(M.suffixes) do
    local st = fs.stat(file .. suffix)
    if ok and st and st.type == "file" and st.size <= LIMIT then
      ok, message, code = fs.copy(file .. suffix, copy .. suffix)
    end
  end
  return ok and copy, message, code
end

return M
