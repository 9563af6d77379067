"""Logging in through a provider of another site, in a real browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import serving
from tests.unit.page.lying_provider import CLIENT, SECRET, lying_provider


def test_a_browser_logs_in_through_a_provider(browser: Browser, tmp_path: Path) -> None:
    """The link is not stopped by the content security policy, and the cookies survive the way over
    another site; the page that was asked for is shown."""
    (tmp_path / "oidc.secret").write_text(SECRET, encoding="utf-8")
    with lying_provider("localhost") as provider:
        values = {
            "issuer": provider.issuer,
            "client_id": CLIENT,
            "client_secret_file": "oidc.secret",
        }
        options = ", ".join(f'{name} = "{value}"' for name, value in values.items())
        roles = 'roles = { "Postmottak.Reader" = ["reader"] }'
        web = f'login = ["oidc"]\noidc = {{ {options}, {roles} }}\n'
        with serving(tmp_path, web) as site:
            page = browser.new_context(locale="nb-NO").new_page()
            wrong: list[str] = []
            page.on("console", lambda each: wrong.extend([each.text] * (each.type == "error")))
            page.goto(f"{site.url}/letters?q=avgift")
            page.get_by_role("link", name="Logg inn med jobbkontoen").click()
            expect(page.get_by_test_id("user")).to_have_text("kari@example.no")
            assert page.url == f"{site.url}/letters?q=avgift"
            cookies = {each["name"]: each for each in page.context.cookies()}
            assert "__Host-postmottak-login" not in cookies
            found = cookies["__Host-postmottak"]
            assert (found["secure"], found["httpOnly"], found["sameSite"]) == (True, True, "Lax")
            assert wrong == []
            page.context.close()
