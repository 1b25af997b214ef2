-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker pull: an image from its kis archive, or from its components.
local archive = require "flake.archive"
local e2fs = require "flake.e2fs"
local fetch = require "flake.fetch"
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local vm = require "flake.vm"
local kernel = require "shipped.runtimes.firecracker.kernel"
local kis = require "shipped.runtimes.firecracker.kis"
local sci = require "shipped.runtimes.firecracker.sci"
local store = require "flake.vm_store"

local function check(opts)
  local component = opts.rootfs or opts.kernel or opts.initrd
  if opts.kis_image and component then
    return nil, "--kis-image excludes --rootfs, --kernel and --initrd", "EUSAGE"
  end
  if not opts.kis_image and not (opts.rootfs and opts.kernel) then
    return nil, "pull needs --kis-image URI, or --rootfs URI and --kernel URI", "EUSAGE"
  end
  if component and opts.replace_sci then
    return nil, "--replace-sci goes with --kis-image: components get our init anyhow", "EUSAGE"
  end
  if opts.max_size and (pilot.size(opts.max_size) or 0) == 0 then
    return nil, ("--max-size '%s' is no size, such as 20GiB"):format(opts.max_size), "EUSAGE"
  end
  return true
end

-- Gets a file and hands it to use(path, uri); what was downloaded goes then.
local function with_file(uri, opts, job, sha256, use)
  local path, temporary, code = fetch.get(uri, { parts = job.parts, err = job.err,
    insecure_http = opts.insecure_http, sha256 = sha256, max_size = job.max_size })
  if not path then return nil, temporary, code end
  local ok, message
  ok, message, code = use(path)
  if temporary then fs.unlink(path) end
  return ok and true, message, code
end

-- Whose init a kis image has is looked up; ours only goes in where that is wanted.
local function settle_kis(opts, job)
  local rootfs = job.dir .. "/rootfs"
  if opts.replace_sci then
    local ok, message, code = sci.put(rootfs, job.sci)
    if not ok then return nil, message, code end
  elseif not e2fs.is_ext(rootfs) then
    job.note(("image '%s': the root file system is none of ext2, ext3, ext4"):format(opts.name))
    return true
  elseif not sci.is_ours(rootfs) then
    job.note(("the init of image '%s' is not ours: no exit status, no separate standard error; "
      .. "--replace-sci puts ours in"):format(opts.name))
    return true
  end
  return sci.note(job.dir)
end

local function pull_kis(opts, job)
  local ok, message, code = with_file(opts.kis_image, opts, job, opts.sha256, function(path)
    return kis.unpack(path, fetch.shown(opts.kis_image), job.temp, job.dir, job.note)
  end)
  if not ok then return nil, message, code end
  return settle_kis(opts, job)
end

local function pull_components(opts, job)
  local rootfs = job.dir .. "/rootfs"
  local ok, message, code = with_file(opts.rootfs, opts, job, opts.sha256, function(path)
    return archive.decompress(path, rootfs)
  end)
  if ok then
    ok, message, code = with_file(opts.kernel, opts, job, nil, function(path)
      return kernel.install(path, job.dir .. "/kernel")
    end)
  end
  if ok and opts.initrd then
    ok, message, code = with_file(opts.initrd, opts, job, nil, function(path)
      return fs.copy(path, job.dir .. "/initrd")
    end)
  end
  if ok then ok, message, code = sci.put(rootfs, job.sci) end
  if not ok then return nil, message, code end
  return sci.note(job.dir)
end

--- flake-ctl firecracker pull
return function(opts, ctx)
  local ok, message, code = check(opts)
  if not ok then return nil, message, code end
  local init
  if not opts.kis_image or opts.replace_sci then
    init, message, code = vm.sci(ctx.info)
    if not init then return nil, message, code end
  end
  local job <close>, why, name, hint = store.begin(opts)
  if not job then return nil, why, name, hint end
  job.err, job.sci = ctx.err, init
  job.max_size = opts.max_size and pilot.size(opts.max_size)
  job.note = function(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end
  ok, message, code = (opts.kis_image and pull_kis or pull_components)(opts, job)
  if ok then ok, message, code = store.finish(job) end
  if not ok then return nil, message, code end
  return 0
end
