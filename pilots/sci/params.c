// SPDX-License-Identifier: MIT
#include "params.h"

#include <ctype.h>
#include <fcntl.h>

#include "util.h"

// Takes the quotes off NAME="VALUE" and "NAME=VALUE", as the kernel's next_arg() does.
static void unquote(char *word)
{
	char *value = strchr(word, '=');
	size_t n = strlen(word);

	value = value ? value + 1 : word;
	if (*word == '"')
		value = word;
	if (*value != '"')
		return;
	if (n > 1 && word + n - 1 > value && word[n - 1] == '"')
		word[n - 1] = '\0';
	memmove(value, value + 1, strlen(value));
}

void params_parse(struct params *params, const char *text)
{
	while (*text) {
		bool quoted = false;
		size_t n = 0;

		while (isspace((unsigned char)*text))
			text++;
		for (; text[n] && (quoted || !isspace((unsigned char)text[n])); n++)
			quoted ^= text[n] == '"';
		if (n) {
			char *word = xstrndup(text, n);

			unquote(word);
			strv_take(&params->words, word);
		}
		text += n;
	}
}

void params_read(struct params *params)
{
	cleanup_fd int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	char text[8192];
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	params_parse(params, text);
}

const char *params_get(const struct params *params, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = params->words.n; i-- > 0;)
		if (str_starts(params->words.v[i], name) && params->words.v[i][n] == '=')
			return params->words.v[i] + n + 1;
	return NULL;
}

bool params_true(const struct params *params, const char *name)
{
	const char *value = params_get(params, name);

	return value && streq(value, "1");
}

// Copies one word's characters from *text to word; returns -1 when a quote stays open.
static int take_word(const char **text, char *word)
{
	const char *s = *text;
	char quote = '\0';

	for (; *s && (quote || !isspace((unsigned char)*s)); s++) {
		if (quote ? *s == quote : *s == '\'' || *s == '"')
			quote = quote ? '\0' : *s;
		else if (*s == '\\' && s[1] && (!quote || (quote == '"' && strchr("\"\\$`", s[1]))))
			*word++ = *++s;
		else
			*word++ = *s;
	}
	*word = '\0';
	*text = s;
	return quote ? -1 : 0;
}

int words_split(struct strv *out, const char *text)
{
	for (;;) {
		cleanup_free char *word = NULL;

		while (isspace((unsigned char)*text))
			text++;
		if (!*text)
			return 0;
		word = xmalloc(strlen(text) + 1);
		if (take_word(&text, word) < 0)
			return -1;
		strv_push(out, word);
	}
}
