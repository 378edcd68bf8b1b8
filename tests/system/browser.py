# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A real browser without a window: Chromium, driven by its DevTools protocol over two pipes.

Every error, message of a console and request that a page makes is kept in Browser.noise.
"""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE = 60


def find():
    """The command, or None."""
    return shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which(
        'google-chrome')


class Browser:
    """One tab.  Methods of the protocol are called with call(); see
    https://chromedevtools.github.io/devtools-protocol/."""

    def __init__(self, width=1400, height=1000):
        self.directory = tempfile.TemporaryDirectory(prefix='mmunotify-browser-',
                                                     ignore_cleanup_errors=True)
        to_browser, self.writer = os.pipe()
        self.reader, from_browser = os.pipe()
        # Out of the way of the two numbers that Chromium expects.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (to_browser, from_browser)]

        def place():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)
        home = self.directory.name
        self.process = subprocess.Popen(
            [find(), '--headless=new', '--remote-debugging-pipe', '--no-sandbox', '--disable-gpu',
             '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions',
             '--disable-background-networking', '--disable-component-update',
             '--force-device-scale-factor=1', '--hide-scrollbars',
             '--user-data-dir=' + home + '/profile', 'about:blank'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(3, 4), preexec_fn=place, start_new_session=True,  # pylint: disable=W1509
            env=dict(os.environ, HOME=home, DBUS_SESSION_BUS_ADDRESS='disabled:'))
        for fd in (to_browser, from_browser, *ends):
            os.close(fd)
        self.buffer = b''
        self.number = 0
        self.events = []
        self.noise = []
        self.session = None
        target = self.call('Target.createTarget', url='about:blank')
        self.session = self.call('Target.attachToTarget', targetId=target['targetId'],
                                 flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(domain + '.enable')
        self.resize(width, height)

    def close(self):
        self.session = None
        try:
            self.call('Browser.close')
            self.process.wait(timeout=10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, 9)
            self.process.wait()
        os.close(self.reader)
        os.close(self.writer)

    def message(self):
        """The next message, or an exception."""
        deadline = time.monotonic() + PATIENCE
        while b'\0' not in self.buffer:
            if not select.select([self.reader], [], [], max(0, deadline - time.monotonic()))[0]:
                raise RuntimeError('the browser does not answer')
            data = os.read(self.reader, 1 << 20)
            if not data:
                raise RuntimeError('the browser has gone')
            self.buffer += data
        text, self.buffer = self.buffer.split(b'\0', 1)
        message = json.loads(text)
        if 'method' in message:
            self.hear(message['method'], message['params'])
        return message

    def hear(self, method, params):
        self.events.append(method)
        if method == 'Runtime.exceptionThrown':
            details = params['exceptionDetails']
            self.noise.append(details.get('exception', {}).get('description', details['text']))
        elif method == 'Runtime.consoleAPICalled':
            self.noise.append('console: %s' % params['args'])
        elif method == 'Log.entryAdded':
            self.noise.append('log: %s' % params['entry']['text'])
        elif method == 'Network.requestWillBeSent' and params.get('type') != 'Document':
            self.noise.append('request: %s' % params['request']['url'][:200])

    def call(self, method, **params):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': params}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.writer, json.dumps(message).encode() + b'\0')
        while True:
            answer = self.message()
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise RuntimeError('%s: %s' % (method, answer['error']['message']))
                return answer['result']

    def open(self, path):
        """Loads a file and waits until it is drawn."""
        self.noise.clear()
        self.events.clear()
        self.call('Page.navigate', url='file://' + os.path.abspath(path))
        while 'Page.loadEventFired' not in self.events:
            self.message()
        self.settle()

    def settle(self):
        """Two frames: what was asked for has been drawn."""
        self.value('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame('
                   '() => setTimeout(() => done(1)))))')

    def value(self, script):
        """What @script, an expression, comes to."""
        answer = self.call('Runtime.evaluate', expression=script, returnByValue=True,
                           awaitPromise=True)
        if 'exceptionDetails' in answer:
            raise RuntimeError('%s: %s' % (script, answer['exceptionDetails']))
        return answer['result'].get('value')

    def resize(self, width, height):
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def media(self, **features):
        self.call('Emulation.setEmulatedMedia', features=[
            {'name': name.replace('_', '-'), 'value': value} for name, value in features.items()])

    def place(self, selector):
        """The middle of an element, scrolled into view."""
        return self.value('(() => { const node = document.querySelector(%s);'
                          'node.scrollIntoView({block: "center"});'
                          'const box = node.getBoundingClientRect();'
                          'return [box.left + box.width / 2, box.top + box.height / 2]; })()'
                          % json.dumps(selector))

    def mouse(self, kind, x, y, **more):
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def click(self, selector, count=1):
        self.click_at(*self.place(selector), count=count)

    def click_at(self, x, y, count=1):
        for i in range(1, count + 1):
            for kind in ('mousePressed', 'mouseReleased'):
                self.mouse(kind, x, y, button='left', buttons=1, clickCount=i)
        self.settle()

    def drag(self, x0, y0, x1, y1):
        self.mouse('mouseMoved', x0, y0)
        self.mouse('mousePressed', x0, y0, button='left', buttons=1, clickCount=1)
        self.mouse('mouseMoved', (x0 + x1) / 2, (y0 + y1) / 2, button='left', buttons=1)
        self.mouse('mouseMoved', x1, y1, button='left', buttons=1)
        self.mouse('mouseReleased', x1, y1, button='left', clickCount=1)
        self.settle()

    def key(self, key, modifiers=0):
        text = {'Enter': '\r', ' ': ' '}.get(key, key if len(key) == 1 else '')
        code = {'Enter': 13, 'Escape': 27, 'Tab': 9, 'Backspace': 8, 'ArrowLeft': 37,
                'ArrowUp': 38, 'ArrowRight': 39, 'ArrowDown': 40}.get(
                    key, ord(key.upper()) if len(key) == 1 else 0)
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, windowsVirtualKeyCode=code,
                      modifiers=modifiers, **({'text': text} if kind == 'keyDown' else {}))
        self.settle()

    def type(self, text):
        self.call('Input.insertText', text=text)
        self.settle()

    def picture(self, path, **how):
        data = self.call('Page.captureScreenshot', format='png', **how)['data']
        with open(path, 'wb') as file:
            file.write(base64.b64decode(data))
