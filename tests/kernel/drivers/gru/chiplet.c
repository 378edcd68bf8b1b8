/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See chiplet.h.  These functions are those of gruhandles.c, done at once instead of asked for. */
#include <pthread.h>
#include <sys/mman.h>

#include "chiplet.h"

#include <linux/rwsem.h>

#define ENTRIES 64u

struct entry {
	bool there, writable;
	unsigned int asid;
	unsigned long page;
	struct mmun_soft_translation t;
};

struct context {
	bool running;
	unsigned int asid;
	int chiplet, number, cbr;
	/** No invalidation since the miss. */
	bool valid;
};

struct counts counts;

static struct mm_struct *mm;

/* All of what follows. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[GRU_CHIPLETS_PER_BLADE][ENTRIES];
static struct context contexts[THREADS];

static char *segments;
static struct gru_blade_state blade;
static struct page *pages[GRU_CHIPLETS_PER_BLADE][GRU_NUM_CCH];

/* What other files of the driver have. */
struct gru_stats_s gru_stats;
struct gru_blade_state *gru_base[GRU_MAX_BLADES];
unsigned long gru_start_paddr, gru_end_paddr;
void *gru_start_vaddr;
unsigned int gru_max_gids;

static int chiplet_with(const void *handle)
{
	return (int)(((const char *)handle - segments) / (long)GRU_SIZE);
}

static struct entry *entry_of(int chiplet, unsigned int asid, unsigned long address)
{
	return &entries[chiplet][(address / PAGE_SIZE + asid) % ENTRIES];
}

static bool holds(const struct entry *entry, unsigned int asid, unsigned long address)
{
	return entry->there && entry->asid == asid && entry->page == (address & PAGE_MASK);
}

/* Contexts. */

/* By the segment that the driver has assigned to it. */
static struct context *context_of(struct gru_context_configuration_handle *cch, int *number)
{
	int chiplet = chiplet_with(cch);
	const struct gru_thread_state *gts;

	*number = (int)(((unsigned long)cch & (GRU_SIZE - 1)) - GRU_CCH_BASE) / GRU_HANDLE_STRIDE;
	gts = blade.bs_grus[chiplet].gs_gts[*number];
	return &contexts[gts->ts_tsid];
}

int cch_allocate(struct gru_context_configuration_handle *cch)
{
	cch->state = CCHSTATE_MAPPED;
	return 0;
}

int cch_start(struct gru_context_configuration_handle *cch)
{
	int number, chiplet = chiplet_with(cch);
	struct context *context = context_of(cch, &number);
	struct gru_thread_state *gts = blade.bs_grus[chiplet].gs_gts[number];

	pthread_mutex_lock(&lock);
	*context = (struct context){ .running = true,
				     .asid = cch->asid[0],
				     .chiplet = chiplet,
				     .number = number,
				     .cbr = thread_cbr_number(gts, 0) };
	cch->state = CCHSTATE_ACTIVE;
	pthread_mutex_unlock(&lock);
	return 0;
}

int cch_interrupt(struct gru_context_configuration_handle *cch)
{
	int number;
	struct context *context = context_of(cch, &number);

	pthread_mutex_lock(&lock);
	context->running = false;
	cch->state = CCHSTATE_INTERRUPTED;
	pthread_mutex_unlock(&lock);
	return 0;
}

int cch_interrupt_sync(struct gru_context_configuration_handle *cch)
{
	return cch_interrupt(cch);
}

int cch_deallocate(struct gru_context_configuration_handle *cch)
{
	cch->state = CCHSTATE_INACTIVE;
	return 0;
}

/* The TLB. */

int tgh_invalidate(struct gru_tlb_global_handle *tgh, unsigned long vaddr, unsigned long vaddrmask,
		   int asid, int pagesize, int global, int n, unsigned short ctxbitmap)
{
	unsigned long last = (vaddr & PAGE_MASK) + (unsigned long)n * PAGE_SIZE;
	bool whole = n == GRUMAXINVAL - 1;
	int chiplet = chiplet_with(tgh);

	pthread_mutex_lock(&lock);
	counts.purged_whole += whole;
	for (unsigned int i = 0; i < ENTRIES; i++) {
		struct entry *entry = &entries[chiplet][i];

		if (!entry->there || (!global && entry->asid != (unsigned int)asid))
			continue;
		if (!whole && (entry->page < (vaddr & PAGE_MASK) || entry->page > last))
			continue;
		entry->there = false;
		counts.flushed++;
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		if (contexts[i].chiplet == chiplet &&
		    (global || contexts[i].asid == (unsigned int)asid))
			contexts[i].valid = false;
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

/* With the lock. */
static void take_in(const struct gru_tlb_fault_handle *tfh, unsigned long paddr,
		    unsigned long vaddr, int asid, int dirty)
{
	struct entry *entry = entry_of(chiplet_with(tfh), (unsigned int)asid, vaddr);
	struct mmun_soft_translation t;
	unsigned int i = 0;

	while (contexts[i].asid != (unsigned int)asid || !contexts[i].running ||
	       contexts[i].chiplet != chiplet_with(tfh) || contexts[i].number != tfh->ctxnum)
		i++;
	if (!contexts[i].valid) {
		counts.ignored++;
		return;
	}
	if (mmun_soft_translate_present(mm, vaddr & PAGE_MASK, &t) ||
	    page_to_phys(t.page) != paddr || (dirty && !t.writable)) {
		counts.wrong++;
		return;
	}
	*entry = (struct entry){ .there = true,
				 .writable = dirty,
				 .asid = (unsigned int)asid,
				 .page = vaddr & PAGE_MASK,
				 .t = t };
	counts.taken++;
}

int tfh_write_only(struct gru_tlb_fault_handle *tfh, unsigned long paddr, int gaa,
		   unsigned long vaddr, int asid, int dirty, int pagesize)
{
	pthread_mutex_lock(&lock);
	take_in(tfh, paddr, vaddr, asid, dirty);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* With the lock. */
static void end_miss(struct gru_tlb_fault_handle *tfh, enum tfh_state state)
{
	tfh->status = TFHSTATUS_IDLE;
	tfh->state = state;
}

void tfh_write_restart(struct gru_tlb_fault_handle *tfh, unsigned long paddr, int gaa,
		       unsigned long vaddr, int asid, int dirty, int pagesize)
{
	pthread_mutex_lock(&lock);
	take_in(tfh, paddr, vaddr, asid, dirty);
	end_miss(tfh, TFHSTATE_IDLE);
	pthread_mutex_unlock(&lock);
}

void tfh_user_polling_mode(struct gru_tlb_fault_handle *tfh)
{
	pthread_mutex_lock(&lock);
	counts.polled++;
	tfh->state = TFHSTATE_MISS_UPM;
	pthread_mutex_unlock(&lock);
}

void tfh_exception(struct gru_tlb_fault_handle *tfh)
{
	pthread_mutex_lock(&lock);
	counts.exceptions++;
	end_miss(tfh, TFHSTATE_IDLE);
	pthread_mutex_unlock(&lock);
}

/* Instructions. */

/* With the lock. */
static struct gru_tlb_fault_handle *miss(struct context *context, unsigned long address, bool write)
{
	struct gru_tlb_fault_handle *tfh =
		get_tfh_by_index(&blade.bs_grus[context->chiplet], context->cbr);

	context->valid = true;
	tfh->status = TFHSTATUS_EXCEPTION;
	tfh->state = TFHSTATE_MISS_UPM;
	tfh->cause = write ? TFHCAUSE_TLB_MOD : TFHCAUSE_TLB_MISS;
	tfh->ctxnum = (unsigned int)context->number;
	tfh->missvaddr = address;
	tfh->missasid = context->asid;
	return tfh;
}

/* 1: done; 0: there is a miss; -EAGAIN: the context is not loaded; -ESTALE: it was late. */
static int try_access(struct context *context, unsigned long address, bool write,
		      unsigned long *value)
{
	struct entry *entry;
	int ret = -EAGAIN;

	pthread_mutex_lock(&lock);
	if (context->running) {
		entry = entry_of(context->chiplet, context->asid, address);
		ret = holds(entry, context->asid, address) && (entry->writable || !write);
		if (!ret)
			miss(context, address, write);
		else if (write ? mmun_soft_device_write(mm, address, &entry->t, value,
							sizeof(*value))
			       : mmun_soft_device_read(mm, address, &entry->t, value,
						       sizeof(*value)))
			ret = -ESTALE;
		counts.late += ret == -ESTALE;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

int segment_access(unsigned int number, unsigned long address, bool write, unsigned long *value)
{
	unsigned long seen;
	int ret;

	while ((ret = try_access(&contexts[number], address, write, value)) <= 0) {
		/* Not loaded: it is at the fault of the task, which looks at its control block. */
		if (ret == -EAGAIN)
			ret = mmun_soft_read(mm, segment(number), &seen, sizeof(seen), NULL);
		else if (!ret)
			ret = gru_handle_user_call_os(segment(number));
		if (ret && ret != -EAGAIN)
			return ret;
	}
	return 0;
}

int chiplet_of(unsigned int number)
{
	return contexts[number].running ? contexts[number].chiplet : -1;
}

bool has_entry(unsigned int number, unsigned long address)
{
	const struct context *context = &contexts[number];

	return context->running &&
	       holds(entry_of(context->chiplet, context->asid, address), context->asid, address);
}

int copy_misses(unsigned int number, unsigned long address, unsigned long lines)
{
	struct gru_control_block_extended *cbe;

	pthread_mutex_lock(&lock);
	cbe = gru_tfh_to_cbe(miss(&contexts[number], address, false));
	cbe->opccpy = OP_BCOPY;
	cbe->cbe_baddr0 = address;
	cbe->cbe_src_cl = lines;
	pthread_mutex_unlock(&lock);
	return gru_handle_user_call_os(segment(number));
}

void miss_interrupts(unsigned int number, unsigned long address)
{
	struct context *context = &contexts[number];
	struct gru_tlb_fault_map *map;

	miss(context, address, false)->state = TFHSTATE_MISS_FMM;
	map = get_tfm_for_cpu(&blade.bs_grus[context->chiplet], 0);
	map->fault_bits[context->cbr / 64] |= 1ul << context->cbr % 64;
	if (context->chiplet)
		gru1_intr(0, NULL);
	else
		gru0_intr(0, NULL);
}

/* Where the task sees a segment: its first page is enough. */
int map_segment(struct vm_area_struct *vma, unsigned long address, unsigned long pfn)
{
	unsigned long chiplet = (pfn << PAGE_SHIFT) / GRU_SIZE;
	unsigned long number = (pfn << PAGE_SHIFT) % GRU_SIZE / GRU_GSEG_STRIDE;

	if (!pages[chiplet][number])
		pages[chiplet][number] = alloc_page(GFP_KERNEL);
	return vm_insert_page(vma, address, pages[chiplet][number]);
}

bool start_chiplets(struct mm_struct *of)
{
	mm = of;
	segments = mmap(NULL, (1 + GRU_CHIPLETS_PER_BLADE) * GRU_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (segments == MAP_FAILED)
		return false;
	segments = (char *)(((unsigned long)segments + GRU_SIZE - 1) & ~(GRU_SIZE - 1));
	gru_base[0] = &blade;
	spin_lock_init(&blade.bs_lock);
	init_rwsem(&blade.bs_kgts_sema);
	blade.bs_lru_gru = blade.bs_grus;
	for (int i = 0; i < GRU_CHIPLETS_PER_BLADE; i++) {
		struct gru_state *gru = &blade.bs_grus[i];

		spin_lock_init(&gru->gs_lock);
		spin_lock_init(&gru->gs_asid_lock);
		gru->gs_blade = &blade;
		gru->gs_gru_base_paddr = (unsigned long)i * GRU_SIZE;
		gru->gs_gru_base_vaddr = segments + (unsigned long)i * GRU_SIZE;
		gru->gs_gid = (unsigned short)i;
		gru->gs_chiplet_id = (unsigned char)i;
		gru->gs_cbr_map = ~0ul;
		gru->gs_dsr_map = (1ul << GRU_DSR_AU) - 1;
		gru->gs_asid_limit = MAX_ASID;
		gru_tgh_flush_init(gru);
	}
	gru_max_gids = GRU_CHIPLETS_PER_BLADE;
	return true;
}

void stop_chiplets(void)
{
	for (int i = 0; i < GRU_CHIPLETS_PER_BLADE; i++) {
		for (int j = 0; j < GRU_NUM_CCH; j++) {
			if (pages[i][j])
				__free_page(pages[i][j]);
		}
	}
}
