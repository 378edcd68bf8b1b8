# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The tree is as the project writes it, and scripts/style would see it if it were not.
Arguments: source tree, build tree."""
import json
import os
import subprocess
import sys
import tempfile

from tap import done, ok, skip

SOURCE, BUILD = sys.argv[1:3]

# One of each that must be found.
LICENCE = '/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */\n'
BAD = {
    'format': LICENCE + 'int  answer( void );\n',
    'licence': LICENCE.replace('/*', '//').replace(' */', ''),
    'words': LICENCE + '/* Every notifier is to' + 'ld. */\n',
    'tidy': LICENCE + 'int same(int x);\nint same(int x)\n{\n\treturn x == x;\n}\n',
}


def style(check, *files, build=BUILD):
    command = [os.path.join(SOURCE, 'scripts/style'), '--build', build, '--only', check, *files]
    return subprocess.run(command, capture_output=True, text=True, cwd=SOURCE)


def test_tree(check):
    result = style(check)
    if result.returncode == 2:
        skip('the tree: ' + check, result.stderr.strip())
    else:
        ok(result.returncode == 0, 'the tree: ' + check, result.stdout + result.stderr)


def test_finds(check, text):
    with tempfile.TemporaryDirectory() as folder:
        bad = os.path.join(folder, 'bad.c')
        with open(bad, 'w', encoding='utf-8') as file:
            file.write(text)
        with open(os.path.join(folder, 'compile_commands.json'), 'w', encoding='utf-8') as file:
            json.dump([{'directory': folder, 'file': bad, 'command': 'cc -c ' + bad}], file)
        result = style(check, bad, build=folder)
        if result.returncode == 2:
            skip('a bad file: ' + check, result.stderr.strip())
        else:
            ok(result.returncode == 1 and 'bad.c:' in result.stdout, 'a bad file: ' + check,
               result.stdout + result.stderr)


def test_sizes():
    result = subprocess.run([os.path.join(SOURCE, 'scripts/sizes.py'), '--check'],
                            capture_output=True, text=True)
    if result.returncode == 2:
        skip('no function and no file is too long', result.stderr.strip())
    else:
        ok(result.returncode == 0, 'no function and no file is too long',
           result.stdout + result.stderr)


test_sizes()
for kind in ('format', 'licence', 'words', 'tidy'):
    test_tree(kind)
for kind, contents in BAD.items():
    test_finds(kind, contents)
done()
