#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The corpus of a fuzz target: one file here, one file for each input for a fuzzer.

    corpus.py pack DIRECTORY >FILE
    corpus.py unpack FILE DIRECTORY

FILE is lines of text; the first character says what each is:

    = NAME    an input begins; those of a corpus are in the order of their names
    |TEXT     bytes of it: TEXT and a line feed
    >TEXT     bytes of it: TEXT alone
    :HEX      bytes of it, as pairs of digits; blanks do not count
    #         a remark, as is an empty line

unpack leaves nothing in DIRECTORY but what FILE has.  replay.c reads the same.
"""
import os
import sys

HEAD = '''# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A corpus, packed by tests/fuzz/corpus.py, which has the format.
'''
# An input of the operations target is one byte, then four for each operation.
FIRST, GROUP = 1, 4
GROUPS_IN_LINE = 8


def printable(data):
    return all(byte == 9 or 32 <= byte < 127 for byte in data)


def hexadecimal(data):
    yield ':' + data[:FIRST].hex()
    groups = [data[i:i + GROUP].hex() for i in range(FIRST, len(data), GROUP)]
    for i in range(0, len(groups), GROUPS_IN_LINE):
        yield ':' + ' '.join(groups[i:i + GROUPS_IN_LINE])


def text(data):
    """Line by line; one that cannot be printed as digits."""
    *lines, rest = data.split(b'\n')
    for line in lines:
        if printable(line):
            yield '|' + line.decode('ascii')
        else:
            yield from hexadecimal(line + b'\n')
    if rest:
        yield from ['>' + rest.decode('ascii')] if printable(rest) else hexadecimal(rest)


def lines_of(data):
    unprintable = sum(not printable(bytes([byte])) and byte != 10 for byte in data)
    return text(data) if unprintable * 8 < len(data) else hexadecimal(data)


def pack(directory):
    print(HEAD, end='')
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), 'rb') as file:
            print('\n= ' + name, *lines_of(file.read()), sep='\n')


def inputs(path):
    """{name: bytes}"""
    found, name = {}, None
    with open(path, encoding='ascii', newline='\n') as file:
        for number, line in enumerate(file, 1):
            kind, rest = line[0], line[1:].rstrip('\n')
            if kind == '=':
                name = rest.strip()
                found[name] = b''
            elif kind == '|':
                found[name] += rest.encode() + b'\n'
            elif kind == '>':
                found[name] += rest.encode()
            elif kind == ':':
                found[name] += bytes.fromhex(rest)
            elif kind not in '#\n':
                sys.exit('%s:%d: no line of a corpus' % (path, number))
    return found


def unpack(path, directory):
    found = inputs(path)
    os.makedirs(directory, exist_ok=True)
    for name in set(os.listdir(directory)) - set(found):
        os.unlink(os.path.join(directory, name))
    for name, data in found.items():
        with open(os.path.join(directory, name), 'wb') as file:
            file.write(data)


def main():
    if sys.argv[1:2] == ['pack'] and len(sys.argv) == 3:
        pack(sys.argv[2])
    elif sys.argv[1:2] == ['unpack'] and len(sys.argv) == 4:
        unpack(*sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main()
