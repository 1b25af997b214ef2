-- SPDX-License-Identifier: MIT
-- Small OCI images as archives, and a stand-in for podman that has a store of names and ids.
local archive = require "flake.archive"
local digest = require "flake.digest"
local fs = require "flake.fs"

local M = {}

local function blob(dir, text)
  local hex = digest.sha256(text)
  assert(fs.write(dir .. "/blobs/sha256/" .. hex, text))
  return ('{"digest":"sha256:%s","size":%d}'):format(hex, #text), hex
end

--- Writes an image. what: tells images apart; name: what it says it is called; change(index)
-- returns another index.json. Returns its id.
function M.write(path, what, name, change)
  local temp <close> = assert(fs.temp_dir())
  local dir = temp:path() .. "/layout"
  assert(fs.mkdir_p(dir .. "/blobs/sha256"))
  local config, id = blob(dir, ('{"config":{"Labels":{"what":"%s"}}}'):format(what))
  local layer = blob(dir, "layer of " .. what)
  local manifest = blob(dir, ('{"config":%s,"layers":[%s]}'):format(config, layer))
  local notes = name and (',"annotations":{"org.opencontainers.image.ref.name":"%s"}}')
    :format(name) or "}"
  local index = ('{"manifests":[%s]}'):format((manifest:gsub("}$", notes)))
  assert(fs.write(dir .. "/index.json", change and change(index) or index))
  assert(fs.write(dir .. "/oci-layout", '{"imageLayoutVersion":"1.0.0"}'))
  assert(archive.create(path, dir))
  return id
end

-- Lines "NAME ID" are the store. What podman would take for names in an archive it names, too.
local STORE = [[
have="$0.have"
touch "$have"
name() { sed -i "\|^$1 |d" "$have"; echo "$1 $2" >>"$have"; }
field() { sed -n "s/.*$1\":\"\([^\"]*\)\".*/\1/p"; }
case "$1 $2" in
'image exists') grep -q "^$3 " "$have" || exit 1 ;;
'image inspect')
  for image; do :; done
  grep -q "^$image " "$have" || { echo "Error: $image: no such image" >&2; exit 125; }
  printf '[{"Id":"%s"}]' "$(sed -n "s|^$image ||p" "$have")" ;;
'images --all') echo '[]' ;;
'load --quiet' | 'load --input')
  while [ "$1" != --input ]; do shift; done
  m=$(tar -xOf "$2" index.json | field digest)
  id=$(tar -xOf "$2" "blobs/sha256/${m#sha256:}" | sed 's/,"layers.*//' | field digest)
  name "${id#sha256:}" "${id#sha256:}"
  for n in $(tar -xOf "$2" index.json | field ref.name); do name "$n" "${id#sha256:}"; done
  exit ;;
save*) while [ $# -gt 1 ]; do [ "$1" = --output ] && cp "$0.image" "$2"; shift; done ;;
esac
case "$1" in
pull)
  for image; do policy="$policy ${image#--signature-policy=}"; done
  for file in $policy; do
    [ -f "$file" ] && grep -q reject "$file" || continue
    echo "Error: Source image rejected: by $file" >&2
    exit 125
  done
  grep -q "^$image " "$0.registry" || { echo "Error: $image: not there" >&2; exit 125; }
  name "$image" "$(sed -n "s|^$image ||p" "$0.registry")"
  name "$(sed -n "s|^$image ||p" "$0.registry")" "$(sed -n "s|^$image ||p" "$0.registry")" ;;
tag) name "$3" "$2" ;;
untag) sed -i "\|^$3 |d" "$have" ;;
rmi) sed -i "\|^$2 |d" "$have" ;;
esac
]]

--- Puts the stand-in into a place. body: what it does first. `podman save` gives place.image.
function M.stand_in(place, body)
  place:stand_in("podman", (body or "") .. "\n" .. STORE)
  place.image = place.bin .. "/podman.image"
end

--- What the stand-in can pull: {[name]=id}.
function M.registry(place, images)
  local lines = {}
  for name, id in pairs(images) do table.insert(lines, ("%s %s\n"):format(name, id)) end
  assert(fs.write(place.bin .. "/podman.registry", table.concat(lines)))
end

--- Names an image in the store of the stand-in.
function M.name(place, name, id)
  local file, kept = place.bin .. "/podman.have", {}
  for line in (fs.read(file) or ""):gmatch("[^\n]+") do
    if line:match("^%S+") ~= name then table.insert(kept, line .. "\n") end
  end
  assert(fs.write(file, ("%s%s %s\n%s %s\n"):format(table.concat(kept), name, id, id, id)))
end

--- The id that a name has in the store of the stand-in, or nil.
function M.id_of(place, name)
  for line in (fs.read(place.bin .. "/podman.have") or ""):gmatch("[^\n]+") do
    local known, id = line:match("^(%S+) (%S+)$")
    if known == name then return id end
  end
end

return M
