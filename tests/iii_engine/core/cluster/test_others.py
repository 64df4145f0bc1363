"""What engines ask each of the others."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, json
from tests.support.mesh import Mesh, Node

from iii_engine.core.router import Call
from iii_sdk.protocol import ErrorBody


def ask(mesh: Mesh, node: Node, question: str = "engine::q") -> list[tuple[list[Any], Any]]:
    """What is told, once it is; errors by their codes."""
    heard: list[tuple[list[Any], Any]] = []

    def told(results: list[Raw], error: ErrorBody | None) -> None:
        heard.append(([json.decode(each) for each in results], error and error.message))

    node.engine.others.ask(question, b'{"n":1}', 2, told)
    mesh.run()
    return heard


def answering(*nodes: Node) -> None:
    for node in nodes:
        name = json.encode(node.cluster.metadata.name)
        node.engine.others.answer("engine::q", lambda call, name=name: call.reply(name))  # type: ignore[misc]


def test_each_of_the_others_answers_for_itself(mesh: Mesh) -> None:
    answering(*mesh.nodes)
    ((names, error),) = ask(mesh, mesh.nodes[0])
    assert (sorted(names), error) == (["b", "c"], None)


def test_who_does_not_know_the_question_is_left_out(mesh: Mesh) -> None:
    a, b, c = mesh.nodes
    answering(b)
    assert ask(mesh, a) == [(["b"], None)]
    assert ask(mesh, b) == [([], None)]
    handler = b.engine.others.get("engine::q")
    assert handler is not None
    assert handler.local is not None
    b.engine.others.forget("engine::q", lambda call: None)  # another's
    assert ask(mesh, c) == [(["b"], None)]
    b.engine.others.forget("engine::q", handler.local)
    assert ask(mesh, c) == [([], None)]


def test_nobody_else_is_there() -> None:
    mesh = Mesh("a")
    assert ask(mesh, mesh.nodes[0]) == [([], None)]


def test_who_says_nothing_is_named_when_its_time_is_over(mesh: Mesh) -> None:
    a, b, c = mesh.nodes
    answering(b)
    held: list[Call] = []
    c.engine.others.answer("engine::q", held.append)
    heard = ask(mesh, a)
    assert heard == []
    mesh.wait(2.1)
    assert heard == [(["b"], "engine c: Function engine::q did not answer in time")]
    held[0].reply(b"1")
    mesh.run()
    assert len(heard) == 1


def test_who_goes_meanwhile_is_named(mesh: Mesh) -> None:
    a, b, c = mesh.nodes
    answering(b)
    c.engine.others.answer("engine::q", lambda call: None)
    heard = ask(mesh, a)
    mesh.send(c, c.cluster.close())
    mesh.run()
    ((names, error),) = heard
    assert names == ["b"]
    assert error.startswith("engine c: ")
    assert ask(mesh, a) == [(["b"], None)]
