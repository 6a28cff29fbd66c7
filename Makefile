# Newt: `make demo` and `make test` do everything, missing packages included; `make`,
# `make install` and `make installcheck` are as usual for PostgreSQL extensions (PGXS).
#
#   make CC=clang            another compiler
#   make PG_CONFIG=...       another PostgreSQL (15 to 18)
#   make demo SQLITE=1       in an SQLite file, without a server
#   make SANITIZE=1 ...      AddressSanitizer and UBSan, in build-asan/
#   make SANITIZE=thread ... ThreadSanitizer, in build-tsan/
#   make test-versions       on every PostgreSQL that can be had
#   make tests-codec         one kind of test programs; see tests/README.md
#
# Every room's sources are found by wildcard: a new .c file needs no line here.

# Targets that need more than a compiler get it first, and then make again: only then are there
# a pg_config to ask and PostgreSQL's rules to include.
PACKAGED := demo test check tap bench bench-check bench-scale soak fuzz lint test-versions

ifneq ($(filter $(PACKAGED),$(MAKECMDGOALS)),)

.PHONY: $(MAKECMDGOALS)
.NOTPARALLEL:
$(filter-out $(PACKAGED),$(MAKECMDGOALS)):
	@$(MAKE) --no-print-directory $@
demo:
	@dev/packages demo
	@echo 'building ...' && $(MAKE) -s --no-print-directory -j2 built-demo
	@$(MAKE) -s --no-print-directory run-$@
$(filter-out demo,$(PACKAGED)):
	@dev/packages test
	@$(MAKE) -s --no-print-directory run-$@

else

# Everything called from here means the same PostgreSQL.
ifndef PG_CONFIG
PG_CONFIG := $(shell dev/pg-config)
endif
export PG_CONFIG
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error $(or $(PG_CONFIG),dev/pg-config) finds no PostgreSQL to build against; `dev/packages demo` installs one)
endif

NEWT_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" newt.control)
SOVERSION := 0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
# The server has no threads: with SANITIZE=thread the extension is the ordinary one.
ASAN := $(filter-out thread,$(SANITIZE))
B := $(if $(SANITIZE),$(if $(ASAN),build-asan,build-tsan),build)
E := $(if $(filter thread,$(SANITIZE)),build,$(B))
, := ,
SANITIZERS := $(if $(SANITIZE),-fno-omit-frame-pointer \
	$(if $(ASAN),-fsanitize=address$(,)undefined -fno-sanitize-recover=all,-fsanitize=thread))

# ---- the extension ------------------------------------------------------------------------
# Its objects are PostgreSQL's: the server's flags and headers, apart from the library's. The
# sanitized one is not for installing, so PGXS does not hear of it.

EXTENSION = newt
EXTENSION_OBJ := $(patsubst %.c,$(E)/ext/%.o,$(if $(wildcard extension/*.c),$(wildcard extension/*.c codec/*.c)))
ifeq ($(ASAN)$(if $(EXTENSION_OBJ),,none),)
MODULE_big = newt
OBJS = $(EXTENSION_OBJ)
endif
SCRIPT := $(E)/sql/newt--$(NEWT_VERSION).sql
# in this order: what a file calls is in one before it
SCRIPT_PARTS := $(patsubst %,sql/newt/%.sql,begin records commit write values extract btrees stores projection \
	layout tables table_upkeep views indexes search schema access derived_layout derived derived_principals derived_upkeep policies advice retention health roles)
DATA = $(wildcard sql/newt--*.sql) sql/newt-from-portable.sql
# and the edition of it that needs no C, which is a script of its own, with the one that leaves it
PORTABLE := $(E)/sql/newt-portable.sql
DATA_built = $(if $(wildcard sql/newt/*.sql),$(SCRIPT) $(PORTABLE))
override with_llvm = no
EXTRA_CLEAN = build build-asan build-tsan build-clang
WERROR ?= -Werror
PG_CFLAGS = -Wextra $(WERROR) -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-declaration-after-statement $(if $(ASAN),-fPIC $(SANITIZERS))
ifneq ($(findstring clang,$(shell $(CC) --version)),)
# flags of the compiler that PostgreSQL was built with
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes
endif

.DEFAULT_GOAL := all
include $(PGXS)

.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: extension objects codec lib updater examples bench-programs tests FORCE

extension: $(if $(EXTENSION_OBJ),$(if $(ASAN),$(E)/newt.so,$(shlib))) $(DATA_built)
objects: $(EXTENSION_OBJ)
$(E)/newt.so: $(EXTENSION_OBJ)
	$(CC) $(CFLAGS) -shared $^ $(LDFLAGS) -o $@
$(E)/ext/%.o: %.c $(E)/ext/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@
# the codec's functions are called within newt.so alone
$(E)/ext/codec/%.o: override CFLAGS += -fvisibility=hidden

$(SCRIPT): Makefile $(SCRIPT_PARTS) $(wildcard sql/store.sql)
	@mkdir -p $(@D)
	awk 'FNR == 1 && NR > 1 { print "" } 1' $(SCRIPT_PARTS) | \
	    sed -e '/^@STORE_SQL@$$/{r sql/store.sql' -e 'd;}' >$@

$(PORTABLE): Makefile dev/portable-sql $(SCRIPT_PARTS) $(wildcard sql/store.sql sql/portable/*.sql sql/portable/*/*.sql)
	@mkdir -p $(@D)
	dev/portable-sql $(NEWT_VERSION) sql/store.sql $(SCRIPT_PARTS) >$@

# ---- the library --------------------------------------------------------------------------

# $(includedir) and $(libdir) are PostgreSQL's here
OUR_CPPFLAGS = -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L $(INCLUDES)
OUR_CFLAGS = -std=c11 -O2 -g -fPIC -fvisibility=hidden -fno-strict-aliasing \
	-Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wvla -Wundef -Wimplicit-fallthrough -Wformat-security $(SANITIZERS) $(COPT)
OUR_LIBS = -L$(libdir) -lpq $(JANSSON_LIBS) -lsqlite3 -lm -lpthread
JANSSON_CFLAGS := $(shell pkg-config --cflags jansson 2>/dev/null)
JANSSON_LIBS := $(shell pkg-config --libs jansson 2>/dev/null || echo -ljansson)
LINK = $(CC) $(SANITIZERS) $(COPT) -Wl,--as-needed

# the public ones
HEADERS := $(wildcard bridge/newtdb*.h)
CODEC_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard codec/*.c))
BRIDGE_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard bridge/*.c bridge/*/*.c))
UPDATER_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard updater/*.c))
NEWTDB_PC := $(if $(wildcard bridge/newtdb.pc.in),$(B)/newtdb.pc)

all: lib updater examples bench-programs
codec: $(B)/libcodec.a
lib: $(if $(BRIDGE_OBJ),$(B)/libnewtdb.a $(B)/libnewtdb.so $(NEWTDB_PC))
updater: $(if $(UPDATER_OBJ),$(B)/newt-updater)

# Inside the library rooms may see each other; everything outside has the public header alone.
$(B)/obj/%.o: INCLUDES = -I$(B)/include $(JANSSON_CFLAGS)
$(B)/obj/codec/%.o $(B)/obj/bridge/%.o $(B)/obj/tests/%.o: \
	INCLUDES = -I. -I$(B) -I$(B)/include -I$(includedir) $(JANSSON_CFLAGS)
$(B)/obj/%.o: %.c $(B)/flags | $(HEADERS:bridge/%=$(B)/include/%) $(B)/store_sql.h $(B)/store_sqlite_sql.h
	@mkdir -p $(@D)
	$(CC) $(OUR_CFLAGS) $(OUR_CPPFLAGS) -MMD -MP -c $< -o $@

$(B)/include/%.h: bridge/%.h
	@mkdir -p $(@D)
	cp $< $@
$(B)/%_sql.h: sql/%.sql
	@mkdir -p $(@D)
	@{ echo '/* generated from $< */'; echo 'static const char newt__$*_sql[] ='; \
	   sed 's/[\\"]/\\&/g; s/^/    "/; s/$$/\\n"/' $< </dev/null; echo '    "";'; } >$@

$(B)/libcodec.a: $(CODEC_OBJ)
$(B)/libnewtdb.a: $(CODEC_OBJ) $(BRIDGE_OBJ)
$(B)/libcodec.a $(B)/libnewtdb.a $(B)/libtests.a:
	@rm -f $@
	$(AR) crs $@ $^

MAP := $(wildcard bridge/libnewtdb.map)
$(B)/libnewtdb.so.$(SOVERSION): $(CODEC_OBJ) $(BRIDGE_OBJ) $(MAP)
	$(LINK) -shared -Wl,-soname,$(@F) $(MAP:%=-Wl,--version-script=%) \
		$(if $(SANITIZE),,-Wl$(,)--no-undefined) $(filter %.o,$^) $(OUR_LIBS) -o $@
$(B)/libnewtdb.so: $(B)/libnewtdb.so.$(SOVERSION)
	ln -sf $(<F) $@

$(B)/newtdb.pc: bridge/newtdb.pc.in newt.control FORCE
	@sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@VERSION@|$(NEWT_VERSION)|g' \
		$< >$@

# ---- programs on the public header --------------------------------------------------------

# The run path serves the build directory as well as PREFIX/bin beside PREFIX/lib.
LINK_SHARED = $(LINK) $(filter %.o,$^) $(filter %.a,$^) -L$(B) -lnewtdb $(OUR_LIBS) \
	-Wl,-rpath,'$$ORIGIN:$$ORIGIN/..:$$ORIGIN/../lib' -o $@

$(B)/newt-updater: $(UPDATER_OBJ) $(B)/libnewtdb.so
	$(LINK_SHARED)

# examples/NAME.c and bench/NAME.c are programs; of a directory examples/NAME/ all .c files
# together are one.
EXAMPLE_DIRS := $(patsubst examples/%/,%,$(sort $(dir $(wildcard examples/*/*.c))))
EXAMPLES := $(patsubst %.c,$(B)/%,$(wildcard examples/*.c)) $(EXAMPLE_DIRS:%=$(B)/examples/%)
BENCHES := $(patsubst %.c,$(B)/%,$(filter-out bench/slow_sync.c,$(wildcard bench/*.c)))
examples: $(EXAMPLES)
bench-programs: $(BENCHES) $(B)/bench/slow_sync.so
# loaded into the benchmark's server
$(B)/bench/slow_sync.so: $(B)/obj/bench/slow_sync.o
	@mkdir -p $(@D)
	$(LINK) -shared $^ -ldl -o $@
$(B)/obj/bench/slow_sync.o: OUR_CFLAGS += -fvisibility=default
$(B)/obj/bench/%.o: INCLUDES = -I$(B)/include -I$(includedir) $(JANSSON_CFLAGS)
# the codec is measured by itself, and so is the updater's sink
$(B)/obj/bench/codec.o: INCLUDES = -I.
$(B)/bench/codec: $(B)/libcodec.a
$(B)/obj/bench/sink.o: INCLUDES = -I. -I$(B)/include
$(B)/bench/sink: $(patsubst %,$(B)/obj/updater/%.o,fault lines output sink_ndjson tail)
# another database is in it
$(B)/obj/examples/joining/%.o: INCLUDES = -I$(B)/include -I$(includedir)
define example_dir
$(B)/examples/$(1): $(patsubst %.c,$(B)/obj/%.o,$(wildcard examples/$(1)/*.c))
endef
$(foreach d,$(EXAMPLE_DIRS),$(eval $(call example_dir,$(d))))
$(patsubst %.c,$(B)/%,$(wildcard examples/*.c)) $(BENCHES): $(B)/%: $(B)/obj/%.o
$(EXAMPLES) $(BENCHES): $(B)/libnewtdb.so
	@mkdir -p $(@D)
	$(LINK_SHARED)

# ---- tests --------------------------------------------------------------------------------

# tests/KIND/NAME.c is a program build/tests/KIND/NAME, tests/*.c is what they share. The tests
# of the codec link nothing else of ours.
KINDS := codec bridge storages concurrency daemon faults zodb portable
$(B)/libtests.a: $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/*.c))
TEST_LIBS = -lcmocka -lcbor $(OUR_LIBS)
# cmocka 2 deprecates what has no other name in cmocka 1
$(B)/obj/tests/%.o: private OUR_CFLAGS += -Wno-deprecated-declarations
# With the sanitizers the optimizer takes most of the time to compile them, and they little to run;
# its warnings come from the build without.
ifneq ($(SANITIZE),)
$(B)/obj/tests/%.o: private OUR_CFLAGS += -O0 -Wno-format-truncation
endif
define test_kind
.PHONY: tests-$(1)
tests-$(1): $(patsubst %.c,$(B)/%,$(wildcard tests/$(1)/*.c))
tests: tests-$(1)
$(patsubst %.c,$(B)/%,$(wildcard tests/$(1)/*.c)): $(B)/%: $(B)/obj/%.o $(B)/libtests.a \
	$(B)/$(if $(filter codec,$(1)),libcodec,libnewtdb).a
	@mkdir -p $$(@D)
	$$(LINK) $$^ $$(TEST_LIBS) -o $$@
endef
$(foreach k,$(KINDS),$(eval $(call test_kind,$(k))))

# The example's resources are tried.
$(B)/tests/faults/joining: $(B)/obj/examples/joining/file.o $(B)/obj/examples/joining/database.o

# The library's memory is the test's.
$(B)/tests/bridge/server_memory $(B)/tests/storages/layers_memory $(B)/tests/storages/sqlite_memory \
	$(B)/tests/storages/indexes_memory $(B)/tests/storages/btree_memory: \
	TEST_LIBS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup

# The fuzzers have the codec compiled in, with the coverage that libFuzzer asks for.
FUZZERS := $(patsubst tests/%.c,build/%,$(wildcard tests/fuzz/*.c))
tests: tests-fuzz
.PHONY: tests-fuzz
tests-fuzz: $(FUZZERS)
$(FUZZERS): build/fuzz/%: tests/fuzz/%.c $(wildcard codec/*.[ch] tests/*.[ch] tests/fuzz/*.h)
	@mkdir -p $(@D)
	clang -std=c11 -O1 -g -fno-omit-frame-pointer -Wall -Wextra $(WERROR) \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		-D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -I. $(JANSSON_CFLAGS) $(filter %.c,$^) $(JANSSON_LIBS) -lm -o $@

.PHONY: run-test run-check run-tap run-demo run-bench run-bench-check run-bench-scale run-soak run-fuzz run-lint \
	run-test-versions built-demo installcheck
run-test run-check run-tap:
	@tests/run $(NEWT_TEST_KINDS)
run-fuzz run-lint: run-%:
	@tests/run $*
# The long forms, every supported PostgreSQL, and roots without anything: an hour or two.
run-soak:
	@NEWT_SOAK=1 NEWT_FUZZ_SECONDS=900 NEWT_TEST_TIMEOUT=7200 tests/run $(NEWT_TEST_KINDS)
	@tests/pg-versions
	@tests/bare-root
# What rests on the server's version, on every supported one that can be had.
run-test-versions:
	@tests/pg-versions
built-demo: extension lib updater examples
run-demo: built-demo
	@examples/debian/run $(if $(SQLITE),--sqlite)
run-bench run-bench-check: extension lib updater examples bench-programs
	@$(if $(findstring check,$@),BENCH_CHECK=1) bench/run
run-bench-scale: extension lib updater bench-programs
	@bench/scale/run

# Against the server that PGHOST and friends name, with the extension installed there.
REGRESS_TESTS := $(patsubst tests/sql/sql/%.sql,%,$(wildcard tests/sql/sql/*.sql))
installcheck:
	@mkdir -p build/regress/installcheck
	$(pg_regress_installcheck) --inputdir=tests/sql --outputdir=build/regress/installcheck \
		--encoding=UTF8 --dbname=newt_sql $(REGRESS_TESTS)

# ---- installation -------------------------------------------------------------------------

MAN_PAGES := $(wildcard docs/man/*.[1-9])
UNITS := $(wildcard updater/systemd/*.service)
HERE := $(DESTDIR)$(PREFIX)
install: install-newtdb
.PHONY: install-newtdb uninstall-newtdb
install-newtdb: all
	$(MKDIR_P) '$(DESTDIR)$(LIBDIR)/pkgconfig' '$(HERE)/include' '$(HERE)/bin'
ifneq ($(BRIDGE_OBJ),)
	$(INSTALL_SHLIB) build/libnewtdb.so.$(SOVERSION) '$(DESTDIR)$(LIBDIR)'
	ln -sf libnewtdb.so.$(SOVERSION) '$(DESTDIR)$(LIBDIR)/libnewtdb.so'
	$(INSTALL_DATA) build/libnewtdb.a '$(DESTDIR)$(LIBDIR)'
	$(INSTALL_DATA) $(HEADERS) '$(HERE)/include'
	$(if $(NEWTDB_PC),$(INSTALL_DATA) build/newtdb.pc '$(DESTDIR)$(LIBDIR)/pkgconfig')
endif
	$(if $(UPDATER_OBJ),$(INSTALL_PROGRAM) build/newt-updater '$(HERE)/bin')
	$(MKDIR_P) '$(HERE)/lib/systemd/system'
	$(foreach unit,$(UNITS),sed 's|@PREFIX@|$(PREFIX)|' $(unit) >'$(HERE)/lib/systemd/system/$(notdir $(unit))';)
	$(foreach page,$(MAN_PAGES),$(INSTALL_DATA) -D $(page) \
		'$(HERE)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))';)

uninstall: uninstall-newtdb
uninstall-newtdb:
	rm -f $(addprefix '$(DESTDIR)$(LIBDIR)'/,libnewtdb.so libnewtdb.so.$(SOVERSION) \
		libnewtdb.a pkgconfig/newtdb.pc) $(HEADERS:bridge/%='$(HERE)/include'/%) '$(HERE)/bin/newt-updater' \
		$(UNITS:updater/systemd/%='$(HERE)/lib/systemd/system/%')
	$(foreach page,$(MAN_PAGES),rm -f \
		'$(HERE)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))';)

# As PGXN wants it; and for who has a server without the extension.
.PHONY: dist
dist: $(PORTABLE)
	@mkdir -p build
	cp $(PORTABLE) build/newt-portable-$(NEWT_VERSION).sql
	git archive --format=zip --prefix=newt-$(NEWT_VERSION)/ -o build/newt-$(NEWT_VERSION).zip HEAD

# ---- what was built how -------------------------------------------------------------------

# Objects depend on a file that changes with the compiler and its flags, and never otherwise. Before
# it is written, what the objects need is looked for: a missing package is better named once than by
# every compilation.
define stamp
@mkdir -p $(@D); echo '$(1)' | cmp -s - $@ || { dev/packages check $(2) && echo '$(1)' >$@; }
endef
$(E)/ext/flags: FORCE
	$(call stamp,$(CC) $(CFLAGS) $(CPPFLAGS) $(wildcard $(includedir_server)/postgres.h),extension)
$(B)/flags: FORCE
	$(call stamp,$(CC) $(OUR_CFLAGS) $(OUR_LIBS),library)
FORCE:

-include $(shell find build build-asan build-tsan build-clang -name '*.d' 2>/dev/null)

endif
