/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writing instructions, one behind the other, for stub.c and strict_text.c.  They run where
 * they are written: distances are from there, but for those of mmun_emit_distance().
 */
#ifndef MMUN_SELF_EMIT_H
#define MMUN_SELF_EMIT_H

#include <string.h>

#include "insn.h"

struct mmun_code {
	unsigned char *at;
};

static inline void mmun_emit_bytes(struct mmun_code *code, const void *data, size_t size)
{
	memcpy(code->at, data, size);
	code->at += size;
}
#define mmun_emit(code, ...) \
	do { \
		const unsigned char emitted[] = { __VA_ARGS__ }; \
		mmun_emit_bytes(code, emitted, sizeof(emitted)); \
	} while (0)

/* Four bytes that will stand at @runs_at, at the end of an instruction. */
static inline void mmun_emit_distance(struct mmun_code *code, const unsigned char *runs_at,
				      const void *to)
{
	int distance = (const unsigned char *)to - (runs_at + 4);

	mmun_emit_bytes(code, &distance, sizeof(distance));
}

static inline void mmun_emit_jump(struct mmun_code *code, const void *to)
{
	mmun_emit(code, 0xe9);
	mmun_emit_distance(code, code->at, to);
}

/* mov $nr,%eax */
static inline void mmun_emit_number(struct mmun_code *code, int nr)
{
	mmun_emit(code, 0xb8);
	mmun_emit_bytes(code, &nr, sizeof(nr));
}

/* movabs $value,%reg */
static inline void mmun_emit_load(struct mmun_code *code, int reg, const void *value)
{
	mmun_emit(code, reg < 8 ? 0x48 : 0x49, 0xb8 + (reg & 7));
	mmun_emit_bytes(code, &value, sizeof(value));
}

/* movabs $site,%r11; movabs $entry,%reg; jmp *%reg: @reg is one of the first eight. */
static inline void mmun_emit_entry(struct mmun_code *code, const void *site, int reg,
				   void (*entry)(void))
{
	mmun_emit_load(code, 11, site);
	mmun_emit_load(code, reg, (const void *)entry);
	mmun_emit(code, 0xff, 0xe0 + reg);
}

#endif
