// SPDX-License-Identifier: MIT
#include "podman_options.h"

#include "util.h"

// Options without a value (podman-run(1)). All others take the next token for theirs.
static const char letters[] = "diPqt";
static const char *const words[] = { "detach",
				     "disable-content-trust",
				     "env-host",
				     "help",
				     "http-proxy",
				     "init",
				     "interactive",
				     "no-healthcheck",
				     "no-hosts",
				     "no-hostname",
				     "oom-kill-disable",
				     "passwd",
				     "privileged",
				     "publish-all",
				     "quiet",
				     "read-only",
				     "read-only-tmpfs",
				     "replace",
				     "rm",
				     "rmi",
				     "rootfs",
				     "sig-proxy",
				     "tls-verify",
				     "tty",
				     "unsetenv-all",
				     NULL };

// Is token the long option of that name, with or without "=VALUE"?
static bool is_long(const char *token, const char *name)
{
	size_t n = strlen(name);

	return str_starts(token, "--") && strncmp(token + 2, name, n) == 0 &&
	       (token[2 + n] == '\0' || token[2 + n] == '=');
}

static bool has_no_value(const char *token)
{
	for (size_t i = 0; words[i]; i++)
		if (is_long(token, words[i]))
			return true;
	return false;
}

size_t podman_option_len(const struct strv *options, size_t i)
{
	const char *token = options->v[i];
	bool takes = false;

	if (str_starts(token, "--")) {
		takes = token[2] && !strchr(token, '=') && !has_no_value(token);
	} else if (token[0] == '-' && token[1]) {
		const char *p = token + 1 + strspn(token + 1, letters);

		// "-itv" takes the next one, "-it", "-eA=B" and "-t=true" do not.
		takes = *p && *p != '=' && !p[1];
	}
	return takes && i + 1 < options->n ? 2 : 1;
}

// "-dti" is "-d", "-tv" is "-v"; what follows a letter with a value is the value.
static char *filter_letters(const char *option)
{
	size_t n = strlen(option), flags = strspn(option + 1, letters);
	cleanup_free char *out = xmalloc(n + 1);
	const char *rest = option + 1 + flags;
	char *p = out;

	*p++ = '-';
	for (const char *s = option + 1; s < rest; s++)
		if (*s != 't' && *s != 'i')
			*p++ = *s;
	// "-t=true"
	if (*rest == '=' && strchr("ti", rest[-1]))
		rest = "";
	strcpy(p, rest);
	return out[1] ? steal_ptr(&out) : NULL;
}

char *podman_option_filter(const char *option)
{
	if (is_long(option, "tty") || is_long(option, "interactive") || is_long(option, "rm"))
		return NULL;
	if (option[0] != '-' || option[1] == '-' || !option[1])
		return xstrdup(option);
	return filter_letters(option);
}

const char *podman_option_value(const struct strv *options, size_t i, const char *name)
{
	const char *token = options->v[i];

	if (!is_long(token, name))
		return NULL;
	token += 2 + strlen(name);
	if (*token == '=')
		return token + 1;
	return podman_option_len(options, i) == 2 ? options->v[i + 1] : "";
}
