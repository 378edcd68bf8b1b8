/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The example devices in a `mmunotify soft` run: the GRU, which registers inside its
 * mmap handler, and a guest of the KVM kind.
 *
 * I1  A GRU's file stays open until the tasks, and with them its contexts, are gone.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "gru.h"
#include "kvm.h"
#include "world.h"

struct gru {
	struct mmun_gru *gru;
	struct file *file;
};

struct context {
	struct gru *gru;
	struct soft_task *task;
	unsigned long address;
};

struct guest {
	struct mmun_kvm *kvm;
	struct mmun_kvm_vcpu *vcpu;
	struct mm_struct *mm;
	/* A vcpu is used by one thread at a time. */
	pthread_mutex_t lock;
};

#define COUNTER_NAME(name, text) #name,
static const char *const gru_names[] = { MMUN_GRU_STATS(COUNTER_NAME) };
static const char *const kvm_names[] = { MMUN_KVM_STATS(COUNTER_NAME) };
#undef COUNTER_NAME

const char *soft_gru_counter_name(unsigned long index)
{
	return index < sizeof(gru_names) / sizeof(gru_names[0]) ? gru_names[index] : NULL;
}

const char *soft_kvm_counter_name(unsigned long index)
{
	return index < sizeof(kvm_names) / sizeof(kvm_names[0]) ? kvm_names[index] : NULL;
}

unsigned long soft_gru_counter(const struct soft_symbol *symbol, unsigned long index)
{
	const struct gru *gru = soft_object_peek(symbol);
	struct mmun_gru_stats stats;
#define COUNTER_VALUE(name, text) stats.name,
	mmun_gru_stats(gru->gru, &stats);

	const unsigned long values[] = { MMUN_GRU_STATS(COUNTER_VALUE) };

	return values[index];
}

unsigned long soft_kvm_counter(const struct soft_symbol *symbol, unsigned long index)
{
	const struct guest *guest = soft_object_peek(symbol);
	struct mmun_kvm_stats stats;

	mmun_kvm_stats(guest->kvm, &stats);

	const unsigned long values[] = { MMUN_KVM_STATS(COUNTER_VALUE) };
#undef COUNTER_VALUE

	return values[index];
}

int soft_run_gru(struct soft_call *call)
{
	struct gru *gru = soft_object_new(call, sizeof(*gru));
	int ret;

	if (!gru)
		return SOFT_OUTCOME_FAILED;
	ret = mmun_gru_create(call->world->soft, NULL, &gru->gru);
	if (ret)
		goto free_gru;
	ret = mmun_gru_open(gru->gru, &gru->file);
	if (ret)
		goto destroy;
	soft_object_set(call->arg[0].symbol, gru);
	return 0;

destroy:
	mmun_gru_destroy(gru->gru);
free_gru:
	free(gru);
	return soft_outcome(ret);
}

void soft_gru_end(struct soft_symbol *symbol)
{
	struct gru *gru = soft_object_peek(symbol);

	mmun_soft_file_put(gru->file);
	/* Contexts are freed by puts that end elsewhere. */
	mmu_notifier_synchronize();
	mmun_gru_destroy(gru->gru);
	free(gru);
}

int soft_run_context(struct soft_call *call)
{
	const struct soft_arg *at = &call->keyword[0];
	struct gru *gru = soft_object(call, &call->arg[1]);
	struct soft_task *task;
	mmun_soft_address address;
	unsigned long wanted;
	struct context *context;

	if (!gru || !soft_value(call, at, &wanted))
		return SOFT_OUTCOME_FAILED;
	context = soft_object_new(call, sizeof(*context));
	if (!context)
		return SOFT_OUTCOME_FAILED;
	task = soft_task_enter(call, &call->arg[2]);
	if (!task) {
		free(context);
		return SOFT_OUTCOME_FAILED;
	}
	address = mmun_soft_mmap(task->mm, wanted, MMUN_SOFT_PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | (at->given ? MAP_FIXED : 0), gru->file, 0);
	soft_task_leave(call, task);
	if (mmun_soft_is_error(address)) {
		free(context);
		return soft_outcome((long)address);
	}
	*context = (struct context){ .gru = gru, .task = task, .address = address };
	soft_value_set(call->world, call->arg[0].symbol, address);
	soft_object_set(call->arg[0].symbol, context);
	soft_say(call->world, SOFT_SAY_EVENT, "address",
		 SOFT_FIELDS(SOFT_ADDRESS("address", address)), "= 0x%lx", address);
	return 0;
}

int soft_gru_access(struct soft_call *call, struct soft_symbol *symbol, unsigned long address,
		    char *data, size_t length, bool write)
{
	struct context *context = soft_object(call, &call->arg[0]);
	struct mm_struct *mm;
	int ret;

	if (!context)
		return SOFT_OUTCOME_FAILED;
	mm = soft_task_mm(context->task);
	if (!mmget_not_zero(mm))
		return ENXIO;
	ret = write ? mmun_gru_store(context->gru->gru, mm, context->address, address, data, length)
		    : mmun_gru_load(context->gru->gru, mm, context->address, address, data, length);
	mmput(mm);
	return soft_outcome(ret);
}

int soft_run_kvm(struct soft_call *call)
{
	struct soft_task *task = soft_object(call, &call->arg[1]);
	struct guest *guest;
	bool user;
	int ret;

	if (!task)
		return SOFT_OUTCOME_FAILED;
	guest = soft_object_new(call, sizeof(*guest));
	if (!guest)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_init(&guest->lock, NULL);
	guest->mm = soft_task_mm(task);
	user = mmget_not_zero(guest->mm);
	ret = mmun_kvm_create(guest->mm, NULL, &guest->kvm);
	if (user)
		mmput(guest->mm);
	if (ret)
		goto free_guest;
	ret = mmun_kvm_vcpu_create(guest->kvm, &guest->vcpu);
	if (ret)
		goto destroy;
	mmgrab(guest->mm);
	soft_object_set(call->arg[0].symbol, guest);
	return 0;

destroy:
	mmun_kvm_destroy(guest->kvm);
free_guest:
	free(guest);
	return soft_outcome(ret);
}

void soft_kvm_end(struct soft_symbol *symbol)
{
	struct guest *guest = soft_object_peek(symbol);

	mmun_kvm_vcpu_destroy(guest->vcpu);
	mmun_kvm_destroy(guest->kvm);
	mmdrop(guest->mm);
	pthread_mutex_destroy(&guest->lock);
	free(guest);
}

int soft_run_slot(struct soft_call *call)
{
	struct guest *guest = soft_object(call, &call->arg[0]);
	struct mmun_kvm_region region = { 0 };
	unsigned long number;

	if (!guest || !soft_value(call, &call->arg[1], &number) ||
	    !soft_value(call, &call->arg[2], &region.guest_address) ||
	    !soft_value(call, &call->arg[3], &region.address) ||
	    !soft_value(call, &call->arg[4], &region.size))
		return SOFT_OUTCOME_FAILED;
	region.slot = number < MMUN_KVM_SLOTS ? (unsigned int)number : MMUN_KVM_SLOTS;
	return soft_outcome(mmun_kvm_set_region(guest->kvm, &region));
}

int soft_kvm_access(struct soft_call *call, struct soft_symbol *symbol, unsigned long address,
		    char *data, size_t length, bool write)
{
	struct guest *guest = soft_object(call, &call->arg[0]);
	size_t part;
	int ret = 0;

	if (!guest)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_lock(&guest->lock);
	/* A guest's access has at most 8 bytes and stays in its page. */
	for (; length && !ret; length -= part, address += part, data += part) {
		part = 8 - address % 8;
		if (part > length)
			part = length;
		ret = write ? mmun_kvm_write(guest->vcpu, address, data, part)
			    : mmun_kvm_read(guest->vcpu, address, data, part);
	}
	pthread_mutex_unlock(&guest->lock);
	return soft_outcome(ret);
}
