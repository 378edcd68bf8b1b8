/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Why nothing can be patched, and what can be done about it. */
#ifndef MMUN_SELF_REFUSAL_H
#define MMUN_SELF_REFUSAL_H

#include <stddef.h>

/* mremap() refuses to work within this distance of the limit of mappings. */
#define MMUN_MAP_MARGIN 16

/* A sentence for the probe when nothing can be patched. */
struct mmun_refusal {
	int error;
	char reason[256];
	char remedy[256];
};

void mmun_self_refuse(struct mmun_refusal *refusal, int error, const char *reason,
		      const char *remedy);
/* Begins the reason with the name of the file. */
void mmun_self_name_refusal(struct mmun_refusal *refusal, const char *path);

/* What of a replacement failed. */
enum mmun_step { MMUN_STEP_COPY, MMUN_STEP_PROTECT, MMUN_STEP_MOVE };
/*
 * The true reason of a failure with @error; @more: mappings that were needed.
 * Return: the error to fail with.
 */
int mmun_self_explain(struct mmun_refusal *refusal, enum mmun_step step, long error, long more);
/* The same where no stubs could be made. */
int mmun_self_explain_stubs(struct mmun_refusal *refusal, int error);

/* Appends to the text of @at bytes in @to, as far as there is room.  Return: the new length. */
size_t mmun_append(char *to, size_t at, size_t size, const char *text);
size_t mmun_append_hex(char *to, size_t at, size_t size, unsigned long value);

#endif
