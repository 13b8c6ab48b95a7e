"""When answers are late, old, of another run, or refused."""

import contextlib
import re
import signal
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from visitor import UNANSWERED, answer_with, balancer, visit


def case_nothing_is_shown_before_all_answers_are_of_one_run(browser):
    def prepare(page):
        page.clock.install()
        # Answers that never come.
        page.route("**/_ringmaster/status", lambda route: None)

    with balancer() as program, visit(browser, program, prepare=prepare) as visitor:
        page = visitor.page
        expect(page.locator("#freshness")).to_have_text("waiting for the first answer…")
        page.clock.fast_forward(5500)
        expect(page.locator("#freshness")).to_have_text("waiting for the first answer… no answer in time")
        assert "waiting" in page.title()
        # A balancer started anew between the status and the events: they are of another run, and not to be mixed.
        page.unroute("**/_ringmaster/status")
        answer_with(page, "events", lambda message: message.update(started="2001-01-01T00:00:00.000Z"))
        with page.expect_response("**/_ringmaster/history*"):
            page.clock.fast_forward(1100)
        page.clock.fast_forward(1100)
        expect(page.locator("#data")).to_be_hidden()
        page.unroute(re.compile(r"/_ringmaster/events(\?|$)"))
        page.clock.fast_forward(1100)
        visitor.expect_serving(program.names())
        expect(page.locator("#freshness")).to_contain_text("live")


def case_a_hidden_tab_goes_on_asking_and_tells_in_its_title(browser):
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); document.dispatchEvent(new Event('visibilitychange')) }"
    with balancer() as program, visit(browser, program, expected=[UNANSWERED], prepare=lambda page: page.clock.install()) as visitor:
        page = visitor.page
        visitor.expect_serving(program.names())
        page.evaluate(hide, True)
        page.clock.fast_forward(8000)
        assert page.title().startswith("3/3 serving"), page.title()
        answer_with(page, "status", lambda message: message.update(panic=True, serving=2))
        page.clock.fast_forward(10_500)
        expect(page).to_have_title(re.compile("^PANIC · 2/3 serving"))
        page.unroute_all(behavior="wait")
        program.stop()
        page.clock.fast_forward(10_500)
        expect(page).to_have_title(re.compile("^reconnecting"))


def case_old_data_is_marked_and_the_page_recovers_by_itself(browser):
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(balancer())
        visitor = stack.enter_context(visit(browser, program, expected=[UNANSWERED]))
        page = visitor.page
        visitor.expect_serving(program.names())
        # Something that is told only of the first run.
        killed = program.names()[0]
        program.signal_replica(killed, signal.SIGKILL)
        expect(visitor.event("relaunched", killed).first).to_be_visible()
        expect(visitor.cell(killed, "Relaunches").locator(".sub")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d "))
        page.get_by_role("button", name=f"Details of {killed}", exact=True).click()
        expect(visitor.row(killed).get_by_role("list")).to_contain_text(re.compile(r"^\d\d:\d\d:\d\d "))
        # A change whose answer never comes.
        page.route("**/add", lambda route: None)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#change-reason")).to_contain_text("Adding")
        program.stop()
        expect(page.locator("#change-result")).to_contain_text("not known whether the change was made")
        expect(page.locator("#freshness")).to_contain_text("reconnecting")
        expect(page.locator("#stale")).to_contain_text(re.compile(r"as of \d\d:\d\d:\d\d, \d+ s ago"))
        expect(page.locator("body")).to_have_class("stale")
        expect(page.locator("#add-button")).to_be_disabled()
        expect(page.get_by_role("button", name=re.compile("^Remove ")).first).to_be_disabled()
        assert "serving" not in page.title()
        page.locator(".plot").first.hover()
        expect(page.locator("#summary-requests")).to_contain_text("latest")
        expect(page.locator("#summary-requests")).not_to_contain_text("ago")
        visitor.audit()
        visitor.screenshot("stale")
        visitor.screenshot("stale-whole", whole=True)
        page.emulate_media(color_scheme="dark")
        visitor.audit()
        visitor.screenshot("stale-dark")
        again = stack.enter_context(balancer(port=program.port))
        expect(page.locator("#freshness")).to_contain_text("live")
        expect(page.locator("#stale")).to_be_hidden()
        expect(page.locator("body")).not_to_have_class("stale")
        expect(page.locator("#add-button")).to_be_enabled()
        visitor.expect_serving(again.names())
        expect(visitor.event("relaunched", killed)).to_have_count(0)
        expect(visitor.cell(killed, "Relaunches").locator(".value")).to_have_text("0")


def case_asks_for_the_token(browser):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "token"
        path.write_text("correct-horse-battery-staple")
        path.chmod(0o600)
        flags = ("--admin-token-file", str(path))
        with balancer(*flags, token="correct-horse-battery-staple") as program, visit(browser, program, expected=[UNANSWERED]) as visitor:
            page = visitor.page
            expect(page.get_by_label("Token", exact=True)).to_be_focused()
            expect(page.locator("#data")).to_be_hidden()
            # The page itself says that a token is wanted: an honest visit asks for nothing that is refused.
            expect(page.locator("body")).to_have_attribute("data-token-wanted", "yes")
            assert visitor.refused == [program.page], visitor.refused
            visitor.audit()
            page.keyboard.type("wrong-token-wrong-token")
            page.keyboard.press("Enter")
            expect(page.locator("#token-error")).to_have_text("This token is wrong.")
            expect(page.locator("#data")).to_be_hidden()
            visitor.screenshot("token")
            page.get_by_label("Token", exact=True).fill("correct-horse-battery-staple")
            page.get_by_role("button", name="Use token").click()
            visitor.expect_serving(program.names())
            # It is kept for the tab, and changes are allowed with it.
            page.reload()
            visitor.expect_serving(program.names())
            page.get_by_role("button", name="Add", exact=True).click()
            expect(page.locator("#change-result")).to_contain_text("Added")
            page.get_by_role("button", name="Forget token").click()
            expect(page.get_by_label("Token", exact=True)).to_be_visible()
            assert page.locator("#replicas tbody").count() == 0


def case_a_token_that_is_no_longer_accepted_leaves_nothing_behind(browser):
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(balancer("--admin-token", "the-first-token-of-all", token="the-first-token-of-all"))
        visitor = stack.enter_context(visit(browser, program, expected=[UNANSWERED]))
        page = visitor.page
        page.get_by_label("Token", exact=True).fill("the-first-token-of-all")
        page.get_by_role("button", name="Use token").click()
        visitor.expect_serving(program.names())
        program.stop()
        stack.enter_context(balancer("--admin-token", "the-second-token-now", port=program.port, token="the-second-token-now"))
        expect(page.locator("#token-error")).to_have_text("The token of this tab is no longer accepted.")
        expect(page.get_by_label("Token", exact=True)).to_be_focused()
        for selector in ("#replicas tbody", "#events li", "#legend li", "#settings div", "#ring *"):
            expect(page.locator(selector)).to_have_count(0)
