/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Modes of files; struct kstat is not there. */
#ifndef MMUN_COMPAT_LINUX_STAT_H
#define MMUN_COMPAT_LINUX_STAT_H

#include <sys/stat.h>

#define S_IRWXUGO (S_IRWXU | S_IRWXG | S_IRWXO)
#define S_IRUGO   (S_IRUSR | S_IRGRP | S_IROTH)
#define S_IWUGO   (S_IWUSR | S_IWGRP | S_IWOTH)
#define S_IXUGO   (S_IXUSR | S_IXGRP | S_IXOTH)

#endif
