-- SPDX-License-Identifier: MIT
-- flake-ctl build-dpkg: the same as build --builder dpkg.
return require "flake.build.command"("Package flakes with dpkg-buildpackage", "dpkg")
