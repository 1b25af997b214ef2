// SPDX-License-Identifier: MIT
#include "podman_options.h"

#include "util.h"

// Options without a value (podman-run(1), and those of podman itself, which it takes behind "run"
// as well). All others take the next token for theirs.
static const char letters[] = "diPqrt";
static const char *const words[] = { "detach",	    "disable-content-trust",
				     "env-host",    "help",
				     "http-proxy",  "init",
				     "interactive", "no-healthcheck",
				     "no-hosts",    "no-hostname",
				     "noout",	    "oom-kill-disable",
				     "passwd",	    "privileged",
				     "publish-all", "quiet",
				     "read-only",   "read-only-tmpfs",
				     "remote",	    "replace",
				     "rm",	    "rmi",
				     "rootfs",	    "sig-proxy",
				     "syslog",	    "tls-verify",
				     "trace",	    "transient-store",
				     "tty",	    "unsetenv-all",
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

static const struct letter {
	char letter;
	const char *name;
} long_names[] = { { 'a', "attach" },	   { 'c', "cpu-shares" }, { 'd', "detach" },
		   { 'e', "env" },	   { 'h', "hostname" },	  { 'i', "interactive" },
		   { 'l', "label" },	   { 'm', "memory" },	  { 'p', "publish" },
		   { 'P', "publish-all" }, { 'q', "quiet" },	  { 'r', "remote" },
		   { 't', "tty" },	   { 'u', "user" },	  { 'v', "volume" },
		   { 'w', "workdir" },	   { '\0', NULL } };

// Names that podman takes for others (utils.AliasFlags).
static const char *const aliases[][2] = { { "net", "network" },
					  { "dns-opt", "dns-option" },
					  { "healthcheck-command", "health-cmd" },
					  { "healthcheck-interval", "health-interval" },
					  { "healthcheck-retries", "health-retries" },
					  { "healthcheck-start-period", "health-start-period" },
					  { "healthcheck-timeout", "health-timeout" },
					  { NULL, NULL } };

static struct podman_option named(const char *name, size_t len, size_t at)
{
	for (size_t i = 0; aliases[i][0]; i++)
		if (strlen(aliases[i][0]) == len && strncmp(name, aliases[i][0], len) == 0)
			return named(aliases[i][1], strlen(aliases[i][1]), at);
	return (struct podman_option){ .name = name, .len = len, .at = at };
}

static struct podman_option named_by_letter(const char *letter, size_t at)
{
	for (const struct letter *l = long_names; l->name; l++)
		if (l->letter == *letter)
			return named(l->name, strlen(l->name), at);
	return named(letter, 1, at);
}

struct visitor {
	void (*visit)(void *arg, const struct podman_option *option);
	void *arg;
};

static void visit_long(const struct strv *tokens, size_t i, const struct visitor *to)
{
	const char *name = tokens->v[i] + 2, *equals = strchr(name, '=');
	struct podman_option option = named(name, strcspn(name, "="), i);

	if (equals)
		option.value = equals + 1;
	else if (podman_option_len(tokens, i) == 2)
		option.value = tokens->v[i + 1];
	to->visit(to->arg, &option);
}

// "-v=X", "-vX" and "-v X" are the same.
static const char *value_of_letter(const struct strv *tokens, size_t i, const char *letter)
{
	if (letter[1] == '=' && letter[2])
		return letter + 2;
	if (strchr(letters, *letter))
		return NULL;
	if (letter[1])
		return letter + 1;
	return podman_option_len(tokens, i) == 2 ? tokens->v[i + 1] : NULL;
}

static void visit_letters(const struct strv *tokens, size_t i, const struct visitor *to)
{
	struct podman_option option = { 0 };

	for (const char *p = tokens->v[i] + 1; *p && !option.value; p++) {
		option = named_by_letter(p, i);
		option.value = value_of_letter(tokens, i, p);
		to->visit(to->arg, &option);
	}
}

void podman_options_each(const struct strv *tokens,
			 void (*visit)(void *arg, const struct podman_option *option), void *arg)
{
	const struct visitor to = { visit, arg };
	bool ended = false;

	for (size_t i = 0; i < tokens->n; i += ended ? 1 : podman_option_len(tokens, i)) {
		const char *token = tokens->v[i];

		ended |= token[0] != '-' || !token[1] || streq(token, "--");
		if (ended)
			visit(arg, &(struct podman_option){ .at = i });
		else if (token[1] == '-')
			visit_long(tokens, i, &to);
		else
			visit_letters(tokens, i, &to);
	}
}
