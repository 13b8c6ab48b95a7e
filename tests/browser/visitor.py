"""A visitor of the page: a browser's window on a program, and everything that went wrong in it."""

import contextlib
import os
import re
import shutil
from pathlib import Path

from playwright.sync_api import expect

from program import DEADLINE_S, Program

HERE = Path(__file__).resolve().parent
# The same choice as that of install.sh.
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
# The least width at which the replicas are a table with columns, and the least of a page that is enlarged to 400 %.
NARROW = {"width": 1120, "height": 800}
ENLARGED = {"width": 320, "height": 256}

# What the browser itself writes about answers that the case has asked for.
UNANSWERED = "Failed to load resource"

expect.set_options(timeout=DEADLINE_S * 1000)


class Setting:
    """What the command line says, for all cases."""

    ringmaster = None
    screenshots = None


class Visit:
    """A visitor's page, and everything that went wrong in it."""

    def __init__(self, browser, program, expected=(), viewport=None, prepare=lambda page: None, **options):
        self.program = program
        self.expected = expected
        self.problems = []
        self.refused = []
        self.context = browser.new_context(viewport=viewport or DESKTOP, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(DEADLINE_S * 1000)
        # Each violation of the page's policy is written to the console as well, but only as prose.
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective + ' ' + e.blockedURI))"
        )
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"error in the page: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", lambda answer: self.refused.append(answer.url) if answer.status in (401, 403) else None)
        prepare(self.page)
        self.page.goto(program.page)

    def _console(self, message):
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.problems.append(f"console: {message.text}")

    def _request(self, request):
        if not request.url.startswith((self.program.origin + "/", "data:")):
            self.problems.append(f"request to another host: {request.url}")

    def row(self, name):
        return self.page.locator("#replicas tbody").filter(has=self.page.get_by_role("button", name=f"Remove {name}", exact=True))

    def cell(self, name, column):
        return self.row(name).locator(f'[data-label="{column}"]')

    def event(self, kind, replica):
        return self.page.locator(f'#events li[data-kind="{kind}"]').filter(has_text=re.compile(rf"\b{re.escape(replica)}\b"))

    def expect_serving(self, names):
        expect(self.page.locator("#replicas tbody")).to_have_count(len(names))
        for name in names:
            expect(self.cell(name, "State")).to_contain_text("serving")

    def tab_to(self, selector):
        """Presses Tab until the focus is there, as somebody without a mouse has to."""
        for _ in range(80):
            if self.page.evaluate("selector => document.activeElement?.matches(selector) ?? false", selector):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"80 presses of Tab did not lead to {selector}")

    def audit(self):
        problems = self.page.evaluate((HERE / "audit.js").read_text().split("\n", 1)[1])
        assert not problems, problems

    def screenshot(self, name, whole=False):
        self.page.screenshot(path=str(Setting.screenshots / f"{name}.png"), full_page=whole)


@contextlib.contextmanager
def visit(browser, program, **options):
    visitor = Visit(browser, program, **options)
    try:
        yield visitor
        assert not visitor.problems, visitor.problems
    except BaseException:
        # The picture often says at once what the trace does not.
        with contextlib.suppress(Exception):
            visitor.screenshot("failure")
        raise
    finally:
        visitor.page.unroute_all(behavior="ignoreErrors")
        visitor.context.close()


def balancer(*flags, **options):
    return Program(Setting.ringmaster, *flags, **options)


def answer_with(page, path, alter):
    """Lets the page have the program's answers altered: `alter` gets the message and changes it in place."""

    def answer(route):
        try:
            response = route.fetch()
            envelope = response.json()
            alter(envelope["message"])
            route.fulfill(response=response, json=envelope)
        except Exception:
            # The page has gone, or the program.
            with contextlib.suppress(Exception):
                route.abort()

    page.route(re.compile(rf"/_ringmaster/{path}(\?|$)"), answer)
