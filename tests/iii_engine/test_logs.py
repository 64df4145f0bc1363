from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from tests.support.bus import Bus

from iii_engine.config.entries import Entry
from iii_engine.config.errors import ConfigError
from iii_engine.core.access import Rules
from iii_engine.core.grants import Grant
from iii_engine.log_settings import LogSettings, configure, levels_of, settings_of


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Put the root logger and the test's own logger back."""
    root, own = logging.getLogger(), logging.getLogger("iii.test_logs")
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    own.setLevel(logging.NOTSET)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(settings: LogSettings, stream: io.StringIO | None = None) -> str:
    stream = io.StringIO() if stream is None else stream
    configure(settings, stream)
    log = logging.getLogger("iii.test_logs")
    log.debug("unheard")
    log.warning("port %d", 7, extra={"fields": {"a": 1, "trace_id": "t"}})
    return stream.getvalue()


def test_human_form() -> None:
    line = written(LogSettings())
    assert line.endswith("Z  WARN iii.test_logs: port 7 a=1\n")
    assert line.count("\n") == 1


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\033[33m WARN\033[0m" in written(LogSettings(), Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033" not in written(LogSettings(), Terminal())


def test_json_form() -> None:
    line = json.loads(written(LogSettings(format="json")))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "WARN",
        "target": "iii.test_logs",
        "message": "port 7",
        "a": 1,
        "trace_id": "t",
    }


@pytest.mark.parametrize("form", ["default", "json"])
def test_exceptions_are_shown(form: str) -> None:
    stream = io.StringIO()
    configure(LogSettings(format=form), stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("iii.test_logs").exception("failed")
    assert "ValueError: broken" in stream.getvalue()
    assert stream.getvalue().startswith("{") == (form == "json")


def test_levels_by_target() -> None:
    levels = levels_of(LogSettings(level="error, iii.net=debug,iii.worker=trace"))
    assert levels == {"": logging.ERROR, "iii.net": logging.DEBUG, "iii.worker": 5}
    assert levels_of(LogSettings(log_level="warn")) == {"": logging.WARNING}
    assert written(LogSettings(level="error")) == ""


def test_settings_come_from_the_observability_entry() -> None:
    entry = Entry("iii-observability", "iii-observability", {"level": "debug", "exporter": "x"})
    assert settings_of([Entry("iii-http", "iii-http"), entry]).level == "debug"
    assert settings_of([]) == LogSettings()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"level": "loud"}, "config.level: unknown level `loud`"),
        ({"level": "=info"}, "config.level: unknown level `=info`"),
        ({"format": "xml"}, "config.format: unknown format `xml`"),
        ({"level": 3}, "config.level: invalid type: integer, expected string or null"),
    ],
)
def test_wrong_settings(config: dict[str, str | int], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of([Entry("iii-observability", "iii-observability", {**config})])
    assert reason in str(caught.value)


@pytest.mark.parametrize("form", ["default", "json"])
@pytest.mark.promise(
    "Observability", "No line of the engine's log is as long as the ids that peers choose."
)
def test_ids_of_any_length_make_short_lines(form: str) -> None:
    long = "z" * 100_000
    stream = io.StringIO()
    configure(LogSettings(level="debug", format=form), stream)
    bus = Bus()
    guest = bus.guarded(Rules(), Grant(allowed_trigger_types=frozenset({"t"})))
    for peer in (bus.peer(), guest):
        peer.describe(name=long, pid=1)
        peer.tell("invokefunction", function_id=long, data={})
        peer.offer(long, "engine::" + long)
        peer.tell("registertriggertype", id=long, description="")
        peer.tell("registertrigger", id=long, trigger_type="x" + long, function_id=long)
        peer.tell("registertrigger", id=long, trigger_type="t", function_id="engine::" + long)
        peer.tell(long)
        peer.tell("invokefunction", function_id=5, data={}, id=long)
    other = bus.peer()
    other.describe(name="b" + long, pid=2)
    other.offer(long)
    bus.wait(60)
    logging.getLogger("iii.test_logs").error("it failed: %s %d %s", ValueError(long), 7, None)
    lines = stream.getvalue().splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) < 5000
    assert "… (100000 characters) 7 None" in lines[-1]


def test_what_a_line_is_not_given_to_quote_is_whole() -> None:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    logging.getLogger("iii.test_logs").warning("100 % " + "z" * 1000)
    assert stream.getvalue().endswith(" 100 % " + "z" * 1000 + "\n")
