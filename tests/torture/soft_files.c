/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files in the torture of software address spaces.  Every worker has one word in
 * each page of each file, and nobody else writes it; but anybody may cut the file
 * (truncate, punch), which is counted before and after.
 */
#include <errno.h>
#include <sys/mman.h>

#include "atomic.h"
#include "soft_work.h"

struct shared_file {
	struct file *file;
	long cuts_begun, cuts_done;
};

static struct shared_file files[NR_FILES];

void files_create(struct mmun_soft *soft)
{
	for (unsigned int i = 0; i < NR_FILES; i++) {
		enum mmun_soft_file_kind kind = i % 2 ? MMUN_SOFT_FILE_SHMEM
						      : MMUN_SOFT_FILE_REGULAR;

		if (mmun_soft_file_create(soft, i % 2 ? "shmem" : "regular", kind,
					  FILE_PAGES * PAGE, &files[i].file))
			bail_out("cannot make a file");
	}
}

void files_destroy(void)
{
	for (unsigned int i = 0; i < NR_FILES; i++)
		mmun_soft_file_put(files[i].file);
}

static uint64_t word_offset(const struct worker *w, unsigned int page)
{
	return page * PAGE + w->id * sizeof(uint64_t);
}

static unsigned long file_address(const struct worker *w, unsigned int f)
{
	return w->base + FILES_AT + f * FILE_PAGES * PAGE;
}

static bool map_file(struct worker *w, unsigned int f)
{
	if (w->file_mapped[f])
		return true;
	w->file_mapped[f] = !mmun_soft_is_error(
		mmun_soft_mmap(mm_of(w), file_address(w, f), FILE_PAGES * PAGE,
			       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, files[f].file, 0));
	return w->file_mapped[f];
}

/* The number of cuts if none is going on, else -1. */
static long cuts_settled(const struct shared_file *file)
{
	long done = mmun_load_full(&file->cuts_done);

	return mmun_load_full(&file->cuts_begun) == done ? done : -1;
}

static bool write_word(struct worker *w, unsigned int f, unsigned int page, uint64_t value,
		       bool by_descriptor)
{
	if (by_descriptor)
		return mmun_soft_pwrite(files[f].file, &value, sizeof(value),
					word_offset(w, page)) == sizeof(value);
	return !mmun_soft_write(mm_of(w), file_address(w, f) + word_offset(w, page), &value,
				sizeof(value), NULL);
}

static void write_file(struct worker *w, unsigned int f, unsigned int page, bool by_descriptor)
{
	struct file_word *word = &w->words[f][page];
	uint64_t value = (uint64_t)(w->id + 1) << 56 | (uint64_t)f << 48 | (uint64_t)page << 40 |
			 ++w->sequence;
	long before = cuts_settled(&files[f]);

	if (!write_word(w, f, page, value, by_descriptor))
		return;
	word->value = value;
	word->cuts = before;
	if (mmun_load_full(&files[f].cuts_begun) != before)
		word->cuts = -1;
}

/* -EFAULT when the page lies behind the end of the file. */
static int read_word(struct worker *w, unsigned int f, unsigned int page, uint64_t *value,
		     bool by_descriptor)
{
	long got;

	if (!by_descriptor)
		return mmun_soft_read(mm_of(w), file_address(w, f) + word_offset(w, page), value,
				      sizeof(*value), NULL);
	got = mmun_soft_pread(files[f].file, value, sizeof(*value), word_offset(w, page));
	return got == sizeof(*value) ? 0 : got < 0 ? (int)got : -EFAULT;
}

/* Zeros, or something this worker wrote there at some time. */
static bool plausible(uint64_t got, uint64_t last)
{
	return !got || (got >> 40 == last >> 40 && got <= last);
}

static void check_file(struct worker *w, unsigned int f, unsigned int page, bool by_descriptor)
{
	const struct file_word *word = &w->words[f][page];
	uint64_t got = 0;
	bool settled;
	int ret = read_word(w, f, page, &got, by_descriptor);

	if (ret == -ENOMEM)
		return;
	settled = word->cuts >= 0 && mmun_load_full(&files[f].cuts_begun) == word->cuts;
	if (settled && (ret || got != word->value))
		wrong(w, by_descriptor ? "pread" : "file mapping", f << 8 | page, got, word->value);
	else if (!ret && !plausible(got, word->value))
		wrong(w, "file", f << 8 | page, got, word->value);
}

static void cut(struct worker *w, unsigned int f)
{
	uint64_t first = below(w, FILE_PAGES), size = first * PAGE + below(w, 2) * 96;

	(void)mmun_add_full(&files[f].cuts_begun, 1);
	if (below(w, 2))
		mmun_soft_ftruncate(files[f].file, size);
	else
		mmun_soft_punch_hole(files[f].file, size, (1 + below(w, 8)) * PAGE);
	/* Back to full size, whatever else cuts it. */
	while (mmun_soft_ftruncate(files[f].file, FILE_PAGES * PAGE))
		;
	(void)mmun_add_full(&files[f].cuts_done, 1);
}

/* A private mapping: what was written to it stays unless the file was cut. */
static void private_copy(struct worker *w, unsigned int f)
{
	unsigned long at = w->base + PRIVATE_FILE_AT;
	unsigned int page = below(w, FILE_PAGES);
	uint64_t value = ++w->sequence, got = 0;
	long before = cuts_settled(&files[f]);

	if (mmun_soft_is_error(mmun_soft_mmap(mm_of(w), at, FILE_PAGES * PAGE,
					      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
					      files[f].file, 0)))
		return;
	if (!mmun_soft_write(mm_of(w), at + page * PAGE, &value, sizeof(value), NULL)) {
		mmun_soft_reclaim(w->soft, 8);
		if (!mmun_soft_read(mm_of(w), at + page * PAGE, &got, sizeof(got), NULL) &&
		    got != value && before >= 0 && mmun_load_full(&files[f].cuts_begun) == before)
			wrong(w, "private copy", page, got, value);
	}
	mmun_soft_munmap(mm_of(w), at, FILE_PAGES * PAGE);
}

void file_step(struct worker *w)
{
	unsigned int f = below(w, NR_FILES), page = below(w, FILE_PAGES);
	bool by_descriptor = below(w, 2);

	if (!map_file(w, f))
		return;
	switch (below(w, 16)) {
	case 0:
		cut(w, f);
		break;
	case 1:
		mmun_soft_fsync(files[f].file);
		break;
	case 2:
		private_copy(w, f);
		break;
	case 3:
		mmun_soft_madvise(mm_of(w), file_address(w, f), FILE_PAGES * PAGE,
				  below(w, 2) ? MADV_PAGEOUT : MADV_DONTNEED);
		break;
	case 4:
		mmun_soft_migrate(mm_of(w), file_address(w, f) + page * PAGE);
		break;
	case 5:
		mmun_soft_munmap(mm_of(w), file_address(w, f), FILE_PAGES * PAGE);
		w->file_mapped[f] = false;
		break;
	case 6 ... 10:
		write_file(w, f, page, by_descriptor);
		break;
	default:
		check_file(w, f, page, by_descriptor);
		break;
	}
}
