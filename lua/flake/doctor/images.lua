-- SPDX-License-Identifier: MIT
-- What the doctor says of images: those that flakes need, and composed ones that no flake needs.
local podman = require "flake.podman"
local quote = require("flake.text").quote

local M = {}

local function quiet(stdout)
  return { stdin = "null", stdout = stdout, stderr = "null", timeout = 20 }
end

--- Images of a flake that are not here.
function M.check_parts(add, flake)
  local seen = {}
  for _, reference in ipairs { flake.image, flake.base, table.unpack(flake.layers) } do
    local found = not seen[reference]
      and podman.call({ "image", "exists", reference }, quiet("null"))
    seen[reference] = true
    if found and found.code == 1 then
      add("warning", ("flake '%s': image '%s' is not here"):format(flake.name, reference),
        ("flake-ctl podman pull --uri %s"):format(quote(reference)))
    end
  end
end

--- Composed images whose flake is gone. names: of all flakes, as set.
function M.check_composed(add, names)
  local result = podman.call({ "images", "--filter", "label=flake-pilot.composed",
    "--format", "json" }, quiet("pipe"))
  local images = result and result.code == 0 and require("dkjson").decode(result.stdout)
  for _, image in ipairs(type(images) == "table" and images or {}) do
    local flake = (image.Labels or {})["flake-pilot.composed"]
    for _, name in ipairs(flake and not names[flake] and image.Names or {}) do
      if name:match("^localhost/flake%-pilot/f") and not name:match(":latest$") then
        add("warning", ("there is no flake '%s' for its composed image %s"):format(flake, name),
          "podman rmi " .. image.Id:sub(1, 12) .. " --force")
      end
    end
  end
end

return M
