/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The main() of a program that has none: a driver and its KUnit suites. */
#include <mmunotify/compat.h>

int main(int argc, char **argv)
{
	return mmun_compat_kunit(argc, argv);
}
