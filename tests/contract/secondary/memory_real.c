/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Real memory, and a guest of the kernel's KVM that sees it.
 *
 * The guest runs in long mode at privilege level 3 with page tables of its own:
 * so its accesses go through KVM's translations.  (At level 0 a KVM without
 * hardware support interprets each instruction and reads the program's memory
 * directly, which would show nothing.)  Each run is one load or store and a
 * port access that leaves the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory.h"

#define PAGE 4096ul
#define AREA (MEMORY_PAGES * PAGE)
/* Guest-physical, and guest-virtual just so. */
#define SYSTEM_PAGES 16
#define AREA_GPA     0x200000ul
#define LOAD_CODE    0x8000ul
#define STORE_CODE   0x8010ul
#define EXIT_PORT    0x10

static int kvm = -1, vm = -1, cpu = -1, file = -1;
static struct kvm_run *run;
static int run_size;
static uint8_t *guest_system, *area;
static pid_t child;

static uint64_t *table(unsigned long gpa)
{
	return (uint64_t *)(guest_system + gpa);
}

/* Present, writable, user. */
#define ENTRY 7

static void make_tables(void)
{
	table(0x1000)[0] = 0x2000 | ENTRY;
	table(0x2000)[0] = 0x3000 | ENTRY;
	table(0x3000)[0] = 0x4000 | ENTRY;
	table(0x3000)[1] = 0x5000 | ENTRY;
	for (unsigned long i = 0; i < SYSTEM_PAGES; i++)
		table(0x4000)[i] = i * PAGE | ENTRY;
	for (unsigned long i = 0; i < MEMORY_PAGES; i++)
		table(0x5000)[i] = (AREA_GPA + i * PAGE) | ENTRY;
}

static void make_code(void)
{
	/* mov (%rdi),%rax; out %al,$EXIT_PORT */
	static const uint8_t load[] = { 0x48, 0x8b, 0x07, 0xe6, EXIT_PORT };
	/* mov %rax,(%rdi); out %al,$EXIT_PORT */
	static const uint8_t store[] = { 0x48, 0x89, 0x07, 0xe6, EXIT_PORT };

	memcpy(guest_system + LOAD_CODE, load, sizeof(load));
	memcpy(guest_system + STORE_CODE, store, sizeof(store));
}

static int set_mode(void)
{
	const struct kvm_segment code = { .limit = ~0u,
					  .selector = 0x33,
					  .type = 11,
					  .present = 1,
					  .dpl = 3,
					  .s = 1,
					  .l = 1,
					  .g = 1 };
	const struct kvm_segment data = { .limit = ~0u,
					  .selector = 0x2b,
					  .type = 3,
					  .present = 1,
					  .dpl = 3,
					  .s = 1,
					  .db = 1,
					  .g = 1 };
	struct kvm_sregs sregs;

	if (ioctl(cpu, KVM_GET_SREGS, &sregs))
		return -1;
	sregs.cr0 = 0x80000013; /* PG, ET, MP, PE */
	sregs.cr3 = 0x1000;
	sregs.cr4 = 0x20;   /* PAE */
	sregs.efer = 0x500; /* LMA, LME */
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	return ioctl(cpu, KVM_SET_SREGS, &sregs);
}

static int set_slot(unsigned int slot, unsigned long gpa, void *at, unsigned long size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)at,
	};

	return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int make_guest(void)
{
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0 || set_slot(0, 0, guest_system, SYSTEM_PAGES * PAGE) ||
	    set_slot(1, AREA_GPA, area, AREA))
		return -1;
	cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (cpu < 0 || run_size < 0)
		return -1;
	run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	return run == MAP_FAILED ? -1 : set_mode();
}

/* Runs one of the two codes; what happened to rax, or false. */
static bool guest_run(unsigned long code, int page, uint64_t *rax)
{
	struct kvm_regs regs = { .rip = code,
				 .rdi = AREA_GPA + (unsigned long)page * PAGE,
				 .rax = *rax,
				 .rflags = 2 | 3 << 12 /* IOPL */ };
	int ret;

	if (ioctl(cpu, KVM_SET_REGS, &regs))
		return false;
	do {
		ret = ioctl(cpu, KVM_RUN, 0);
	} while (ret && errno == EINTR);
	if (ret || run->exit_reason != KVM_EXIT_IO || run->io.port != EXIT_PORT)
		return false;
	if (ioctl(cpu, KVM_GET_REGS, &regs))
		return false;
	*rax = regs.rax;
	return true;
}

static long guest_load(int page)
{
	uint64_t value = 0;

	return guest_run(LOAD_CODE, page, &value) ? (long)value : -1;
}

static bool guest_store(int page, long value)
{
	uint64_t rax = (uint64_t)value;

	return guest_run(STORE_CODE, page, &rax);
}

static uint8_t *at(int page)
{
	return area + (unsigned long)page * PAGE;
}

static void map(int page, int pages, enum memory_kind kind, int file_page)
{
	int flags = MAP_FIXED | (kind == SHARED_FILE ? MAP_SHARED : MAP_PRIVATE) |
		    (kind == PRIVATE_MEMORY ? MAP_ANONYMOUS : 0);

	mmap(at(page), (size_t)pages * PAGE, PROT_READ | PROT_WRITE, flags,
	     kind == PRIVATE_MEMORY ? -1 : file, file_page * (off_t)PAGE);
}

static void unmap(int page, int pages)
{
	munmap(at(page), (size_t)pages * PAGE);
}

static void move(int page, int to)
{
	mremap(at(page), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(to));
}

static void protect(int page, int pages, bool write)
{
	mprotect(at(page), (size_t)pages * PAGE, PROT_READ | (write ? PROT_WRITE : 0));
}

static void advise(int page, int pages, int advice)
{
	madvise(at(page), (size_t)pages * PAGE, advice);
}

/* By the kernel's copy, which says EFAULT where an instruction would be a signal. */
static long load(int page)
{
	long value;
	struct iovec mine = { &value, sizeof(value) }, its = { at(page), sizeof(value) };

	return process_vm_readv(getpid(), &mine, 1, &its, 1, 0) == sizeof(value) ? value : -1;
}

static bool store(int page, long value)
{
	struct iovec mine = { &value, sizeof(value) }, its = { at(page), sizeof(value) };

	return process_vm_writev(getpid(), &mine, 1, &its, 1, 0) == sizeof(value);
}

static void fork_child(void)
{
	child = fork();
	if (!child) {
		for (;;)
			pause();
	}
}

static void reap(void)
{
	if (child <= 0)
		return;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = 0;
}

static void truncate_file(int pages)
{
	if (ftruncate(file, pages * (off_t)PAGE))
		_exit(1);
}

static void punch(int page, int pages)
{
	fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * (off_t)PAGE,
		  pages * (off_t)PAGE);
}

static void write_file(int page, long value)
{
	if (pwrite(file, &value, sizeof(value), page * (off_t)PAGE) != sizeof(value))
		_exit(1);
}

static void end(void)
{
	reap();
	if (run && run != MAP_FAILED)
		munmap(run, (size_t)run_size);
	run = NULL;
	if (guest_system)
		munmap(guest_system, SYSTEM_PAGES * PAGE);
	if (area)
		munmap(area, AREA);
	guest_system = area = NULL;
	close(cpu);
	close(vm);
	close(kvm);
	close(file);
}

static const char *begin(void)
{
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return "/dev/kvm cannot be opened";
	file = memfd_create("file", MFD_CLOEXEC);
	guest_system = mmap(NULL, SYSTEM_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (file < 0 || guest_system == MAP_FAILED || area == MAP_FAILED)
		return "no memory for a guest";
	truncate_file(MEMORY_FILE_PAGES);
	make_tables();
	make_code();
	if (make_guest())
		return "KVM cannot make a guest";
	store(0, 4711);
	return guest_load(0) == 4711 ? NULL : "KVM does not run a guest at privilege level 3";
}

const struct memory_ops real_memory = {
	.name = "the kernel's KVM",
	.begin = begin,
	.end = end,
	.map = map,
	.unmap = unmap,
	.move = move,
	.protect = protect,
	.advise = advise,
	.load = load,
	.store = store,
	.fork = fork_child,
	.reap = reap,
	.truncate = truncate_file,
	.punch = punch,
	.write_file = write_file,
	.guest_load = guest_load,
	.guest_store = guest_store,
};
