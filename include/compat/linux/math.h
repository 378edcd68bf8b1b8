/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Divisions that round. */
#ifndef MMUN_COMPAT_LINUX_MATH_H
#define MMUN_COMPAT_LINUX_MATH_H

#define DIV_ROUND_UP(n, d)       (((n) + (d)-1) / (d))
#define DIV_ROUND_UP_ULL(n, d)   DIV_ROUND_UP((unsigned long long)(n), (d))
#define DIV_ROUND_DOWN_ULL(n, d) ((u64)(n) / (d))
#define DIV_ROUND_CLOSEST(n, d)  (((n) + (d) / 2) / (d))
#define round_up(x, y)           ((((x)-1) | ((__typeof__(x))((y)-1))) + 1)
#define round_down(x, y)         ((x) & ~((__typeof__(x))((y)-1)))
#define roundup(x, y)            ((((x) + (y)-1) / (y)) * (y))
#define rounddown(x, y)          ((x) - (x) % (y))

#endif
