/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Commands of `mmunotify soft` that look at contents and change them: by a task's
 * processor, by a file's descriptor, through a device.
 *
 * I1  What is read is compared byte for byte with what the script expects; the run
 *     fails at the first difference.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static void describe(const char *data, const struct soft_bytes *bytes, char *out, size_t size)
{
	uint64_t number;

	if (bytes->text) {
		soft_show_bytes(data, bytes->length, out, size);
		return;
	}
	memcpy(&number, data, sizeof(number));
	snprintf(out, size, "0x%lx", (unsigned long)number);
}

static int compare(struct soft_call *call, const char *data, const struct soft_bytes *bytes,
		   bool expected)
{
	char got[256], wanted[256];

	describe(data, bytes, got, sizeof(got));
	if (expected && memcmp(data, bytes->data, bytes->length)) {
		describe(bytes->data, bytes, wanted, sizeof(wanted));
		return soft_fail(call, "%s was expected, but %s is there", wanted, got);
	}
	soft_say(call->world, SOFT_SAY_EVENT, "value", SOFT_FIELDS(SOFT_TEXT("value", got)), "= %s",
		 got);
	return 0;
}

/* The bytes of the optional argument @arg, or 8 bytes. */
static bool expected_bytes(struct soft_call *call, const struct soft_arg *arg,
			   struct soft_bytes *bytes)
{
	*bytes = (struct soft_bytes){ .length = sizeof(uint64_t) };
	return !arg->given || soft_bytes(call, arg, bytes);
}

static char *buffer_for(struct soft_call *call, const struct soft_bytes *bytes)
{
	return soft_object_new(call, bytes->length + 1);
}

static int faulted(struct soft_call *call, int ret, const struct mmun_soft_fault *fault)
{
	int outcome = fault->signal ? SOFT_OUTCOME_SIGNAL + fault->signal : soft_outcome(ret);

	if (fault->signal)
		soft_say(call->world, SOFT_SAY_EVENT, "fault",
			 SOFT_FIELDS(SOFT_TEXT("signal", soft_outcome_name(outcome)),
				     SOFT_ADDRESS("address", fault->address),
				     SOFT_TEXT("reason", fault->reason)),
			 "%s at 0x%lx: %s", soft_outcome_name(outcome), fault->address,
			 fault->reason);
	return outcome;
}

typedef int reader(struct mm_struct *mm, unsigned long address, void *buffer, size_t length,
		   struct mmun_soft_fault *fault);

static int read_with(struct soft_call *call, reader *operation)
{
	struct mmun_soft_fault fault = { 0 };
	struct soft_task *task;
	struct soft_bytes bytes;
	unsigned long address;
	char *buffer;
	int ret;

	if (!soft_value(call, &call->arg[1], &address) ||
	    !expected_bytes(call, &call->arg[2], &bytes))
		return SOFT_OUTCOME_FAILED;
	buffer = buffer_for(call, &bytes);
	if (!buffer)
		return SOFT_OUTCOME_FAILED;
	task = soft_task_enter(call, &call->arg[0]);
	if (!task) {
		free(buffer);
		return SOFT_OUTCOME_FAILED;
	}
	ret = operation(task->mm, address, buffer, bytes.length, &fault);
	soft_task_leave(call, task);
	ret = ret ? faulted(call, ret, &fault) : compare(call, buffer, &bytes, call->arg[2].given);
	free(buffer);
	return ret;
}

int soft_run_read(struct soft_call *call)
{
	return read_with(call, mmun_soft_read);
}

int soft_run_fetch(struct soft_call *call)
{
	return read_with(call, mmun_soft_fetch);
}

/* Writes @arg at the beginning of each page of the range; or reads a byte there. */
static int each_page(struct soft_call *call, unsigned long address, unsigned long size,
		     const struct soft_arg *arg)
{
	struct mmun_soft_fault fault = { 0 };
	struct soft_bytes bytes = { 0 };
	struct soft_task *task;
	unsigned long at;
	int ret = 0;
	char byte;

	if (arg && !soft_bytes(call, arg, &bytes))
		return SOFT_OUTCOME_FAILED;
	task = soft_task_enter(call, &call->arg[0]);
	if (!task)
		return SOFT_OUTCOME_FAILED;
	for (at = address; at - address < size && !ret; at += MMUN_SOFT_PAGE_SIZE)
		ret = arg ? mmun_soft_write(task->mm, at, bytes.data, bytes.length, &fault)
			  : mmun_soft_read(task->mm, at, &byte, 1, &fault);
	soft_task_leave(call, task);
	return ret ? faulted(call, ret, &fault) : 0;
}

int soft_run_write(struct soft_call *call)
{
	unsigned long address;

	if (!soft_value(call, &call->arg[1], &address))
		return SOFT_OUTCOME_FAILED;
	return each_page(call, address, 1, &call->arg[2]);
}

int soft_run_fill(struct soft_call *call)
{
	unsigned long address, size;

	if (!soft_value(call, &call->arg[1], &address) || !soft_value(call, &call->arg[2], &size))
		return SOFT_OUTCOME_FAILED;
	return each_page(call, address, size, &call->arg[3]);
}

int soft_run_touch(struct soft_call *call)
{
	unsigned long address, size;

	if (!soft_value(call, &call->arg[1], &address) || !soft_value(call, &call->arg[2], &size))
		return SOFT_OUTCOME_FAILED;
	return each_page(call, address, size, NULL);
}

/* Files. */

int soft_run_file(struct soft_call *call)
{
	enum mmun_soft_file_kind kind = MMUN_SOFT_FILE_REGULAR;
	struct soft_symbol *symbol = call->arg[0].symbol;
	unsigned long size;
	struct file *file;
	int ret;

	if (call->keyword[SOFT_FILE_AS_SHMEM].given)
		kind = MMUN_SOFT_FILE_SHMEM;
	if (!soft_value(call, &call->arg[1], &size))
		return SOFT_OUTCOME_FAILED;
	ret = mmun_soft_file_create(call->world->soft, symbol->name, kind, size, &file);
	if (!ret)
		soft_object_set(symbol, file);
	return soft_outcome(ret);
}

struct file *soft_file_enter(struct soft_call *call, const struct soft_arg *arg)
{
	struct file *file;

	pthread_mutex_lock(&call->world->lock);
	file = soft_object_peek(arg->symbol);
	if (file)
		mmun_soft_file_get(file);
	pthread_mutex_unlock(&call->world->lock);
	if (!file)
		soft_fail(call, "there is no file '%s' now", arg->symbol->name);
	return file;
}

static int leave_file(struct file *file, int outcome)
{
	mmun_soft_file_put(file);
	return outcome;
}

int soft_run_close(struct soft_call *call)
{
	struct file *file;

	pthread_mutex_lock(&call->world->lock);
	file = soft_object_peek(call->arg[0].symbol);
	soft_object_set(call->arg[0].symbol, NULL);
	pthread_mutex_unlock(&call->world->lock);
	if (!file)
		return soft_fail(call, "there is no file '%s' now", call->arg[0].symbol->name);
	return leave_file(file, 0);
}

void soft_file_end(struct soft_symbol *symbol)
{
	mmun_soft_file_put(soft_object_peek(symbol));
}

static int read_file(struct soft_call *call, struct file *file, const struct soft_bytes *bytes,
		     unsigned long offset)
{
	char *buffer = buffer_for(call, bytes);
	long got;
	int ret;

	if (!buffer)
		return SOFT_OUTCOME_FAILED;
	got = mmun_soft_pread(file, buffer, bytes->length, offset);
	if (got < 0)
		ret = soft_outcome(got);
	else if ((size_t)got < bytes->length)
		ret = soft_fail(call, "the file has %ld bytes there, not %zu", got, bytes->length);
	else
		ret = compare(call, buffer, bytes, call->arg[2].given);
	free(buffer);
	return ret;
}

int soft_run_pread(struct soft_call *call)
{
	struct soft_bytes bytes;
	unsigned long offset;
	struct file *file;

	if (!soft_value(call, &call->arg[1], &offset) ||
	    !expected_bytes(call, &call->arg[2], &bytes))
		return SOFT_OUTCOME_FAILED;
	file = soft_file_enter(call, &call->arg[0]);
	return file ? leave_file(file, read_file(call, file, &bytes, offset)) : SOFT_OUTCOME_FAILED;
}

int soft_run_pwrite(struct soft_call *call)
{
	struct soft_bytes bytes;
	unsigned long offset;
	struct file *file;

	if (!soft_value(call, &call->arg[1], &offset) || !soft_bytes(call, &call->arg[2], &bytes))
		return SOFT_OUTCOME_FAILED;
	file = soft_file_enter(call, &call->arg[0]);
	if (!file)
		return SOFT_OUTCOME_FAILED;
	return leave_file(file,
			  soft_outcome(mmun_soft_pwrite(file, bytes.data, bytes.length, offset)));
}

int soft_run_truncate(struct soft_call *call)
{
	unsigned long size;
	struct file *file;

	if (!soft_value(call, &call->arg[1], &size))
		return SOFT_OUTCOME_FAILED;
	file = soft_file_enter(call, &call->arg[0]);
	if (!file)
		return SOFT_OUTCOME_FAILED;
	return leave_file(file, soft_outcome(mmun_soft_ftruncate(file, size)));
}

int soft_run_punch(struct soft_call *call)
{
	unsigned long offset, size;
	struct file *file;

	if (!soft_value(call, &call->arg[1], &offset) || !soft_value(call, &call->arg[2], &size))
		return SOFT_OUTCOME_FAILED;
	file = soft_file_enter(call, &call->arg[0]);
	if (!file)
		return SOFT_OUTCOME_FAILED;
	return leave_file(file, soft_outcome(mmun_soft_punch_hole(file, offset, size)));
}

int soft_run_fsync(struct soft_call *call)
{
	struct file *file = soft_file_enter(call, &call->arg[0]);

	return file ? leave_file(file, soft_outcome(mmun_soft_fsync(file))) : SOFT_OUTCOME_FAILED;
}

/* Devices of every kind. */

static int access_device(struct soft_call *call, struct soft_symbol *symbol, unsigned long address,
			 char *data, size_t length, bool write)
{
	int ret;

	if (symbol->kind == SOFT_CONTEXT)
		ret = soft_gru_access(call, symbol, address, data, length, write);
	else if (symbol->kind == SOFT_KVM)
		ret = soft_kvm_access(call, symbol, address, data, length, write);
	else
		ret = soft_device_access(call, symbol, address, data, length, write);
	if (ret && call->thread->violation)
		ret = SOFT_OUTCOME_VIOLATION + call->thread->violation;
	return ret;
}

int soft_run_load(struct soft_call *call)
{
	struct soft_bytes bytes;
	unsigned long address;
	char *buffer;
	int ret;

	if (!soft_value(call, &call->arg[1], &address) ||
	    !expected_bytes(call, &call->arg[2], &bytes))
		return SOFT_OUTCOME_FAILED;
	buffer = buffer_for(call, &bytes);
	if (!buffer)
		return SOFT_OUTCOME_FAILED;
	ret = access_device(call, call->arg[0].symbol, address, buffer, bytes.length, false);
	if (!ret)
		ret = compare(call, buffer, &bytes, call->arg[2].given);
	free(buffer);
	return ret;
}

int soft_run_store(struct soft_call *call)
{
	struct soft_bytes bytes;
	unsigned long address;

	if (!soft_value(call, &call->arg[1], &address) || !soft_bytes(call, &call->arg[2], &bytes))
		return SOFT_OUTCOME_FAILED;
	return access_device(call, call->arg[0].symbol, address, (char *)(uintptr_t)bytes.data,
			     bytes.length, true);
}
