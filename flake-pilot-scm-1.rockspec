rockspec_format = "3.0"
package = "flake-pilot"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Containers as native commands: the core and library of flake-pilot",
  detailed = "Processes, files, YAML, HTTP, archives and launch plans, in C for Lua.",
  license = "MIT",
}
dependencies = { "lua >= 5.4" }
build = {
  type = "make",
  build_target = "build",
  install_target = "install-rock",
  build_variables = { CFLAGS = "$(CFLAGS)" },
  install_variables = { CFLAGS = "$(CFLAGS)", ROCK_LUADIR = "$(LUADIR)",
    ROCK_LIBDIR = "$(LIBDIR)" },
}
