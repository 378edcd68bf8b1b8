#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Writes the table of event sources named on the command line as C.
echo '#include <mmunotify/primary.h>'
for s; do echo "extern const struct mmun_primary_ops mmun_primary_$s;"; done
echo 'static const struct mmun_primary_ops *const sources[] = {'
for s; do echo "	&mmun_primary_$s,"; done
cat <<'C'
};
const struct mmun_primary_ops *mmun_source_at(unsigned int index)
{
	return index < sizeof(sources) / sizeof(sources[0]) ? sources[index] : 0;
}
C
