"""How it looks: settings and sizes of every kind, for everybody."""

import contextlib
import os
import re
import signal

from playwright.sync_api import expect

from program import Load, wait_for
from visitor import ENLARGED, NARROW, PHONE, answer_with, balancer, visit


def case_panic_is_seen_and_said(browser):
    with balancer() as program, visit(browser, program) as visitor:
        page = visitor.page
        names = program.names()
        visitor.expect_serving(names)
        expect(page.locator("#fact-replicas")).to_have_class("good")
        frozen = [program.signal_replica(name, signal.SIGSTOP) for name in names[:2]]
        try:
            expect(page.locator("#panic")).to_be_visible()
            expect(page.locator("#fact-replicas")).to_have_class("bad")
            expect(page.locator("#fact-replicas")).to_contain_text("panic")
            expect(page.locator("#announcer")).to_have_text(re.compile("^panic"))
            expect(page).to_have_title(re.compile("^PANIC"))
            visitor.audit()
            visitor.screenshot("panic")
        finally:
            for pid in frozen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        expect(page.locator("#panic")).to_be_hidden()


def case_what_is_not_measured_is_said_to_be_so(browser):
    with balancer("--metrics", "off") as program, visit(browser, program) as visitor:
        page = visitor.page
        visitor.expect_serving(program.names())
        expect(page.locator("#unmeasured")).to_contain_text("--metrics off")
        for chart in ("requests", "errors", "latency"):
            expect(page.locator(f"#summary-{chart}")).to_have_text("not measured (--metrics off)")
        name = program.names()[0]
        for column in ("Requests", "Answer begins, p50", "Answer begins, p99"):
            expect_none(visitor, name, column, "not measured (--metrics off)")
        visitor.page.get_by_role("button", name=f"Details of {name}", exact=True).click()
        for fact in ("requests", "answers begin"):
            expect(detail(visitor, name, fact)).to_have_text("not measured (--metrics off)")
        visitor.audit()
        visitor.screenshot("unmeasured")
    with balancer() as program, visit(browser, program) as visitor:
        name = program.names()[0]
        expect_none(visitor, name, "Answer begins, p99", "no request in the last minute")
        expect(visitor.cell(name, "Requests").locator(".value")).to_have_text("0")
        expect(visitor.page.locator("#unmeasured")).to_be_hidden()
        visitor.page.get_by_role("button", name=f"Details of {name}", exact=True).click()
        expect(detail(visitor, name, "answers begin")).to_have_text("no request in the last minute")
        expect(detail(visitor, name, "errors")).to_have_text("0 attempts that brought no answer, or not the whole of it")
        # Behind the label of a column, for those who cannot point at it; not again at each of its cells.
        header = visitor.page.get_by_role("columnheader", name=re.compile(r"^Errors \(attempts that brought no answer"))
        expect(header).to_have_attribute("abbr", "Errors")
        load = Load(program.origin)
        load.wait()
        for column in ("Answer begins, p50", "Answer begins, p99"):
            expect(visitor.cell(name, column).locator(".value")).to_have_text(re.compile("^[0-9.]+ m?s$"))
            expect(visitor.cell(name, column).locator(".value")).not_to_have_attribute("title", re.compile(""))
        expect(detail(visitor, name, "answers begin")).to_contain_text("after it was chosen")


def expect_none(visitor, name, column, why):
    """A dash to the eye, and in its place the reason to a screen reader."""
    value = visitor.cell(name, column).locator(".value")
    expect(value.locator("[aria-hidden=true]")).to_have_text("–")
    expect(value.locator(".unseen")).to_have_text(why)
    expect(value).to_have_attribute("title", why)


def detail(visitor, name, fact):
    facts = visitor.row(name).locator(".more dl > div")
    return facts.filter(has=visitor.page.locator("dt").get_by_text(fact, exact=True)).locator("dd")


def case_a_second_that_was_chosen_by_key_stays_and_is_said_once(browser):
    with balancer() as program, visit(browser, program) as visitor:
        page = visitor.page
        plot, summary = page.get_by_role("slider", name="Requests per second"), page.locator("#summary-requests")

        def value(name):
            return plot.get_attribute(f"aria-value{name}")

        def wait_for_seconds(seconds):
            last = int(value("max"))
            wait_for("some seconds to pass", lambda: int(value("max")) >= last + seconds)

        wait_for("some samples", lambda: int(value("max")) >= 3)
        # Nothing was chosen: what is said when it gets the focus is not said again each second.
        plot.focus()
        page.evaluate(
            """() => {
              const plot = document.activeElement;
              window.said = 0;
              new MutationObserver((changes) => (window.said += changes.length)).observe(plot, { attributeFilter: ["aria-valuetext", "aria-valuenow"] });
            }"""
        )
        wait_for_seconds(2)
        assert page.evaluate("window.said") == 0, value("text")
        plot.press("ArrowLeft")
        first = int(value("now"))
        plot.press("ArrowLeft")
        chosen, text = int(value("now")), value("text")
        assert chosen == first - 1, (chosen, first)
        assert re.fullmatch(r"(\S+ )?\d\d:\d\d:\d\d: 0/s", text), text
        expect(summary).to_have_text(text)
        page.evaluate("() => (window.said = 0)")
        hair = page.locator(".hair").first.get_attribute("d")
        wait_for_seconds(3)
        assert (int(value("now")), value("text")) == (chosen, text)
        assert page.evaluate("window.said") == 0
        expect(summary).to_have_text(text)
        # It is the same second further to the left.
        assert page.locator(".hair").first.get_attribute("d") != hair
        plot.press("ArrowRight")
        assert int(value("now")) == chosen + 1
        plot.press("Home")
        assert value("now") == value("min")
        plot.press("End")
        assert int(value("max")) - int(value("now")) <= 1
        plot.press("Escape")
        expect(plot).to_have_attribute("aria-valuetext", re.compile("^latest "))
        page.evaluate("() => document.activeElement.blur()")
        expect(summary).to_have_text(re.compile("^latest "))


def case_seconds_that_were_read_together_are_drawn_as_they_were(browser):
    def ten_in_one(history):
        sample = {"second": 20, "span": 10, "requests": 1, "errors": 1, "retries": 0, "p50_ms": 3303.4, "p99_ms": 3303.4}
        history.update(now=20, samples=[sample])

    with balancer() as program:
        with visit(browser, program, prepare=lambda page: answer_with(page, "history", ten_in_one)) as visitor:
            page = visitor.page
            expect(page.locator("#summary-requests")).to_have_text(re.compile("highest 0.1/s$"))
            expect(page.locator("#summary-errors")).to_have_text(re.compile("highest 0.1/s$"))
            expect(page.locator("#summary-latency")).to_contain_text("latest p50 3.3 s")
            # Ten bars, and a line that is level for nine seconds, not a dot.
            assert page.locator("path.series.of-errors").first.get_attribute("d").count("M") == 10
            expect(page.locator("path.series.of-p50_ms").last).to_have_attribute("d", re.compile(r"^M[\d.]+ ([\d.]+)L[\d.]+ \1$"))
            plot = page.get_by_role("slider", name="Whole answer")
            expect(plot).to_have_attribute("aria-valuemin", "11")
            plot.focus()
            plot.press("Home")
            expect(plot).to_have_attribute("aria-valuetext", re.compile("p50 3.3 s"))


def case_every_scheme_is_drawn(browser):
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(balancer("--scheme", "statement"))
        backends = ",".join(replica["address"] for replica in servers.status()["replicas"])
        programs = {"statement": servers}
        for scheme in ("ketama", "maglev", "rendezvous"):
            # Servers that run already: nothing to start, and nothing that the page could change.
            flags = ("--scheme", scheme, "--backends", backends)
            programs[scheme] = stack.enter_context(balancer(*flags, launcher="static"))
        for scheme, program in programs.items():
            visitor = stack.enter_context(visit(browser, program))
            page = visitor.page
            visitor.expect_serving(program.names())
            expect(page.locator("#fact-scheme")).to_contain_text(scheme)
            if scheme == "statement":
                expect(page.locator("#ring .tick")).to_have_count(3)
                continue
            expect(page.locator("#ring .arc")).to_have_count(3)
            expect(page.locator("#ring .tick")).to_have_count(0)
            expect(page.locator("#ring-note")).to_contain_text(f"Scheme {scheme} has no slots")
            expect(page.locator("#change-reason")).to_contain_text("--backends")
            expect(page.locator("#add-button")).to_be_disabled()
            visitor.screenshot(f"scheme-{scheme}")


def case_thirty_replicas_and_the_longest_names_fit(browser):
    looks = {
        "desktop": {},
        "narrow": {"viewport": NARROW, "color_scheme": "dark"},
        "phone": {"viewport": PHONE, "has_touch": True, "is_mobile": True},
        "enlarged": {"viewport": ENLARGED},
    }

    def busy(status):
        for replica in status["replicas"]:
            replica["requests"] = 1234567
            replica["latency"].update(p50_ms=123, p99_ms=456)

    long = ["x" * 63, "a-name.of_" + "3" * 53, "w" * 63]
    with balancer(replicas=27) as program:
        program.add(*long)
        for look, options in looks.items():
            with visit(browser, program, prepare=lambda page: answer_with(page, "status", busy), **options) as visitor:
                page = visitor.page
                expect(page.locator("#replicas tbody")).to_have_count(30)
                for name in long:
                    expect(visitor.cell(name, "State")).to_contain_text("serving")
                page.get_by_role("button", name=f"Details of {long[0]}", exact=True).click()
                expect(visitor.row(long[0]).locator(".more")).to_contain_text("ring id")
                visitor.audit()
                # An address is one line, wherever there are columns.
                lines = page.evaluate("() => Math.max(...[...document.querySelectorAll('tbody th .sub')].map((sub) => sub.getBoundingClientRect().height))")
                assert lines < 25, lines
                visitor.screenshot(f"thirty-{look}", whole=True)


def case_a_phone_needs_no_sideways_scrolling(browser):
    options = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    with balancer() as program, visit(browser, program, **options) as visitor:
        page = visitor.page
        visitor.expect_serving(program.names())
        wide = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= PHONE["width"] and wide[1] == PHONE["width"], wide
        # The cards are still a table to a screen reader.
        expect(page.get_by_role("row")).to_have_count(4)
        expect(page.get_by_role("rowheader")).to_have_count(3)
        expect(page.get_by_role("button", name=re.compile("^Remove "))).to_have_count(3)


def case_names_headings_contrast_and_pictures(browser):
    looks = {
        "light": {"color_scheme": "light"},
        "dark": {"color_scheme": "dark"},
        "phone": {"viewport": PHONE, "has_touch": True, "is_mobile": True},
    }
    with balancer() as program:
        load = Load(program.origin)
        with contextlib.ExitStack() as stack:
            visitors = {name: stack.enter_context(visit(browser, program, **look)) for name, look in looks.items()}
            load.wait()
            for name, visitor in visitors.items():
                visitor.expect_serving(program.names())
                expect(visitor.page.locator("#summary-latency")).to_contain_text("p99")
                expect(visitor.page.locator("path.series.of-requests").first).to_have_attribute("d", re.compile("L"))
                visitor.audit()
                visitor.screenshot(name)
                visitor.screenshot(f"{name}-whole", whole=True)
