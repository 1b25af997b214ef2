-- SPDX-License-Identifier: MIT
-- flake-ctl build: packages for this system's package manager.
return require "flake.build.command"(
  "Package flakes and images with your systems native package manager")
