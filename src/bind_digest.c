// SPDX-License-Identifier: MIT
// flake.digest: sha256, file. Reference: doc/api/digest.md
#include "digest.h"
#include "lua_util.h"

FLAKE_EXPORT int luaopen_flake_digest(lua_State *L);

static int l_sha256(lua_State *L)
{
	size_t len;
	const char *data = luaL_checklstring(L, 1, &len);
	char sum[DIGEST_SHA256_TEXT];
	struct error err = { 0 };

	if (digest_sha256(data, len, sum, &err) < 0)
		return lu_fail(L, &err);
	lua_pushstring(L, sum);
	return 1;
}

static int l_file(lua_State *L)
{
	static const char *const keys[] = { "size", NULL };
	static const char *const algorithms[] = { "sha256", "md5", NULL };
	const char *path = luaL_checkstring(L, 1);
	const char *algorithm = algorithms[luaL_checkoption(L, 2, "sha256", algorithms)];
	char sum[DIGEST_SHA256_TEXT];
	struct error err = { 0 };
	lua_Integer size;

	lu_check_keys(L, 3, keys);
	size = lu_opt_int(L, 3, "size", 0);
	luaL_argcheck(L, size >= 0, 3, "size must not be negative");
	if (digest_file(path, algorithm, (uint64_t)size, sum, &err) < 0)
		return lu_fail(L, &err);
	lua_pushstring(L, sum);
	return 1;
}

int luaopen_flake_digest(lua_State *L)
{
	static const luaL_Reg functions[] = { { "sha256", l_sha256 },
					      { "file", l_file },
					      { NULL, NULL } };

	luaL_newlib(L, functions);
	return 1;
}
