"""No guarded worker gets the requests of another party's route."""

from __future__ import annotations

from typing import Any

import pytest
from tests.iii_engine.modules.http.conftest import MakeSite, Site
from tests.support.bus import Peer

from iii_engine.core.access import Access, Rules
from iii_engine.core.filters import read_filter
from iii_engine.core.grants import Grant
from iii_engine.modules.http.options import HttpOptions

OPEN = Rules(expose=(read_filter('match("*")'),))


class Guest(Peer):
    """A guarded worker at a site."""

    def __init__(self, site: Site, name: str = "guest") -> None:
        access = Access(OPEN, Grant(allowed_functions=frozenset({name})), site.engine.registry)
        super().__init__(site.engine, access=access)

    def route(self, path: str, method: str = "GET", id: str = "") -> Any:
        """Bind a route; the error, or None."""
        config = {"api_path": path, "http_method": method}
        self.tell(
            "registertrigger",
            id=id or f"{method} {path}",
            trigger_type="http",
            function_id="g",
            config=config,
        )
        return self.only().get("error")


@pytest.fixture
def theirs(site: Site) -> Site:
    """A site where a trusted worker has routes."""
    site.function("f", {"status_code": 200, "body": "trusted"})
    site.function("g", {"status_code": 200, "body": "guest"})
    for path in ("/owned", "/users/:id", "/files/new", "/rest/*path"):
        site.route(path, "f")
    return site


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/owned", "GET"),
        ("/owned", "HEAD"),
        ("/users/7", "GET"),
        ("/users/:other", "GET"),
        ("/rest/a/b", "GET"),
        ("/rest/:x", "GET"),
        ("/rest/*all", "GET"),
        ("/%6fwned", "GET"),
        ("/_iii/health", "GET"),
    ],
)
@pytest.mark.promise(
    "Access control", "A guarded worker cannot take the requests of another party's HTTP route."
)
async def test_what_would_take_their_requests_is_refused(
    theirs: Site, path: str, method: str
) -> None:
    error = Guest(theirs).route(path, method)
    assert error["code"] == "FORBIDDEN"
    assert error["message"].startswith(f"$.config.api_path: {method} {path}: ")


@pytest.mark.parametrize(
    ("path", "method"),
    [("/owned", "POST"), ("/owned/more", "GET"), ("/files/:name", "GET"), ("/*", "GET")],
)
async def test_what_takes_nothing_from_them_is_bound(theirs: Site, path: str, method: str) -> None:
    assert Guest(theirs).route(path, method) is None
    assert (await theirs.client.get("/owned")).json() == "trusted"
    assert (await theirs.client.get("/files/new")).json() == "trusted"


async def test_the_engines_own_paths_are_no_guarded_workers(theirs: Site) -> None:
    guest = Guest(theirs)
    for method in ("GET", "HEAD", "POST"):
        for path in ("/:a/:b", "/*"):
            assert guest.route(path, method) is None
    theirs.function("engine::health::check", {"status": "healthy"})
    assert (await theirs.client.get("/_iii/health")).json() == {"status": "healthy"}
    assert (await theirs.client.get("/_iii/other")).status_code == 404
    assert (await theirs.client.get("/iii/other")).json() == "guest"
    guest.close()
    assert (await theirs.client.get("/_iii/health")).json() == {"status": "healthy"}
    theirs.route("/_iii/:page", "f")
    assert (await theirs.client.get("/_iii/health")).json() == "trusted"


async def test_parties_are_equal_among_themselves(theirs: Site) -> None:
    one, again, other = Guest(theirs, "a"), Guest(theirs, "a"), Guest(theirs, "b")
    assert one.route("/mine", id="1") is None
    assert again.route("/mine", id="2") is None
    assert other.route("/mine", id="3")["code"] == "FORBIDDEN"
    assert other.route("/:any", id="4") is None


async def test_a_trusted_worker_gets_what_a_guarded_one_was_in_the_way_of(theirs: Site) -> None:
    guest = Guest(theirs)
    for path in ("/new/1", "/old", "/low/:x"):
        assert guest.route(path) is None
    for path in ("/new/:id", "/old", "/low/1"):
        theirs.route(path, "f")
    told = {m["id"]: m["error"]["code"] for m in guest.inbox()}
    assert told == {"GET /new/1": "FORBIDDEN", "GET /old": "FORBIDDEN"}
    for path in ("/new/1", "/old", "/low/1"):
        assert (await theirs.client.get(path)).json() == "trusted"
    assert (await theirs.client.get("/low/2")).json() == "guest"


async def test_a_route_whose_worker_is_away_for_a_moment_is_still_its_own(theirs: Site) -> None:
    worker = Peer(theirs.engine)
    config = {"api_path": "/away"}
    worker.tell("registertrigger", id="w", trigger_type="http", function_id="f", config=config)
    worker.close()
    assert Guest(theirs).route("/away")["code"] == "FORBIDDEN"
    assert (await theirs.client.get("/away")).status_code == 503


async def test_paths_that_become_the_same_are_the_trusted_worker_s(make_site: MakeSite) -> None:
    site = await make_site()
    site.function("f", {"status_code": 200, "body": "trusted"})
    site.function("g", {"status_code": 200, "body": "guest"})
    site.route("/a", "f")
    assert Guest(site).route("/a/") is None
    assert (await site.client.get("/a/")).json() == "guest"
    options = site.module.options
    options.ignore_trailing_slash = True
    await site.module.reconfigure(options)
    assert (await site.client.get("/a/")).json() == "trusted"


async def test_the_functions_that_see_all_requests_are_known(make_site: MakeSite) -> None:
    site = await make_site(middleware=[{"function_id": "m"}], not_found_function="n")
    guest = Guest(site)
    guest.offer("m", "n")
    assert guest.session.functions == {}
    before = site.module.options
    await site.module.reconfigure(HttpOptions(port=before.port))
    guest.offer("m", "n", "o")
    assert list(guest.session.functions) == ["m", "n", "o"]
    await site.module.reconfigure(before)
    assert list(guest.session.functions) == ["o"]


async def test_no_guest_decides_about_a_trusted_route(site: Site) -> None:
    site.function("f", {"status_code": 200, "body": "secret"})
    keeper, guest = Peer(site.engine), Guest(site)
    site.route("/secret", "f", middleware_function_ids=["check"])
    site.route("/other", "f", condition_function_id="check")
    keeper.offer("check")
    keeper.close()
    guest.offer("check")
    for path in ("/secret", "/other"):
        assert (await site.client.get(path)).status_code == 500
    assert guest.inbox() == []
