"""What the page shows of the fleet, and what can be done with it."""

import signal

from playwright.sync_api import expect

from program import wait_for
from visitor import UNANSWERED, balancer, visit


def case_shows_three_serving_replicas_and_asks_nobody_else(browser):
    with balancer() as program, visit(browser, program) as visitor:
        page = visitor.page
        visitor.expect_serving(program.names())
        expect(page.locator("#fact-replicas")).to_have_text("3 of 3 serving")
        expect(page.locator("#freshness")).to_contain_text("live")
        expect(page.locator("#legend li")).to_have_count(3)
        assert page.locator("#ring .arc").count() >= 3
        expect(page.locator("#panic")).to_be_hidden()
        # Several rounds later all of this holds, and the row is the same element as before.
        page.evaluate("() => (document.querySelector('#replicas tbody').marked = true)")
        uptime = page.locator("#fact-uptime").text_content()
        expect(page.locator("#fact-uptime")).not_to_have_text(uptime)
        expect(page.locator("#summary-requests")).to_contain_text("latest")
        assert page.evaluate("() => document.querySelector('#replicas tbody').marked"), "the row was made anew"


def case_a_killed_replica_is_shown_to_go_and_to_come_back(browser):
    with balancer() as program, visit(browser, program) as visitor:
        name = program.names()[1]
        visitor.expect_serving(program.names())
        state = visitor.cell(name, "State")
        # The pauses before a relaunch are 0, 1 and 2 s: only the third death is for long enough that a page which asks
        # each second is sure to see it.
        for death in range(3):
            old = program.signal_replica(name, signal.SIGKILL)
            if death < 2:
                wait_for("a new process", lambda: program.replica(name) not in (None, old))
                wait_for("it to serve", lambda: program.serving() == 3)
        expect(state).not_to_contain_text("serving")
        expect(visitor.page.locator("#fact-replicas")).to_have_text("2 of 3 serving")
        expect(state).to_contain_text("serving")
        expect(visitor.page.locator("#fact-replicas")).to_have_text("3 of 3 serving")
        expect(visitor.event("failed", name).first).to_be_visible()
        expect(visitor.event("relaunched", name).first).to_be_visible()
        expect(visitor.page.locator("#announcer")).to_contain_text(name)
        expect(visitor.cell(name, "Relaunches").locator(".value")).not_to_have_text("0")


def case_a_frozen_replica_is_replaced(browser):
    with balancer() as program, visit(browser, program) as visitor:
        name = program.names()[2]
        visitor.expect_serving(program.names())
        program.signal_replica(name, signal.SIGSTOP)
        expect(visitor.event("failed", name).first).to_be_visible()
        expect(visitor.event("relaunched", name).first).to_be_visible()
        expect(visitor.cell(name, "Relaunches").locator(".value")).to_have_text("1")
        expect(visitor.cell(name, "State")).to_contain_text("serving")


def case_adds_and_removes_with_the_buttons(browser):
    with balancer() as program, visit(browser, program) as visitor:
        page = visitor.page
        visitor.expect_serving(program.names())
        page.get_by_label("Hostnames").fill("by-hand")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#change-result")).to_contain_text("Added. 4 replicas now")
        visitor.expect_serving(program.names())
        assert "by-hand" in program.names()
        # To say no changes nothing.
        page.get_by_role("button", name="Remove by-hand", exact=True).click()
        page.get_by_role("button", name="Keep it").click()
        expect(page.locator("#remove")).to_be_hidden()
        assert "by-hand" in program.names()
        page.get_by_role("button", name="Remove by-hand", exact=True).click()
        expect(page.get_by_role("dialog")).to_contain_text("Remove by-hand?")
        visitor.audit()
        visitor.screenshot("dialog")
        page.locator("#remove-yes").click()
        expect(page.locator("#change-result")).to_contain_text("Removed. 3 replicas now")
        expect(visitor.row("by-hand")).to_have_count(0)
        assert "by-hand" not in program.names()
        expect(visitor.event("left", "by-hand").first).to_be_visible()


def case_everything_can_be_done_with_the_keyboard(browser):
    with balancer() as program, visit(browser, program) as visitor:
        page = visitor.page
        visitor.expect_serving(program.names())
        visitor.tab_to("#add-names")
        page.keyboard.type("by-key")
        visitor.tab_to("#add-button")
        page.keyboard.press("Enter")
        expect(page.locator("#change-result")).to_contain_text("Added")
        expect(visitor.row("by-key")).to_have_count(1)
        page.evaluate("() => document.activeElement.blur()")
        visitor.tab_to('[aria-label="Remove by-key"]')
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        # Escape closes it, and the focus is where it was.
        page.keyboard.press("Escape")
        expect(page.locator("#remove")).to_be_hidden()
        expect(page.get_by_role("button", name="Remove by-key", exact=True)).to_be_focused()
        page.keyboard.press("Enter")
        visitor.tab_to("#remove-yes")
        page.keyboard.press("Enter")
        expect(page.locator("#change-result")).to_contain_text("Removed")
        expect(visitor.row("by-key")).to_have_count(0)
        for selector in ('.plot[aria-labelledby="chart-latency"]', "#events-filter", ".scroll", "summary"):
            visitor.tab_to(selector)


def case_what_the_server_refuses_is_shown_as_text(browser):
    hostile = '<img src="x" onerror="document.title=1"><script>1</script>'
    with balancer() as program, visit(browser, program, expected=[UNANSWERED]) as visitor:
        page = visitor.page
        visitor.expect_serving(program.names())
        page.get_by_label("Hostnames").fill(hostile)
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#change-result")).to_contain_text("Refused: ")
        expect(page.locator("#change-result")).to_contain_text("<img src=")
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 1
        assert len(program.names()) == 3
