# SPDX-License-Identifier: MIT
# flake-pilot. `make help` lists the targets.
VERSION := 0.1.0
PREFIX ?= /usr
BINDIR = $(PREFIX)/bin
LIBDIR = $(PREFIX)/lib/flake-pilot
SHAREDIR = $(PREFIX)/share/flake-pilot
FLAKESDIR = $(PREFIX)/share/flakes
MANDIR = $(PREFIX)/share/man

SAN ?=
COV ?=
B := build$(if $(SAN),-san)$(if $(COV),-cov)
CC ?= gcc
PKG_CONFIG ?= pkg-config
INSTALL ?= install
Q := $(if $(V),,@)

.DEFAULT_GOAL := build
# Without the development packages pkg-config has no answer; deps must run all the same.
pkg = $(shell $(PKG_CONFIG) $(1) $(2) 2>/dev/null)

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
	-Wswitch-enum
CFLAGS ?= -g
# An option, where the compiler has it for its machine: clang 14 lacks this one on ARM.
known = $(shell $(CC) $(filter -m% --target=%,$(CFLAGS)) -Werror $(1) -fsyntax-only -x c /dev/null \
	2>/dev/null && echo $(1))
# Ubuntu's gcc has a level by itself. The user's own stands, and with -O0 glibc warns of any.
FORTIFY := -U_FORTIFY_SOURCE $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))$(filter -O0,$(CFLAGS)),,\
	-D_FORTIFY_SOURCE=2)
HARDEN := -O2 $(FORTIFY) -fstack-protector-strong $(call known,-fstack-clash-protection)
SANFLAGS := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
COVFLAGS := -O0 --coverage
comma := ,
# What sanitizers and counters call is no business of a pilot.
OPT := $(if $(SAN),$(SANFLAGS) -DFLAKE_UNCONFINED,$(if $(COV),$(COVFLAGS) -DFLAKE_UNCONFINED,$(HARDEN)))
# What the user says comes last, so that it wins.
C11 = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(WARN) $(1) $(CPPFLAGS) $(CFLAGS)
ALL_CFLAGS = $(call C11,$(OPT)) -fPIC -fvisibility=hidden -MMD -MP -iquote src \
	-DLUA_SYSTEM_CPATH='"$(LUA_CMOD)"' -DFLAKE_VERSION='"$(VERSION)"' -DFLAKES_DIR='"$(FLAKESDIR)"'
COVLDFLAGS := --coverage $(patsubst %,-Wl$(comma)--wrap=%,execv execve execvp execvpe _exit)
# Where the linker compiles (LTO), it does so by these flags, and by none of the objects' own.
ALL_LDFLAGS = $(CFLAGS) $(LDFLAGS) $(if $(SAN),$(SANFLAGS),$(if $(COV),$(COVLDFLAGS),-Wl,-z,relro,-z,now))

# The name that pkg-config knows Lua 5.4 by: lua5.4 in Debian, lua in Fedora.
LUA_PC := $(or $(LUA_PC),$(shell for name in lua5.4 lua-5.4 lua54 lua; do \
	$(PKG_CONFIG) --exists "$$name >= 5.4 $$name < 5.5" 2>/dev/null && echo $$name && break; done),lua5.4)
LUA_CFLAGS = $(call pkg,--cflags,$(LUA_PC))
LUA_CDIR := $(or $(call pkg,--variable=INSTALL_CMOD,$(LUA_PC)),\
	$(call pkg,--variable=libdir,$(LUA_PC))/lua/5.4)
LUA_CMOD = $(LUA_CDIR)/?.so;/usr/lib/lua/5.4/?.so
LUA_LIBS = $(call pkg,--libs,$(LUA_PC))
YAML_LIBS = $(call pkg,--libs,yaml-0.1)
CURL_LIBS = $(call pkg,--libs,libcurl)
ARCHIVE_LIBS = $(call pkg,--libs,libarchive)
CRYPTO_LIBS = $(call pkg,--libs,libcrypto)

BASE := error util strv
DOC := doc doc_emit doc_json utf8 printable
FLAKE := $(DOC) flake flake_schema flake_vm size paths state instance composed
PLAN := plan hooks bytes relay share engines channel terminal confine
PROCESS := $(patsubst src/%.c,%,$(wildcard src/process*.c))
FS := $(patsubst src/%.c,%,$(wildcard src/fs*.c src/tree*.c))
HTTP := http http_download http_address
ARCHIVE := $(patsubst src/%.c,%,$(wildcard src/archive*.c))
BIND_PROCESS := $(patsubst src/%.c,%,$(wildcard src/bind_proc*.c))
BIND_YAML := bind_yaml bind_yaml_dump
BIND_PILOT := bind_pilot bind_plan bind_options bind_state bind_vm
BIND_FS := $(patsubst src/%.c,%,$(wildcard src/bind_fs*.c)) bind_tree
PILOTS := podman firecracker
# An engine may have more files than the one of its name.
ENGINES := $(filter-out %_main,$(patsubst pilots/%.c,%,$(wildcard $(PILOTS:%=pilots/%*.c))))
MODULES := process fs yaml pilot http archive digest

objs = $(patsubst %,$(B)/src/%.o,$(1))
pobjs = $(patsubst %,$(B)/pilots/%.o,$(1))

HOST_OBJS := $(call objs,$(BASE) $(FLAKE) $(PROCESS) $(FS) lua_util $(BIND_YAML) $(BIND_PILOT) \
	$(BIND_PROCESS) $(BIND_FS)) $(call pobjs,$(PLAN) $(ENGINES))
PILOT_OBJS := $(call pobjs,$(PLAN)) $(call objs,$(BASE) $(FLAKE) $(PROCESS) $(FS))
PROGRAMS := $(B)/flake-ctl $(B)/flake-launch $(B)/flake-relay $(B)/flake-init $(B)/sci $(PILOTS:%=$(B)/%-pilot)
SO := $(MODULES:%=$(B)/flake/%.so)
FLUSH := $(if $(COV),$(B)/coverage_flush.o)
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
MAN := $(wildcard doc/man/*.[1-8])

# Changes when the flags do: nothing of a build for another PREFIX may be left.
FLAGS = $(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) $(ALL_LDFLAGS)
$(B)/flags: always
	$(shell mkdir -p $(@D))$(file >$@.new,$(FLAGS))
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

.SECONDARY:
.PHONY: always build all help deps demo check test unit spec e2e lint check-compilers check-distros bench \
	fuzz coverage completions install install-rock dist deb rpm clean units

# What root makes of a tree that a user owns (sudo make install) is made as that user.
AS_OWNER := tests/as-owner
ifeq ($(shell id -u)$(filter 0,$(shell stat -c %u .)),0)
build all units completions:
	+@$(AS_OWNER) $(MAKE) $@
else
build all: $(PROGRAMS) $(SO)
units: $(UNITS)
completions: $(B)/completions/done
endif

help:
	@echo "make | install [PREFIX= DESTDIR=] | deps | demo | check | test | lint | bench | fuzz |"
	@echo "check-compilers | check-distros [DISTROS= WHAT=demo|check] | coverage | dist | deb | rpm | clean"
	@echo "SAN=1: with ASan and UBSan;  V=1: show the commands"

$(B)/src/%.o: src/%.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -c -o $@ $<

$(B)/pilots/%.o: pilots/%.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/src/launch.o: src/host.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC   $< (launch)"
	$(Q)$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -DHOST_CHUNK='"flake.launch"' -c -o $@ $<

$(B)/pilots/%-main.o: pilots/main.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC   $< ($*)"
	$(Q)$(CC) $(ALL_CFLAGS) -DPILOT_ENGINE=engine_$* -c -o $@ $<

$(B)/coverage_flush.o: tests/coverage_flush.c $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(C11) -fPIC -c -o $@ $<

$(filter-out $(B)/flake-init $(B)/sci,$(PROGRAMS)) $(SO): $(FLUSH)

link = @echo "  LD   $@"; mkdir -p $(@D)

$(B)/flake-ctl: $(B)/src/host.o $(HOST_OBJS)
	$(link)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -Wl,-E $(LUA_LIBS) $(YAML_LIBS)

$(B)/flake-launch: $(B)/src/launch.o $(HOST_OBJS)
	$(link)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -Wl,-E $(LUA_LIBS) $(YAML_LIBS)

$(B)/flake-relay: $(B)/pilots/relay_main.o $(PILOT_OBJS) $(call pobjs,$(ENGINES))
	$(link)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(YAML_LIBS)

STATIC = $(filter-out -pie -static-pie,$(LDFLAGS)) -static -s
# Runs inside containers of any kind: static, and without sanitizers.
$(B)/flake-init: pilots/init.c pilots/bytes.c pilots/bytes.h src/utf8.c src/utf8.h $(B)/flags
	$(link)
	$(Q)$(CC) $(call C11,$(HARDEN)) $(STATIC) -o $@ \
		-iquote src pilots/init.c pilots/bytes.c src/utf8.c

# Runs as process 1 of a VM: the same. With SAN=1 the sanitizers are in, for sci --serve.
SCI_SRC := $(wildcard pilots/sci/*.c) pilots/channel.c $(patsubst %,src/%.c,$(BASE))
$(B)/sci: $(SCI_SRC) $(wildcard pilots/sci/*.h) pilots/channel.h $(B)/flags
	$(link)
	$(Q)$(CC) $(call C11,$(if $(SAN),$(SANFLAGS),$(HARDEN))) $(if $(SAN),$(LDFLAGS),$(STATIC)) \
		-o $@ -iquote src -iquote pilots $(SCI_SRC)

$(B)/%-pilot: $(B)/pilots/%-main.o $(PILOT_OBJS) $(call pobjs,$(ENGINES))
	$(link)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(YAML_LIBS)

$(B)/flake/process.so: $(call objs,$(BASE) lua_util $(PROCESS) $(BIND_PROCESS))
$(B)/flake/fs.so: $(call objs,$(BASE) lua_util $(FS) $(BIND_FS))
$(B)/flake/yaml.so: $(call objs,$(BASE) lua_util $(DOC) $(BIND_YAML))
$(B)/flake/yaml.so: SO_LIBS = $(YAML_LIBS)
$(B)/flake/pilot.so: $(call objs,$(BASE) lua_util $(FLAKE) $(PROCESS) $(FS) $(BIND_YAML) $(BIND_PILOT)) \
	$(call pobjs,$(PLAN) $(ENGINES))
$(B)/flake/pilot.so: SO_LIBS = $(YAML_LIBS)
$(B)/flake/http.so: $(call objs,$(BASE) lua_util $(HTTP) bind_http)
$(B)/flake/http.so: SO_LIBS = $(CURL_LIBS) $(CRYPTO_LIBS)
$(B)/flake/archive.so: $(call objs,$(BASE) lua_util $(FS) $(ARCHIVE) bind_archive)
$(B)/flake/archive.so: SO_LIBS = $(ARCHIVE_LIBS)
$(B)/flake/digest.so: $(call objs,$(BASE) lua_util digest bind_digest)
$(B)/flake/digest.so: SO_LIBS = $(CRYPTO_LIBS)
$(SO):
	$(link)
	$(Q)$(CC) -shared $(ALL_LDFLAGS) -o $@ $^ $(SO_LIBS)

# --- tests ---------------------------------------------------------------------------------------

UNIT_OBJS := $(call objs,$(BASE) $(FLAKE) $(PROCESS) $(FS) $(ARCHIVE)) $(call pobjs,$(PLAN) $(ENGINES)) \
	$(FLUSH)
$(patsubst %,$(B)/unit/test_%,sci sci_rules stay switch): $(B)/sci
# Parts of the guest's init that a test takes by themselves.
SCI_PARTS := $(call pobjs,$(patsubst %,sci/%,session session_io link params clock))
$(SCI_PARTS): ALL_CFLAGS += -iquote pilots
$(B)/unit/test_sci_seed: $(SCI_PARTS)
$(B)/unit/test_sci_seed: UNIT_PARTS = $(SCI_PARTS)
$(B)/unit/%: tests/unit/%.c $(UNIT_OBJS)
	$(link)
	$(Q)$(CC) $(ALL_CFLAGS) -MF $@.d -iquote pilots $(ALL_LDFLAGS) -o $@ $< $(UNIT_PARTS) $(UNIT_OBJS) -lcmocka \
		$(YAML_LIBS) $(ARCHIVE_LIBS)

deps:
	tests/deps check

unit: units
	$(AS_OWNER) tests/run unit $(B)

spec: build
	$(AS_OWNER) tests/run spec $(B)

e2e: build completions
	tests/run e2e $(B)

# The fast half: no root, no podman.
test: unit spec

check: deps
	tests/check

demo:
	tests/deps demo
	$(MAKE) build completions
	tests/demo

# The README's two commands on bare roots of these releases; sid's failures are warnings.
DISTROS ?= bookworm trixie noble resolute sid
check-distros:
	tests/distros $(DISTROS)

lint:
	$(AS_OWNER) tests/lint

# With every compiler here, for other machines and libraries; `make check` builds with clang only.
check-compilers:
	$(AS_OWNER) tests/compilers

bench: build completions
	tests/bench/run

fuzz:
	$(AS_OWNER) tests/fuzz/run 60

coverage:
	$(AS_OWNER) tests/coverage

# Shells load them by the names of the commands.
$(B)/completions/done: $(B)/flake-ctl $(SO) packaging/completions $(shell find lua runtimes builders -name '*.lua' 2>/dev/null)
	@echo "  GEN  $(@D)"
	$(Q)packaging/completions $(B) $(@D)/share
	$(Q)touch $@

# --- installation --------------------------------------------------------------------------------

install: build completions
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(LIBDIR)/flake" "$(DESTDIR)$(SHAREDIR)" \
		"$(DESTDIR)$(FLAKESDIR)" "$(DESTDIR)$(MANDIR)/man5" "$(DESTDIR)$(MANDIR)/man8"
	$(INSTALL) -m 755 $(B)/flake-ctl $(PILOTS:%=$(B)/%-pilot) "$(DESTDIR)$(BINDIR)"
	for l in podman firecracker build build-dpkg build-rpmbuild; do \
		ln -sf flake-ctl "$(DESTDIR)$(BINDIR)/flake-ctl-$$l"; done
	ln -sf flake-ctl "$(DESTDIR)$(BINDIR)/flake-studio"
	$(INSTALL) -m 755 $(B)/flake-launch $(B)/flake-relay $(B)/flake-init $(B)/sci "$(DESTDIR)$(LIBDIR)"
	$(INSTALL) -m 644 $(SO) "$(DESTDIR)$(LIBDIR)/flake"
	for d in $$(find lua runtimes builders -type d); do \
		$(INSTALL) -d "$(DESTDIR)$(SHAREDIR)/$$d"; \
		for f in $$d/*; do [ ! -f $$f ] || $(INSTALL) -m 644 $$f "$(DESTDIR)$(SHAREDIR)/$$d"; done; \
	done
	ln -sf ../../bin/firecracker-pilot "$(DESTDIR)$(LIBDIR)/flake-relay-firecracker"
	for m in $(MAN); do $(INSTALL) -m 644 $$m "$(DESTDIR)$(MANDIR)/man$${m##*.}"; done
	cp -R $(B)/completions/share/. "$(DESTDIR)$(PREFIX)/share"

# For luarocks: modules only, to the places that the rock names.
install-rock: build
	$(INSTALL) -d "$(ROCK_LIBDIR)/flake"
	$(INSTALL) -m 755 $(SO) "$(ROCK_LIBDIR)/flake"
	for d in $$(cd lua && find flake -type d); do \
		$(INSTALL) -d "$(ROCK_LUADIR)/$$d"; \
		$(INSTALL) -m 644 lua/$$d/*.lua "$(ROCK_LUADIR)/$$d"; \
	done

# Of a repository what is committed, of an unpacked distribution all that was in it.
DIST := flake-pilot-$(VERSION)
dist:
	@mkdir -p build
	if [ -e .git ]; then git archive --prefix=$(DIST)/ -o build/$(DIST).tar.gz HEAD; else \
		tar -czf build/$(DIST).tar.gz --sort=name --owner=0 --group=0 --numeric-owner \
			--exclude=./build --exclude='./build-*' --exclude=./out --exclude='./$(DIST).tar.gz' --exclude='./*.rock' \
			--transform='s,^\.,$(DIST),' .; fi
	mv build/$(DIST).tar.gz .

# Our own packages: packaging/README.md.
OUT ?= out
deb rpm:
	$(Q)$(AS_OWNER) packaging/build-$@ $(OUT) $(VERSION)

clean:
	rm -rf build build-san build-cov out flake-pilot-*.tar.gz *.rock

-include $(wildcard $(B)/src/*.d $(B)/pilots/*.d $(B)/pilots/sci/*.d $(B)/unit/*.d)
