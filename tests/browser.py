"""A headless Chromium that a test starts, asks and ends, through the DevTools protocol's pipe."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

NAMES = ('chromium', 'chromium-browser', 'google-chrome')
FLAGS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--disable-sync',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--hide-scrollbars',
    '--remote-debugging-pipe',
]


def find():
    """The browser's path; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab; `call` is the protocol's, the rest what the tests ask."""

    def __init__(self, requests, answers):
        self._requests, self._answers = requests, answers
        self._number, self._session = 0, None
        self.events = []
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        attached = self.call('Target.attachToTarget', targetId=target, flatten=True)
        self._session = attached['sessionId']
        for domain in ('Page', 'Network', 'Log'):
            self.call(f'{domain}.enable')

    def call(self, method, **params):
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': params}
        if self._session:
            message['sessionId'] = self._session
        self._requests.write(json.dumps(message).encode() + b'\0')
        self._requests.flush()
        while (answer := self._read()).get('id') != self._number:
            self.events.append(answer)
        assert 'error' not in answer, answer['error']
        return answer['result']

    def open(self, path, width, height=844):
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.events.clear()
        self.call('Page.navigate', url=pathlib.Path(path).resolve().as_uri())
        while not any(event.get('method') == 'Page.loadEventFired' for event in self.events):
            self.events.append(self._read())

    def load_images(self):
        """Waits for the images that are loaded lazily, for which the page's end does not."""
        self.evaluate(
            'Promise.all([...document.images].map(i => {'
            ' i.loading = "eager"; return i.decode(); }))'
            '.then(() => true)'
        )

    def evaluate(self, expression):
        result = self.call(
            'Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in result, result['exceptionDetails']
        return result['result'].get('value')

    def requested(self):
        """Addresses that the page asked for, without those that hold their data."""
        sent = [e['params'] for e in self.events if e.get('method') == 'Network.requestWillBeSent']
        urls = [params['request']['url'] for params in sent]
        return [url for url in urls if not url.startswith('data:')]

    def screenshot(self):
        shot = self.call('Page.captureScreenshot', captureBeyondViewport=True)
        return base64.b64decode(shot['data'])

    def pdf(self):
        printed = self.call('Page.printToPDF', preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(printed['data'])

    def _read(self):
        message = bytearray()
        while (byte := self._answers.read(1)) != b'\0':
            assert byte, 'the browser ended'
            message += byte
        return json.loads(message)


@contextlib.contextmanager
def started():
    """A page of a browser that ends with the block, with all it wrote."""
    # The browser reads requests from its descriptor 3 and answers on 4.
    to_browser, from_browser = os.pipe(), os.pipe()
    ends = f'exec 3<&{to_browser[0]} 4>&{from_browser[1]}; exec "$@"'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ['bash', '-c', ends, 'bash', find(), *FLAGS, f'--user-data-dir={profile}'],
            pass_fds=(to_browser[0], from_browser[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            with open(to_browser[1], 'wb') as requests, open(from_browser[0], 'rb') as answers:
                yield Page(requests, answers)
        finally:
            process.terminate()
            process.wait()
