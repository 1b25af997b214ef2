// SPDX-License-Identifier: MIT
// The kernel's command line: what the definition says, and what we need of the kernel and of sci
// (doc/channel.md). https://docs.kernel.org/admin-guide/kernel-parameters.html
#include <ctype.h>
#include <sys/ioctl.h>
#include <time.h>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "firecracker.h"
#include "util.h"

#ifdef __aarch64__
#define CONSOLE "console=ttyAMA0"
#else
#define CONSOLE "console=ttyS0"
#endif

// Of QEMU's own network: https://www.qemu.org/docs/master/system/devices/net.html
#define USER_NETWORK "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3"

// COMMAND_LINE_SIZE of x86, with the final NUL: the smallest of those we boot. Firecracker adds the
// addresses of at most four devices and of the root file system itself.
enum { COMMAND_LINE_MAX = 2048, FIRECRACKER_ADDS = 4 * 40 + 32 };

static bool has(const struct strv *words, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < words->n; i++)
		if (strncmp(words->v[i], key, n) == 0 &&
		    (words->v[i][n] == '\0' || words->v[i][n] == '='))
			return true;
	return false;
}

// Adds a word "KEY=VALUE" or "KEY", unless the definition has said something of that key.
static void add_default(struct strv *words, const char *word)
{
	cleanup_free char *key = xstrndup(word, strcspn(word, "="));

	if (!has(words, key))
		strv_push(words, word);
}

// A word of the definition, where it fits the machine.
static void add_own(struct strv *words, const struct machine *machine, const struct plan *plan,
		    const char *word)
{
	bool address = str_starts(word, "ip=");

	// What was saved booted as the definition says.
	if (plan->debug && !machine->snapshot && streq(word, "quiet"))
		return;

	// QEMU's devices are found through ACPI.
	if (machine->engine == VM_QEMU && streq(word, "acpi=off"))
		return;
	if (address && !machine->network)
		return;
	if (streq(word, "ip=dhcp") && machine->engine == VM_QEMU && !machine->tap)
		word = USER_NETWORK;
	strv_push(words, word);
}

#ifdef __x86_64__
// The clock's rate in kHz, measured over 2 ms, once; 0: there is no telling.
static unsigned long clock_rate(void)
{
	static unsigned long rate;
	struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 }, from, to;
	unsigned long long ticks, nanoseconds;

	if (rate)
		return rate;
	clock_gettime(CLOCK_MONOTONIC, &from);
	ticks = __rdtsc();
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ticks = __rdtsc() - ticks;
	nanoseconds = (unsigned long long)(to.tv_sec - from.tv_sec) * 1000000000ULL +
		      (unsigned long long)to.tv_nsec - (unsigned long long)from.tv_nsec;
	if (nanoseconds)
		rate = (unsigned long)(ticks * 1000000ULL / nanoseconds + 500) / 1000 * 1000;
	return rate;
}
#endif

// Emulated, a kernel that measures its clocks finds none it trusts when the host is busy, and
// waits for ever (seen with Linux 6.1 and QEMU 7.2). The emulated clock is the host's.
static void add_clock(struct strv *words)
{
#ifdef __x86_64__
	unsigned long rate = clock_rate();

	if (rate && !has(words, "tsc_early_khz"))
		strv_pushf(words, "tsc_early_khz=%lu", rate);
	add_default(words, "tsc=reliable");
	add_default(words, "no_timer_check");
#else
	(void)words;
#endif
}

static void add_engine(struct strv *words, const struct machine *machine)
{
	static const char *const firecracker[] = { "reboot=k", "panic=1", "i8042.noaux",
						   "i8042.nomux", "i8042.dumbkbd" };

	add_default(words, CONSOLE);
	// Neither machine has that bus; and self-tests of cryptography are a fifth of a boot.
	add_default(words, "pci=off");
	add_default(words, "cryptomgr.notests");
	if (machine->engine == VM_FIRECRACKER) {
		for (size_t i = 0; i < sizeof(firecracker) / sizeof(firecracker[0]); i++)
			add_default(words, firecracker[i]);
		return;
	}
	add_default(words, "reboot=t");
	add_default(words, "panic=-1");
	if (!machine->kvm)
		add_clock(words);
}

// A host name (RFC 1123) of the flake's name.
static void add_hostname(struct strv *words, const char *flake)
{
	char name[64];
	size_t n = 0;

	for (; flake[n] && n < sizeof(name) - 1; n++)
		name[n] =
			isalnum((unsigned char)flake[n]) || (flake[n] == '.' && n) ? flake[n] : '-';
	while (n && (name[n - 1] == '-' || name[n - 1] == '.'))
		n--;
	name[n] = '\0';
	if (n && name[0] != '-' && !has(words, "hostname"))
		strv_pushf(words, "hostname=%s", name);
}

static void add_ours(struct strv *words, const struct machine *machine, const struct plan *plan)
{
	strv_pushf(words, "sci_channel=%s", machine->engine == VM_FIRECRACKER ? "vsock" : "port");
	if (machine->stays || machine->saving)
		strv_push(words, "sci_resume=1");
	add_hostname(words, plan->flake);
}

static bool is_term(const char *term)
{
	size_t n = strlen(term);

	return n > 0 && n <= 32 &&
	       strspn(term, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+") ==
		       n;
}

// A word of run="…": the older init splits as a shell does, and takes "\-" for "-".
static int add_legacy_word(struct strv *pieces, const char *word, bool target, struct error *err)
{
	bool quote = !*word || *word == '#' || strpbrk(word, " \t'\\");

	if (strpbrk(word, "\"\n"))
		return error_set(err, ERR_FLAKE,
				 "'%.40s' cannot be told to the init of this image, which is that "
				 "of older tools: no double quotes or line ends; flake-ctl "
				 "firecracker pull --replace-sci puts ours in",
				 word);
	strv_pushf(pieces, "%s%s", pieces->n ? " " : "", quote ? "'" : "");
	for (; *word; word++)
		if (*word == '\'')
			strv_push(pieces, "'\\''");
		else
			strv_pushf(pieces, "%s%c", *word == '-' && !target && !quote ? "\\" : "",
				   *word);
	if (quote)
		strv_push(pieces, "'");
	return 0;
}

// The application of the older init writes to the kernel's own console, where "quiet" leaves the
// kernel's errors; a machine without a PCI bus is one to it. A panic stays to be seen.
static void add_silence(struct strv *words)
{
	if (has(words, "quiet"))
		add_default(words, "loglevel=1");
}

// What the init of the older tools expects: upstream's pilots say it in this order.
static int add_legacy(struct strv *words, const struct plan *plan, struct error *err)
{
	cleanup_strv struct strv pieces = { 0 };
	cleanup_free char *run = NULL;
	const char *term = getenv("TERM");
	struct winsize size = { 0 };
	size_t len;

	add_silence(words);
	if (term && is_term(term))
		strv_pushf(words, "sci_term=%s", term);
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		strv_pushf(words, "sci_lines=%u", size.ws_row);
		strv_pushf(words, "sci_columns=%u", size.ws_col);
	}
	if (add_legacy_word(&pieces, plan->target, true, err) < 0)
		return -1;
	for (size_t i = 0; i < plan->args.n; i++)
		if (add_legacy_word(&pieces, plan->args.v[i], false, err) < 0)
			return -1;
	run = strv_join(&pieces, &len);
	strv_pushf(words, "run=\"%s\"", run);
	return 0;
}

static int check(const char *line, const struct machine *machine, const struct plan *plan,
		 struct error *err)
{
	size_t limit = COMMAND_LINE_MAX - 1;

	if (machine->engine == VM_FIRECRACKER)
		limit -= FIRECRACKER_ADDS;
	if (strlen(line) > limit)
		return error_set(err, ERR_LIMIT,
				 "flake '%s': the kernel's command line is %zu bytes long, %zu are "
				 "the limit",
				 plan->flake, strlen(line), limit);
	for (const char *p = line; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return error_set(err, ERR_FLAKE,
					 "flake '%s': the kernel's command line takes printable "
					 "ASCII only",
					 plan->flake);
	return 0;
}

static char *join(const struct strv *words)
{
	cleanup_strv struct strv pieces = { 0 };
	size_t len;

	for (size_t i = 0; i < words->n; i++)
		strv_pushf(&pieces, "%s%s", i ? " " : "", words->v[i]);
	return strv_join(&pieces, &len);
}

char *machine_command_line(const struct machine *machine, const struct plan *plan,
			   struct error *err)
{
	cleanup_strv struct strv words = { 0 };
	cleanup_free char *line = NULL;

	for (size_t i = 0; i < machine->boot_args.n; i++)
		add_own(&words, machine, plan, machine->boot_args.v[i]);
	add_default(&words, "init=/usr/sbin/sci");
	add_default(&words, "root=/dev/vda");
	add_default(&words, "ro");
	add_engine(&words, machine);
	if (machine->overlay)
		strv_push(&words, "overlay_root=/dev/vdb");
	if (machine->framed)
		add_ours(&words, machine, plan);
	else if (add_legacy(&words, plan, err) < 0)
		return NULL;
	line = join(&words);
	return check(line, machine, plan, err) < 0 ? NULL : steal_ptr(&line);
}
