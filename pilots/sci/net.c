// SPDX-License-Identifier: MIT
// Loopback, host name, address and name servers, by the command line.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sci.h"
#include "util.h"

enum { DEVICE_WAIT = 2000, IP_FIELDS = 10 };

// ip=ADDRESS:SERVER:GATEWAY:NETMASK:HOST:DEVICE:AUTOCONF:DNS:DNS:NTP
enum { ADDRESS, SERVER, GATEWAY, NETMASK, HOST, DEVICE, AUTOCONF, DNS, DNS2 };

static int set_flags(int fd, const char *device)
{
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

static int set_address(int fd, const char *device, unsigned long what, const char *text)
{
	struct ifreq request = { 0 };
	struct sockaddr_in address = { .sin_family = AF_INET };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	memcpy(&request.ifr_addr, &address, sizeof(address));
	return ioctl(fd, what, &request);
}

static int set_gateway(int fd, const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	if (inet_pton(AF_INET, text, &address.sin_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	memcpy(&route.rt_gateway, &address, sizeof(address));
	address.sin_addr.s_addr = 0;
	memcpy(&route.rt_dst, &address, sizeof(address));
	memcpy(&route.rt_genmask, &address, sizeof(address));
	return ioctl(fd, SIOCADDRT, &route);
}

static bool has_device(const void *name)
{
	return if_nametoindex(name) != 0;
}

// Cuts ip= up; what is missing is empty.
static void cut(char *text, char *fields[IP_FIELDS])
{
	static char empty[1];

	for (int i = 0; i < IP_FIELDS; i++) {
		char *field = text ? strsep(&text, ":") : empty;

		fields[i] = field;
	}
}

static void set_static(int fd, char *fields[IP_FIELDS])
{
	const char *device = *fields[DEVICE] ? fields[DEVICE] : "eth0";
	const char *mask = *fields[NETMASK] ? fields[NETMASK] : "255.255.255.0";

	if (!wait_for_device(has_device, device, DEVICE_WAIT))
		say("there is no network device %s", device);
	else if (set_address(fd, device, SIOCSIFADDR, fields[ADDRESS]) < 0 ||
		 set_address(fd, device, SIOCSIFNETMASK, mask) < 0 || set_flags(fd, device) < 0)
		say("cannot set the address of %s: %s", device, strerror(errno));
	else if (*fields[GATEWAY] && set_gateway(fd, fields[GATEWAY]) < 0)
		say("cannot set the gateway %s: %s", fields[GATEWAY], strerror(errno));
}

// Starts the first DHCP client of the image that there is, in the background.
static void start_dhcp(int fd)
{
	static char *const clients[][6] = {
		{ "/sbin/udhcpc", "-i", "eth0", "-b", "-S", NULL },
		{ "/usr/sbin/dhclient", "-nw", "eth0", NULL },
		{ "/sbin/dhclient", "-nw", "eth0", NULL },
		{ "/usr/sbin/dhcpcd", "-b", "eth0", NULL },
		{ "/sbin/dhcpcd", "-b", "eth0", NULL },
	};
	size_t i = 0, n = sizeof(clients) / sizeof(clients[0]);

	if (!has_device("eth0"))
		return;
	if (set_flags(fd, "eth0") < 0)
		say("cannot start eth0: %s", strerror(errno));
	while (i < n && access(clients[i][0], X_OK) < 0)
		i++;
	if (i == n || fork() != 0)
		return;
	setsid();
	child_reset_signals();
	fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		child_take_stdio(fd);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	execv(clients[i][0], clients[i]);
	_exit(127);
}

static void add_server(struct strv *lines, const char *address)
{
	uint8_t binary[16];

	// ip= of a kernel's may end in 0.0.0.0, which is none.
	if ((inet_pton(AF_INET, address, binary) == 1 && !streq(address, "0.0.0.0")) ||
	    inet_pton(AF_INET6, address, binary) == 1)
		strv_pushf(lines, "nameserver %s\n", address);
}

// Replaces whatever is there: in images that is often a link to a place that does not exist here.
static void write_servers(const struct strv *lines)
{
	static const char temporary[] = "/etc/.resolv.conf.sci";
	cleanup_fd int fd = -1;

	if (!lines->n)
		return;
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	for (size_t i = 0; fd >= 0 && i < lines->n; i++)
		if (write_fd_all(fd, lines->v[i], strlen(lines->v[i])) < 0)
			return;
	if (fd < 0 || rename(temporary, "/etc/resolv.conf") < 0)
		say("cannot write /etc/resolv.conf: %s", strerror(errno));
}

static void set_host_name(const char *name)
{
	cleanup_fd int fd = name ? -1 : open("/etc/hostname", O_RDONLY | O_CLOEXEC);
	char text[65] = "";

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0) {
		text[strcspn(text, " \t\r\n")] = '\0';
		name = text;
	}
	if (name && *name && sethostname(name, strlen(name)) < 0)
		say("cannot set the host name %s: %s", name, strerror(errno));
}

void net_set_up(const struct params *params)
{
	const char *ip = params_get(params, "ip");
	cleanup_free char *copy = xstrdup(ip ? ip : "");
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cleanup_strv struct strv servers = { 0 };
	const char *name = params_get(params, "hostname");
	char *fields[IP_FIELDS];

	cut(copy, fields);
	if (fd >= 0)
		(void)set_flags(fd, "lo");
	set_host_name(name || !*fields[HOST] ? name : fields[HOST]);
	for (size_t i = 0; i < params->words.n; i++)
		if (str_starts(params->words.v[i], "nameserver="))
			add_server(&servers, params->words.v[i] + strlen("nameserver="));
	add_server(&servers, fields[DNS]);
	add_server(&servers, fields[DNS2]);
	write_servers(&servers);
	if (fd >= 0 && (streq(fields[ADDRESS], "dhcp") || streq(fields[AUTOCONF], "dhcp")))
		start_dhcp(fd);
	else if (fd >= 0 && strchr(fields[ADDRESS], '.'))
		set_static(fd, fields);
}
