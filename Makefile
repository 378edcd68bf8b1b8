# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The build is meson's; each target makes the machine ready
# first (scripts/setup.sh), then configures a build tree of its own if there is none.

PREFIX ?= /usr/local
DESTDIR ?=
MESON ?= meson
NINJA ?= ninja
FUZZ_SECONDS ?= 600

# Continuous integration takes no warning.
werror = $(if $(CI),-Dwerror=true)
tree = @[ -f $(1)/build.ninja ] || $(2) $(MESON) setup $(1) $(werror) $(3)
sanitizer_options = -Dwerror=true -Db_lundef=false -Ddebug_checks=true -Dman=disabled -Dpeers=disabled -Ducx=disabled \
	-Dlibfabric=disabled
# With both sanitizers gcc takes a third longer to optimise more, and says no more; reports need lines only.
asan_tree = $(call tree,build-asan,CC=gcc CXX=g++,-Db_sanitize=address$(comma)undefined $(sanitizer_options) \
	-Doptimization=1 -Dc_args=-g1 -Dbench=disabled)
tsan_tree = $(call tree,build-tsan,CC=clang CXX=clang++,-Db_sanitize=thread $(sanitizer_options))

help:
	@echo 'make demo     the problem and the cure, on this kernel, in one table'
	@echo 'make check    build and run every test'
	@echo 'make check-vm Open MPI and RDMA over soft-RoCE in virtual machines (minutes; needs no KVM)'
	@echo 'make check-linux  drivers of the Linux tree LINUX=PATH, compiled as they are and driven, in three builds'
	@echo '              (without LINUX: one that is downloaded; DRIVERS="umem_odp ...": only these)'
	@echo 'make bench    measure, beside UCX and libfabric (BENCH_ARGS=--quick, --json ...)'
	@echo 'make asan     the tests under AddressSanitizer and UBSan (gcc)'
	@echo 'make tsan     the tests under ThreadSanitizer (clang)'
	@echo 'make fuzz     the fuzzers (clang), FUZZ_SECONDS=$(FUZZ_SECONDS) for each target'
	@echo 'make coverage lines and branches that the tests reach, in build-coverage'
	@echo 'make mutation  one change in core/ or primary/soft at a time: does a test fail?'
	@echo '              (MUTATION_ARGS="--sample 600", --only core/srcu.c ...)'
	@echo 'make deb      Debian packages, built and used in clean systems, in build-deb/packages'
	@echo '              (needs root; minutes; DEB_ARGS=--nocheck: without the tests of the build)'
	@echo 'make hooks    let git look at each commit before it is made (scripts/style)'
	@echo 'make install  PREFIX=$(PREFIX) DESTDIR=$(DESTDIR)'
	@echo 'make clean    remove the build trees'
	@echo
	@echo 'Missing Debian packages are installed where that is permitted; otherwise'
	@echo 'the command is printed.  MMUNOTIFY_SETUP=skip leaves the machine alone.'

demo:
	@scripts/setup.sh demo
	$(call tree,build)
	@$(NINJA) -C build demo-programs
	@build/tool/mmunotify demo $(DEMO_ARGS)

check:
	@scripts/setup.sh check
	$(call tree,build)
	@$(NINJA) -C build
	@scripts/tap-summary --run build

check-vm:
	@scripts/setup.sh check-vm
	$(call tree,build)
	@$(NINJA) -C build vm-programs
	@scripts/tap-summary --run --comments build:vm --suites vm

check-linux:
	@scripts/setup.sh check
	$(call tree,build)
	$(asan_tree)
	$(tsan_tree)
	@for build in build build-asan build-tsan; do $(NINJA) -C $$build kernel-needs || exit 1; done
	@status=0; for build in build build-asan build-tsan; do \
		tests/kernel/run --build $$build $(if $(LINUX),--linux '$(LINUX)') $(DRIVERS) || status=1; done; \
	tests/kernel/run --headers $(if $(LINUX),--linux '$(LINUX)') || status=1; \
	tests/kernel/run --table build build-asan build-tsan; exit $$status

bench:
	@scripts/setup.sh bench
	$(call tree,build-bench,,--buildtype=release)
	@$(NINJA) -C build-bench bench-programs
	@build-bench/bench/mmunotify-bench $(BENCH_ARGS)

# A cancelled thread leaves its stack marked as in use; the runtime then finds
# fault with its own clean-up of the signal stack, unless it has none.
asan: export ASAN_OPTIONS := use_sigaltstack=0:$(ASAN_OPTIONS)
asan:
	@scripts/setup.sh check
	$(asan_tree)
	@$(NINJA) -C build-asan
	@scripts/tap-summary --run build-asan --suites unit,contract,torture,script,kernel

tsan:
	@scripts/setup.sh check
	$(tsan_tree)
	@$(NINJA) -C build-tsan
	@scripts/tap-summary --run build-tsan --suites unit,contract,torture,kernel

# What a run finds stays in build-fuzz: new inputs in new-*, failing ones beside them.
fuzz:
	@scripts/setup.sh check
	$(call tree,build-fuzz,CC=clang CXX=clang++,$(sanitizer_options))
	@$(NINJA) -C build-fuzz fuzzers
	@tests/fuzz/run build-fuzz $(FUZZ_SECONDS)

# Unoptimised, so that branches are those of the source; gcc 12 then warns wrongly.
coverage:
	@scripts/setup.sh check
	$(call tree,build-coverage,CC=gcc CXX=g++,-Db_coverage=true -Doptimization=0 -Dwerror=false $(sanitizer_options))
	@$(NINJA) -C build-coverage
	@scripts/coverage-report build-coverage

mutation:
	@scripts/setup.sh check
	@tests/mutation/run.py $(MUTATION_ARGS)

install:
	@scripts/setup.sh demo
	$(call tree,build)
	@$(MESON) configure build -Dprefix=$(PREFIX)
	@$(NINJA) -C build
	@$(MESON) install -C build --no-rebuild --destdir '$(DESTDIR)'

deb:
	@scripts/setup.sh deb
	@packaging/deb $(DEB_ARGS)

hooks:
	@git config core.hooksPath scripts/hooks
	@echo 'git runs scripts/hooks/pre-commit before each commit; git commit --no-verify does without.'

clean:
	rm -rf build build-bench build-asan build-tsan build-fuzz build-coverage build-mutation build-linux build-deb

comma := ,

.PHONY: help demo check check-vm check-linux bench asan tsan fuzz coverage mutation deb hooks install clean
