// SPDX-License-Identifier: MIT
// flake.digest: sha256. Reference: doc/api/digest.md
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

int luaopen_flake_digest(lua_State *L)
{
	static const luaL_Reg functions[] = { { "sha256", l_sha256 }, { NULL, NULL } };

	luaL_newlib(L, functions);
	return 1;
}
