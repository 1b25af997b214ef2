-- SPDX-License-Identifier: MIT
-- flake-ctl build-rpmbuild: the same as build --builder rpmbuild.
return require "flake.build.command"("Package flakes with rpmbuild", "rpmbuild")
