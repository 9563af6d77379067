"""Finding and reading letters in a browser."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.browser.conftest import NewVisitor, Site, Visitor


def total(visitor: Visitor) -> int:
    return int(visitor.page.get_by_test_id("total").get_attribute("data-count") or -1)


def test_a_facet_counts_what_it_chooses(visitor: Visitor) -> None:
    """Ticking a value gives as many letters as it said; the address holds it, and Back restores."""
    visitor.go("/letters")
    everything = total(visitor)
    assert everything == 60
    facet = visitor.page.get_by_test_id("facet").first
    count = int(facet.get_attribute("data-count") or -1)
    facet.click()
    visitor.page.wait_for_url("**service=**")
    assert total(visitor) == count
    address = visitor.page.url
    visitor.page.go_back()
    expect(visitor.page.get_by_test_id("total")).to_have_attribute("data-count", str(everything))
    visitor.page.goto(address)
    assert total(visitor) == count


def test_search_finds_inside_words_while_typing(visitor: Visitor) -> None:
    """The list follows the words, without a click, and the address can be shared."""
    visitor.go("/letters")
    visitor.page.get_by_label("Søk i brev").press_sequentially("avgift")
    expect(visitor.page.get_by_test_id("total")).to_have_attribute("data-count", "15")
    visitor.page.wait_for_url("**q=avgift**")
    for words, count in (
        ("miljø", 15),
        ("PÅLEGG", 15),
        ("palegg", 15),
        ("2026/4711", 15),
        ("ø", 0),
    ):
        visitor.go(f"/letters?q={words}")
        assert total(visitor) == count, words


def test_what_is_typed_before_the_scripts_are_there_is_searched_for(visitor: Visitor) -> None:
    """A slow line or machine forgets no letter of a search."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    visitor.page.route("**/htmx*.js*", hold)
    visitor.page.goto(f"{visitor.site.url}/letters", wait_until="commit")
    visitor.page.get_by_label("Søk i brev").press_sequentially("avgift")
    assert total(visitor) == 60
    held[0].continue_()
    expect(visitor.page.get_by_test_id("total")).to_have_attribute("data-count", "15")


def test_everything_works_without_scripts(new_visitor: NewVisitor) -> None:
    """Search and facets are plain forms."""
    visitor = new_visitor(java_script_enabled=False)
    visitor.go("/letters")
    visitor.page.get_by_label("Søk i brev").fill("vedtak")
    visitor.page.get_by_role("button", name="Søk", exact=True).click()
    assert total(visitor) == 60
    visitor.page.get_by_test_id("facet").first.locator("input").check()
    visitor.page.get_by_role("button", name="Filter").click()
    assert total(visitor) == 15


def test_a_letter_by_keyboard_alone(visitor: Visitor) -> None:
    """From the overview to a letter's text and back, with keys only; the focus can be seen."""
    visitor.go("/")
    visitor.page.keyboard.press("g")
    visitor.page.keyboard.press("b")
    visitor.page.wait_for_url("**/letters")
    visitor.page.keyboard.press("/")
    visitor.page.keyboard.type("pålegg")
    expect(visitor.page.get_by_test_id("total")).to_have_attribute("data-count", "15")
    with visitor.page.expect_navigation():
        visitor.page.keyboard.press("Enter")
    visitor.page.locator("main").focus()
    visitor.page.keyboard.press("j")
    outline = visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/letters/*")
    assert "brev nummer" in visitor.page.locator("main").inner_text()
    assert visitor.page.get_by_test_id("tried").first.get_attribute("data-result") == "lost"


def test_a_downloaded_attachment_is_the_stored_file(visitor: Visitor, site: Site) -> None:
    """What is saved is byte for byte what the sender sent."""
    visitor.go("/letters")
    visitor.page.get_by_test_id("letter").first.get_by_role("link").click()
    with visitor.page.expect_download() as waiting:
        visitor.page.get_by_test_id("attachment").get_by_role("link").first.click()
    assert waiting.value.suggested_filename == "001-vedtak.pdf"
    assert waiting.value.path().read_bytes().startswith(b"%PDF-1.4")
