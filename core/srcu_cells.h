/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a thread counts its read sections; for srcu.c alone. */
#ifndef MMUN_CORE_SRCU_CELLS_H
#define MMUN_CORE_SRCU_CELLS_H

#include "srcu.h"

/* The low half of srcu_slot.elsewhere and srcu_cells.owner. */
#define MMUN_SRCU_HALF 0xfffffffful

/* Sections that are open in @bank: exact for a moment between the first load and the last. */
static inline unsigned long mmun_srcu_nr_open(const struct srcu_slot *slot, unsigned int bank)
{
	/* C: the exits are looked at first; pairs with B. */
	unsigned long elsewhere = mmun_load_full(&slot->elsewhere[bank]);
	unsigned long closed = mmun_load_full(&slot->closed[bank]);

	/* D: an entry that is not seen began after the exits were; pairs with A. */
	return (mmun_load_full(&slot->opened[bank]) - closed - elsewhere) & MMUN_SRCU_HALF;
}

/* Nobody can remember one of them. */
void mmun_srcu_unmap_cells(struct srcu_cells *cells);

/* The entry of the calling thread's cell in mmun_task.cell, claimed now if it has none; -1:
 * none to be had. */
int mmun_srcu_get_cell(struct srcu_struct *ssp);

/* Is the owner of the cell gone?  Then what he has left open in @bank counts as closed. */
bool mmun_srcu_drop_left_open(struct srcu_struct *ssp, unsigned int index, unsigned int bank);

/* The calling thread opens a section in a shared slot, or closes one. */
void mmun_srcu_hold(const struct srcu_struct *ssp);
void mmun_srcu_let_go(const struct srcu_struct *ssp);

#endif
