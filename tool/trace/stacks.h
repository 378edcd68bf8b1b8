/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Call stacks kept once each and known by a number, for formats that count by stack. */
#ifndef MMUN_TOOL_TRACE_STACKS_H
#define MMUN_TOOL_TRACE_STACKS_H

#include "record.h"

struct stack_table;

/* NULL when there is no memory. */
struct stack_table *stack_table_new(void);
void stack_table_free(struct stack_table *table);

/*
 * stack_table_add() - the number of an event's stack: from 1, in the order of appearance; 0
 * for an event that has none.  The same frames have the same number.
 * Return: 0 or -ENOMEM.
 */
int stack_table_add(struct stack_table *table, const struct record *record, uint32_t *id);

/* How many there are: numbers go up to this one. */
uint32_t stack_table_size(const struct stack_table *table);

/* The frames of stack @id, innermost first, as long as the table lives; none for 0. */
const struct record_frame *stack_table_frames(const struct stack_table *table, uint32_t id,
					      unsigned int *nr);

/*
 * stack_caller() - of frames, innermost first, the first outside the C library, the place that
 * people look for; the first one where all lie inside, NULL where there is none.
 */
const struct record_frame *stack_caller(const struct record_frame *frames, unsigned int nr);

#endif
