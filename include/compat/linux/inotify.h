/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#error "mmunotify compat: there is no linux/inotify.h; the system's of that name is the one for programs"
