/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program with UCX linked statically: its own hooks, and nobody in front of them. */
#include <stdio.h>
#include <sys/mman.h>

#include <ucm/api/ucm.h>

/* munmap() is declared never to call back. */
static unsigned int heard;

static void hear(ucm_event_type_t type, ucm_event_t *event, void *arg)
{
	__atomic_add_fetch(&heard, 1, __ATOMIC_RELAXED);
}

int main(void)
{
	ucs_status_t status = ucm_set_event_handler(UCM_EVENT_VM_UNMAPPED, 0, hear, NULL);
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	__atomic_store_n(&heard, 0, __ATOMIC_RELAXED);
	munmap(page, 4096);
	if (status != UCS_OK)
		puts("calls refused");
	else
		puts(__atomic_load_n(&heard, __ATOMIC_RELAXED) ? "calls heard" : "calls unheard");
	return 0;
}
