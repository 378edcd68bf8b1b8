#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Puts the page together and writes it as C: what stands before the data, and what after it.

    embed.py OUTPUT.c PAGE.html FILE...

A line of PAGE.html that is <!-- embed NAME --> becomes the text of the FILE of that name;
<!-- data --> is where the data goes.
"""
import os
import re
import sys

ROW = 24


def array(name, data):
    # With a zero at the end: an empty array would be none.
    rows = [','.join(map(str, data[at:at + ROW])) for at in range(0, len(data), ROW)]
    return ('const unsigned char %s[] = {\n%s,0};\nconst size_t %s_size = %d;\n'
            % (name, ',\n'.join(rows), name, len(data)))


def main():
    output, page, *files = sys.argv[1:]
    texts = {}
    for path in files:
        with open(path, encoding='utf-8') as file:
            texts[os.path.basename(path)] = file.read().rstrip('\n')
        # It would end its element.
        if re.search('</(script|style)', texts[os.path.basename(path)], re.I):
            sys.exit('%s: has an end tag' % path)
    with open(page, encoding='utf-8') as file:
        markup = file.read()
    markup = re.sub('<!-- embed (.*) -->', lambda match: texts[match.group(1)], markup)
    before, after = markup.split('<!-- data -->')
    with open(output, 'w', encoding='ascii') as file:
        file.write('#include "page.h"\n')
        file.write(array('page_before', before.encode()))
        file.write(array('page_after', after.encode()))


if __name__ == '__main__':
    main()
