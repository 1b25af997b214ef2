// SPDX-License-Identifier: MIT
// The smallest kernel that QEMU boots by the PVH entry of an ELF file. It says on the serial port
// whether the ACPI tables that the firmware left are whole, and where these and the initrd lie;
// then it resets the machine. Built freestanding, for 32 bits:
// gcc -m32 -ffreestanding -fno-pie -static -nostdlib -Os
// https://xenbits.xen.org/docs/unstable/misc/pvh.html
#include <stdbool.h>
#include <stdint.h>

struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, command_line, rsdp;
};

struct module {
	uint64_t address, size;
};

struct table {
	char name[4];
	uint32_t length;
};

void tables_main(const struct start_info *info);

// The note XEN_ELFNOTE_PHYS32_ENTRY, and the entry: flat 32-bit mode, start_info in ebx.
__asm__(".pushsection .note.pvh, \"a\", @note\n"
	".long 4, 4, 18, 0x006e6558, entry\n" // 0x006e6558: "Xen\0"
	".popsection\n"
	".pushsection .text\n"
	".globl entry\n"
	"entry: mov $stack + 4096, %esp\n"
	"push %ebx\n"
	"call tables_main\n"
	".popsection\n"
	".comm stack, 4096, 16\n");

static uint32_t low = UINT32_MAX, high;

static void put(char c)
{
	uint8_t status;

	do
		__asm__ volatile("inb %1, %0" : "=a"(status) : "Nd"((uint16_t)0x3fd));
	while (!(status & 0x20));
	__asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)0x3f8));
}

static void say(const char *text)
{
	while (*text)
		put(*text++);
}

static void say_hex(uint32_t n)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		put("0123456789abcdef"[n >> shift & 15]);
}

// Is it a table of that name (NULL: of any)? All bytes of one have the sum 0.
static bool is_whole(uint32_t address, const char *name)
{
	const struct table *table = (const struct table *)address;
	const uint8_t *bytes = (const uint8_t *)address;
	uint8_t sum = 0;

	if (table->length < 36 || table->length > 65536)
		return false;
	for (int i = 0; name && i < 4; i++)
		if (table->name[i] != name[i])
			return false;
	for (uint32_t i = 0; i < table->length; i++)
		sum += bytes[i];
	low = address < low ? address : low;
	high = address + table->length > high ? address + table->length : high;
	return sum == 0;
}

// The root table and all that it names; the FADT (signature FACP) names one more.
static bool are_whole(uint32_t root)
{
	const struct table *table = (const struct table *)root;
	const uint64_t *entries = (const uint64_t *)(root + 36);
	uint32_t n = (table->length - 36) / 8;

	if (!is_whole(root, "XSDT"))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t one = (uint32_t)entries[i];

		if (!is_whole(one, (void *)0))
			return false;
		if (*(const char *)one == 'F' &&
		    !is_whole((uint32_t) * (const uint64_t *)(one + 140), "DSDT"))
			return false;
	}
	return n > 0;
}

static void reset(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0; int3" : : "m"(none));
}

void tables_main(const struct start_info *info)
{
	const struct module *initrd = (const struct module *)(uint32_t)info->module_list;
	bool whole = are_whole((uint32_t) * (const uint64_t *)((uint32_t)info->rsdp + 24));

	say("\nACPI tables ");
	say(whole ? "whole " : "damaged ");
	say_hex(low);
	say("-");
	say_hex(high);
	say(" initrd ");
	say_hex(info->modules ? (uint32_t)initrd->address : 0);
	say("-");
	say_hex(info->modules ? (uint32_t)(initrd->address + initrd->size) : 0);
	say("\n");
	reset();
}
